//! `underseal proxy` beside HAProxy and nginx: each terminates TLS for the same plain backend, with
//! and without the same rules, for the same client.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::{scope, sleep};

use anyhow::{Context as _, anyhow, ensure};

use crate::context::Context;
use crate::cpu_time::{ProcessCpu, pin_to};
use crate::http::client;
use crate::http::load::{self, Shape};
use crate::http::server::Server;
use crate::http::{SETTLE, SMALL};
use crate::report::figures::{Figure, Target, plain, ratio};
use crate::report::tables::{list, titled};
use crate::run::{Run, Samples, Series};
use crate::suite::{Measure, Suite};

pub mod backend;
pub(crate) mod haproxy;
mod http2_backend;
pub(crate) mod nginx;
mod rules;
mod underseal;
mod versions;

/// Names of the rows.
pub mod name {
    /// `underseal proxy`.
    pub const UNDERSEAL: &str = "underseal proxy";
    /// Debian's HAProxy.
    pub const HAPROXY: &str = "HAProxy";
    /// Debian's nginx.
    pub const NGINX: &str = "nginx";
}

/// Names of the measures.
pub mod measure {
    /// Small replies on connections that are kept.
    pub const REQUESTS: &str = "proxy requests";
    /// The same, each request judged by rules.
    pub const JUDGED: &str = "proxy requests, rules";
    /// Large bodies.
    pub const BODIES: &str = "proxy bodies";
    /// Small replies of a backend with HTTP/1.1 to clients with HTTP/2.
    pub const FROM_HTTP2: &str = "proxy from HTTP/2";
    /// Small replies of a backend with HTTP/2 to clients with HTTP/1.1.
    pub const TO_HTTP2: &str = "proxy to HTTP/2";
    /// Unary calls of gRPC.
    pub const GRPC: &str = "proxy gRPC";
}

/// `cargo xtask bench proxy`.
pub const SUITE: Suite = Suite {
    name: "proxy",
    measures: &[
        Measure::each_round(measure::REQUESTS, requests),
        Measure::each_round(measure::JUDGED, judged_requests),
        Measure::each_round(measure::BODIES, bodies),
        Measure::each_round(measure::FROM_HTTP2, versions::from_http2),
        Measure::each_round(measure::TO_HTTP2, versions::to_http2),
        Measure::each_round(measure::GRPC, versions::grpc),
    ],
    check,
    figures,
    tables,
};

/// A proxy with its settings.
struct Contender {
    row: &'static str,
    setting: &'static str,
    start: fn(&Setup<'_>, &Self) -> anyhow::Result<Server>,
    /// Whatever the settings are to this kind of proxy.
    lines: &'static [&'static str],
    /// Whether it is measured where somebody speaks HTTP/2, too: large buffers and logs are not.
    with_http2: bool,
}

impl Contender {
    const fn with_http2(self) -> Self {
        Self {
            with_http2: true,
            ..self
        }
    }

    /// Debian's nginx asks backends over HTTP/2 for gRPC alone.
    fn can(&self, context: &Context, ends: Ends) -> bool {
        let is_http2 = ends.from_http2 || ends.to_http2;
        if self.setting == underseal::BEFORE {
            return is_http2 && context.before().is_some();
        }
        let is_able = self.row != name::NGINX || ends != Ends::TO_HTTP2;
        is_able && (self.with_http2 || !is_http2)
    }
}

/// What a proxy is between, and what it has to do.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ends {
    with_rules: bool,
    /// Whether clients speak HTTP/2.
    from_http2: bool,
    /// Whether the backend does.
    to_http2: bool,
}

impl Ends {
    const PLAIN: Self = Self {
        with_rules: false,
        from_http2: false,
        to_http2: false,
    };
    const JUDGED: Self = Self {
        with_rules: true,
        ..Self::PLAIN
    };
    const FROM_HTTP2: Self = Self {
        from_http2: true,
        ..Self::PLAIN
    };
    const TO_HTTP2: Self = Self {
        to_http2: true,
        ..Self::PLAIN
    };
    const GRPC: Self = Self {
        from_http2: true,
        ..Self::TO_HTTP2
    };
}

/// What a proxy is started with.
struct Setup<'a> {
    context: &'a Context,
    /// Where its files go.
    directory: &'a Path,
    backend: SocketAddr,
    ends: Ends,
}

fn contenders() -> impl Iterator<Item = &'static Contender> {
    [
        underseal::CONTENDERS,
        haproxy::CONTENDERS,
        nginx::CONTENDERS,
    ]
    .into_iter()
    .flatten()
}

fn check(context: &Context, measures: &[&Measure]) -> anyhow::Result<()> {
    let from_http2 = [measure::FROM_HTTP2, measure::GRPC];
    if measures
        .iter()
        .any(|measure| from_http2.contains(&measure.name))
    {
        versions::check_installed()?;
    }
    // The backend is one, whatever the rows are.
    crate::http::nginx::check_installed()?;
    if context.wants(name::HAPROXY) {
        haproxy::check_installed()?;
    }
    if context.wants(name::UNDERSEAL) {
        context.underseal()?;
    }
    Ok(())
}

fn requests(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each_proxy(context, round, Ends::PLAIN, |contender, proxy| {
        load(
            context,
            proxy,
            (measure::REQUESTS, contender, round),
            samples,
        )
    })
}

fn judged_requests(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each_proxy(context, round, Ends::JUDGED, |contender, proxy| {
        load(context, proxy, (measure::JUDGED, contender, round), samples)
    })
}

fn load(
    context: &Context,
    proxy: &Server,
    (measure, contender, round): (&str, &Contender, u32),
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let shape = Shape {
        connections: context.scale.proxy_connections,
        active: context.scale.proxy_connections,
        requests: context.scale.proxy_requests,
        resource: SMALL,
    };
    let load = load::run(context, proxy, shape)?;
    let values = load.values();
    samples.add((measure, contender.row, contender.setting, round), &values);
    Ok(())
}

fn bodies(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let (count, bytes) = (context.scale.proxy_bodies, context.scale.proxy_body_bytes);
    each_proxy(context, round, Ends::PLAIN, |contender, proxy| {
        // The first opens a connection to the backend, and the files that are to be served.
        client::download(client::open(context, proxy)?, BODY, bytes)?;
        sleep(SETTLE);
        let before = ProcessCpu::of(proxy.pid())?;
        let mut elapsed = 0.0;
        for _ in 0..count {
            let connection = client::open(context, proxy)?;
            elapsed += client::download(connection, BODY, bytes)?.as_secs_f64();
        }
        sleep(SETTLE);
        let cpu = ProcessCpu::of(proxy.pid())?.since(&before);
        let gigabytes = count as f64 * bytes as f64 / 1e9;
        samples.add(
            (measure::BODIES, contender.row, contender.setting, round),
            &[
                ("cpu_s_per_gb", cpu.as_secs_f64() / gigabytes),
                ("gb_per_s", gigabytes / elapsed),
            ],
        );
        Ok(())
    })
}

/// Whom the proxies ask.
enum Backend {
    Http1(Server),
    Http2(http2_backend::Http2Backend),
}

impl Backend {
    fn start(context: &Context, ends: Ends) -> anyhow::Result<Self> {
        Ok(match ends.to_http2 {
            true => Self::Http2(http2_backend::Http2Backend::start()?),
            false => Self::Http1(backend::start(context, &backend::document_root(context)?)?),
        })
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Http1(backend) => backend.address(),
            Self::Http2(backend) => backend.address(),
        }
    }
}

/// The large file, below the document root.
const BODY: &str = "/body";

/// Starts each proxy in turn, on the core of the measured side, and lets `measure` drive it from a
/// thread on the other core, where the backend is, too.
fn each_proxy(
    context: &Context,
    round: u32,
    ends: Ends,
    mut measure: impl FnMut(&Contender, &Server) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let wanted = contenders().filter(|it| context.wants(it.row) && it.can(context, ends));
    let wanted = context.in_turn(wanted.collect(), round);
    let run = || {
        // Children inherit the pin of the thread that starts them.
        pin_to(context.cores.peer)?;
        let backend = Backend::start(context, ends)?;
        for contender in wanted {
            let directory = tempfile::tempdir_in(context.directory.path())?;
            let setup = Setup {
                context,
                directory: directory.path(),
                backend: backend.address(),
                ends,
            };
            let name = || format!("{}, {}", contender.row, contender.setting);
            pin_to(context.cores.measured)?;
            let proxy = (contender.start)(&setup, contender).with_context(name)?;
            pin_to(context.cores.peer)?;
            proves_itself(context, &proxy, ends.with_rules).with_context(name)?;
            measure(contender, &proxy).with_context(name)?;
        }
        Ok(())
    };
    scope(|scope| scope.spawn(run).join()).unwrap_or_else(|_| Err(anyhow!("the client panicked")))
}

/// That a proxy judges as it should: one that lets everything pass would be fast.
fn proves_itself(context: &Context, proxy: &Server, with_rules: bool) -> anyhow::Result<()> {
    let refused = if with_rules { 403 } else { 404 };
    for (path, expected) in [
        ("/small", 200),
        ("/service1/x", 404),
        ("/admin", refused),
        ("/admin/x", refused),
        ("/other", refused),
    ] {
        let status = client::status(context, proxy, path)?;
        ensure!(
            status == expected,
            "{path} is answered with {status}, not {expected}"
        );
    }
    Ok(())
}

fn figures(run: &Run) -> Vec<Figure> {
    let samples = &run.samples;
    let mut figures = Vec::new();
    for (measure, what) in [
        (measure::REQUESTS, "CPU per request, 1 KiB replies"),
        (measure::JUDGED, "CPU per request, 1 KiB replies, 11 rules"),
    ] {
        figures.extend(against(samples, measure, "cpu_us_per_request", what, 0.80));
        let errors = samples.series(measure, name::UNDERSEAL, underseal::STOCK, "errors");
        let what = format!("{what}: errors");
        figures.push(plain(what, Target::AtMost(0.0), errors));
    }
    let what = "CPU per call, unary gRPC";
    let value = "cpu_us_per_request";
    figures.extend(against(samples, measure::GRPC, value, what, 0.90));
    figures.push(grpc_against_nginx(samples));
    figures.extend(against_before(samples));
    let what = "CPU per GB, 64 MiB bodies";
    figures.extend(against(
        samples,
        measure::BODIES,
        "cpu_s_per_gb",
        what,
        0.50,
    ));
    figures
}

/// Nothing where no older binary was named.
fn against_before(samples: &Samples) -> impl Iterator<Item = Figure> {
    let value = "cpu_us_per_request";
    let measures = [measure::FROM_HTTP2, measure::TO_HTTP2].into_iter();
    measures.filter_map(move |measure| {
        let of = |setting| samples.series(measure, name::UNDERSEAL, setting, value);
        let (own, before) = (of(underseal::STOCK), of(underseal::BEFORE));
        let what = format!("{measure}, CPU per request ÷ before");
        let is_measured = !before.median().is_nan();
        is_measured.then(|| ratio(what, Target::AtMost(0.80), &own, &before))
    })
}

fn grpc_against_nginx(samples: &Samples) -> Figure {
    let value = "cpu_us_per_request";
    let own = samples.series(measure::GRPC, name::UNDERSEAL, underseal::STOCK, value);
    let best = samples.lowest(measure::GRPC, name::NGINX, value);
    let (_, best) = best.unwrap_or_default();
    let what = "`proxy`, CPU per call, unary gRPC ÷ nginx `grpc_pass` at its best";
    ratio(what.to_owned(), Target::AtMost(0.90), &own, &best)
}

/// underseal as it is shipped over HAProxy at its best, and as it is shipped.
fn against(samples: &Samples, measure: &str, value: &str, what: &str, bound: f64) -> [Figure; 2] {
    let own = samples.series(measure, name::UNDERSEAL, underseal::STOCK, value);
    let stock = samples.series(measure, name::HAPROXY, haproxy::STOCK, value);
    let best = samples.lowest(measure, name::HAPROXY, value);
    let figure = |other: &Series, how: &str| {
        let what = format!("`proxy`, {what} ÷ HAProxy {how}");
        ratio(what, Target::AtMost(bound), &own, other)
    };
    match best {
        Some((setting, best)) => [
            figure(&best, &format!("at its best ({setting})")),
            figure(&stock, "as shipped"),
        ],
        None => [figure(&stock, "at its best"), figure(&stock, "as shipped")],
    }
}

fn tables(run: &Run) -> String {
    let samples = &run.samples;
    let requests = [
        ("errors", "errors"),
        ("cpu_us_per_request", "CPU per request, µs"),
        ("requests_per_s", "requests/s"),
        ("p50_us", "p50, µs"),
        ("p99_us", "p99, µs"),
    ];
    let counted = &requests[..3];
    let bodies = [("cpu_s_per_gb", "CPU-s per GB"), ("gb_per_s", "GB/s")];
    [
        ("1 KiB replies", measure::REQUESTS, &requests[..]),
        ("1 KiB replies, 11 rules", measure::JUDGED, &requests),
        ("64 MiB bodies", measure::BODIES, &bodies),
        (
            "1 KiB replies, clients with HTTP/2, backend with HTTP/1.1",
            measure::FROM_HTTP2,
            counted,
        ),
        (
            "1 KiB replies, clients with HTTP/1.1, backend with HTTP/2",
            measure::TO_HTTP2,
            &requests,
        ),
        ("Unary calls of gRPC", measure::GRPC, counted),
    ]
    .map(|(title, measure, values)| titled(title, list(samples, measure, values)))
    .concat()
}
