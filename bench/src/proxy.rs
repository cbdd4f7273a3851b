//! `underseal proxy` beside HAProxy and nginx: each terminates TLS for the same plain backend, with
//! and without the same rules, for the same client.

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
pub(crate) mod nginx;
mod rules;
mod underseal;

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
}

/// `cargo xtask bench proxy`.
pub const SUITE: Suite = Suite {
    name: "proxy",
    measures: &[
        Measure::each_round(measure::REQUESTS, requests),
        Measure::each_round(measure::JUDGED, judged_requests),
        Measure::each_round(measure::BODIES, bodies),
    ],
    check,
    figures,
    tables,
};

/// A proxy with its settings.
struct Contender {
    row: &'static str,
    setting: &'static str,
    start: fn(&Place<'_>, &Self) -> anyhow::Result<Server>,
    /// Whatever the settings are to this kind of proxy.
    lines: &'static [&'static str],
}

/// What a proxy is started with.
struct Place<'a> {
    context: &'a Context,
    /// Where its files go.
    directory: &'a Path,
    backend: &'a Server,
    with_rules: bool,
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

fn check(context: &Context, _: &[&Measure]) -> anyhow::Result<()> {
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
    each_proxy(context, round, false, |contender, proxy| {
        load(
            context,
            proxy,
            (measure::REQUESTS, contender, round),
            samples,
        )
    })
}

fn judged_requests(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each_proxy(context, round, true, |contender, proxy| {
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
    each_proxy(context, round, false, |contender, proxy| {
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

/// The large file, below the document root.
const BODY: &str = "/body";

/// Starts each proxy in turn, on the core of the measured side, and lets `measure` drive it from a
/// thread on the other core, where the backend is, too.
fn each_proxy(
    context: &Context,
    round: u32,
    with_rules: bool,
    mut measure: impl FnMut(&Contender, &Server) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let wanted = contenders().filter(|contender| context.wants(contender.row));
    let wanted = context.in_turn(wanted.collect(), round);
    let run = || {
        // Children inherit the pin of the thread that starts them.
        pin_to(context.cores.peer)?;
        let backend = backend::start(context, &backend::document_root(context)?)?;
        for contender in wanted {
            let directory = tempfile::tempdir_in(context.directory.path())?;
            let place = Place {
                context,
                directory: directory.path(),
                backend: &backend,
                with_rules,
            };
            let name = || format!("{}, {}", contender.row, contender.setting);
            pin_to(context.cores.measured)?;
            let proxy = (contender.start)(&place, contender).with_context(name)?;
            pin_to(context.cores.peer)?;
            proves_itself(context, &proxy, with_rules).with_context(name)?;
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
    let bodies = [("cpu_s_per_gb", "CPU-s per GB"), ("gb_per_s", "GB/s")];
    [
        ("1 KiB replies", measure::REQUESTS, &requests[..]),
        ("1 KiB replies, 11 rules", measure::JUDGED, &requests),
        ("64 MiB bodies", measure::BODIES, &bodies),
    ]
    .map(|(title, measure, values)| titled(title, list(samples, measure, values)))
    .concat()
}
