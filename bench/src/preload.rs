//! nginx under `underseal run` beside the same nginx that seals by itself, and `underseal serve`: CPU time
//! and memory of all processes of a server, one client for all.

use crate::context::Context;
use crate::http::server::Server;
use crate::http::{
    MEDIUM, NGINX_PLAIN, NGINX_TLS, NGINX_TUNED, Resource, SERVE, SMALL, Start, connections,
    download_big, each_server, load, nginx,
};
use crate::report::figures::{Figure, Target, better_nginx, lower, ratio};
use crate::report::tables::{list, titled};
use crate::run::{Run, Samples};
use crate::suite::{Measure, NEWER_OPENSSL, Suite};

mod proof;
mod proxied;
mod stalled;

/// Names of the rows: those of the servers of `bench streams`, with nginx under `underseal run` beside them.
pub use crate::http::name;

/// Names of the measures.
pub mod measure {
    /// One big file.
    pub const FILE: &str = "preload file";
    /// Files of 64 KiB on connections that are kept.
    pub const MEDIUM: &str = "preload 64 KiB";
    /// Files of 1 KiB on connections that are kept.
    pub const SMALL: &str = "preload 1 KiB";
    /// Files of 1 KiB, each on a connection of its own.
    pub const CONNECTIONS: &str = "preload connections";
    /// One big file that comes from a backend.
    pub const PROXIED: &str = "preload proxied";
    /// Files of 1 KiB without TLS.
    pub const PLAIN: &str = "preload without TLS";
    /// Downloads that nobody reads.
    pub const STALLED: &str = "preload stalled";
}

/// `cargo xtask bench preload`.
pub const SUITE: Suite = Suite {
    name: "preload",
    measures: &[
        Measure::each_round(measure::FILE, file),
        Measure::each_round(measure::MEDIUM, |context, round, samples| {
            kept(context, (measure::MEDIUM, round), MEDIUM, TLS, samples)
        }),
        Measure::each_round(measure::SMALL, |context, round, samples| {
            kept(context, (measure::SMALL, round), SMALL, TLS, samples)
        }),
        Measure::each_round(measure::CONNECTIONS, each_a_connection),
        Measure::each_round(measure::PROXIED, proxied::measure),
        Measure::each_round(measure::PLAIN, |context, round, samples| {
            kept(context, (measure::PLAIN, round), SMALL, PLAIN, samples)
        }),
        Measure {
            name: measure::STALLED,
            rounds: |scale| scale.long_rounds,
            take: stalled::measure,
        },
    ],
    check,
    figures,
    tables,
};

const RUN: (&str, Start) = (name::NGINX_RUN, |context, root| {
    nginx::start(context, root, nginx::Variant::Run)
});

/// Servers with TLS.
const TLS: &[(&str, Start)] = &[SERVE, NGINX_TLS, NGINX_TUNED, RUN];

/// The same where the run has a newer OpenSSL: nginx is the same, and configured in the same way.
const NEWER: &[(&str, Start)] = &[
    (name::NGINX_NEWER, |context, root| {
        nginx::start(context, root, nginx::Variant::Newer)
    }),
    (name::NGINX_NEWER_RUN, |context, root| {
        nginx::start(context, root, nginx::Variant::NewerRun)
    }),
];

/// A program that asks for no TLS socket, without the library and with it.
const PLAIN: &[(&str, Start)] = &[
    NGINX_PLAIN,
    (name::NGINX_PLAIN_RUN, |context, root| {
        nginx::start(context, root, nginx::Variant::PlainRun)
    }),
];

fn check(context: &Context, _: &[&Measure]) -> anyhow::Result<()> {
    nginx::check_installed()?;
    context.underseal().map(drop)
}

/// Lets `measure` drive those of `servers` that are wanted, each of which has proved first that it is what
/// its row says.
fn each(
    context: &Context,
    round: u32,
    servers: &[(&str, Start)],
    mut measure: impl FnMut(&Server) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let mut servers = servers.to_vec();
    if context.newer_openssl().is_some() && servers.iter().any(|(row, _)| *row == RUN.0) {
        servers.extend(NEWER);
    }
    each_server(context, round, &servers, |server| {
        proof::of_the_row(context, server)?;
        measure(server)
    })
}

fn file(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each(context, round, TLS, |server| {
        download_big(context, server, (measure::FILE, round), samples)
    })
}

fn kept(
    context: &Context,
    (measure, round): (&str, u32),
    resource: Resource,
    servers: &[(&str, Start)],
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let shape = load::Shape {
        connections: context.scale.proxy_connections,
        active: context.scale.proxy_connections,
        requests: context.scale.proxy_requests,
        resource,
    };
    each(context, round, servers, |server| {
        let values = load::run(context, server, shape)?.values();
        samples.add((measure, server.name(), "", round), &values);
        Ok(())
    })
}

fn each_a_connection(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each(context, round, TLS, |server| {
        connections::measure(context, server, (measure::CONNECTIONS, round), samples)
    })
}

const PER_GB: &str = "cpu_s_per_gb";
const PER_REQUEST: &str = "cpu_us_per_request";
const PER_CONNECTION: &str = "server_cpu_us";
const RESIDENT: &str = "resident_bytes";

/// What is to be reached beside nginx at its best: measure, value, what it is, and at most how much.
const BOUNDS: [(&str, &str, &str, f64); 4] = [
    (measure::FILE, PER_GB, "CPU per GB, 1 GiB file", 0.48),
    (
        measure::MEDIUM,
        PER_REQUEST,
        "CPU per request, 64 KiB",
        0.55,
    ),
    (measure::SMALL, PER_REQUEST, "CPU per request, 1 KiB", 1.00),
    (
        measure::PROXIED,
        PER_GB,
        "CPU per GB, `proxy_pass` of 1 GiB",
        0.85,
    ),
];

fn figures(run: &Run) -> Vec<Figure> {
    let samples = &run.samples;
    let mut figures = Vec::new();
    for (measure, value, what, bound) in BOUNDS {
        let of = |row| samples.series(measure, row, "", value);
        let nginx = better_nginx(samples, measure, value);
        let title = format!("nginx under `underseal run` ÷ nginx: {what}");
        let bound = Target::AtMost(bound);
        figures.push(ratio(title, bound, &of(name::NGINX_RUN), &nginx));
        let (own, nginx) = (of(name::NGINX_NEWER_RUN), of(name::NGINX_NEWER));
        if !own.is_empty() {
            let title = format!("the same, both on the newer OpenSSL: {what}");
            figures.push(ratio(title, bound, &own, &nginx));
        }
    }
    figures.extend(crate::handshakes::SETTINGS.map(|(setting, _)| connection(samples, setting)));
    figures.push(without_tls(samples));
    figures.extend([name::NGINX_TUNED, name::NGINX_TLS].map(|row| memory(samples, row)));
    figures
}

/// Over the one of the two configurations of nginx that costs less.
fn connection(samples: &Samples, setting: &str) -> Figure {
    let of = |row| samples.series(measure::CONNECTIONS, row, setting, PER_CONNECTION);
    let nginx = lower([name::NGINX_TLS, name::NGINX_TUNED].map(of));
    let what = format!(
        "nginx under `underseal run` ÷ nginx: CPU per connection with one request, 1 KiB, {setting} handshake"
    );
    ratio(what, Target::AtMost(1.03), &of(name::NGINX_RUN), &nginx)
}

fn without_tls(samples: &Samples) -> Figure {
    let of = |row| samples.series(measure::PLAIN, row, "", PER_REQUEST);
    let what = "nginx without TLS, with the library ÷ without: CPU per request, 1 KiB";
    let (with, without) = (of(name::NGINX_PLAIN_RUN), of(name::NGINX_PLAIN));
    ratio(what, Target::AtMost(1.02), &with, &without)
}

fn memory(samples: &Samples, row: &str) -> Figure {
    let of = |row| samples.series(measure::STALLED, row, "", RESIDENT);
    let what = format!("nginx under `underseal run` ÷ {row}: memory of a stalled download");
    ratio(what, Target::AtMost(0.15), &of(name::NGINX_RUN), &of(row))
}

fn tables(run: &Run) -> String {
    let bulk = [(PER_GB, "CPU-s per GB"), ("gb_per_s", "GB/s")];
    let requests = [
        ("errors", "errors"),
        (PER_REQUEST, "CPU per request, µs"),
        ("requests_per_s", "requests/s"),
        ("p50_us", "p50, µs"),
        ("p99_us", "p99, µs"),
    ];
    let connections = [(PER_CONNECTION, "server CPU, µs")];
    let memory = [(RESIDENT, "resident, bytes each")];
    [
        ("1 GiB file", measure::FILE, &bulk[..]),
        ("64 KiB, kept connections", measure::MEDIUM, &requests),
        ("1 KiB, kept connections", measure::SMALL, &requests),
        (
            "1 KiB, a connection each",
            measure::CONNECTIONS,
            &connections,
        ),
        ("`proxy_pass`, 1 GiB", measure::PROXIED, &bulk),
        (
            "1 KiB without TLS, kept connections",
            measure::PLAIN,
            &requests,
        ),
        ("stalled downloads of 1 GiB", measure::STALLED, &memory),
    ]
    .map(|(title, measure, values)| {
        let table = list(&run.samples, measure, values);
        titled(
            title,
            table.map(|table| format!("{}\n\n{table}", head(run))),
        )
    })
    .concat()
}

/// What decides over all of a table: the CPU, and what seals on it.
fn head(run: &Run) -> String {
    let of = |wanted: &str| run.machine.versions.iter().find(|(name, _)| name == wanted);
    let versions = ["OpenSSL", NEWER_OPENSSL].into_iter().filter_map(of);
    let versions: Vec<&str> = versions.map(|(_, version)| version.as_str()).collect();
    format!("{}; {}", run.machine.cpu, versions.join("; "))
}
