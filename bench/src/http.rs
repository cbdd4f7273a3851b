//! `underseal serve` beside nginx and HAProxy: CPU time of the server's processes, one client for all.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;

use crate::context::Context;
use crate::cpu_time::{ProcessCpu, pin_to};
use crate::files::file_of;
use crate::run::Samples;

pub mod client;
pub mod connections;
pub mod haproxy;
pub mod load;
pub mod nginx;
pub mod serve;
pub mod server;

use server::Server;

/// Names of the rows.
pub mod name {
    /// `underseal serve`.
    pub const SERVE: &str = "underseal serve";
    /// nginx with TLS, configured as its manual begins.
    pub const NGINX_TLS: &str = "nginx with TLS";
    /// The same with everything set that helps it here.
    pub const NGINX_TUNED: &str = "nginx with TLS, tuned";
    /// nginx without TLS.
    pub const NGINX_PLAIN: &str = "nginx without TLS";
    /// HAProxy, which answers by itself.
    pub const HAPROXY: &str = "HAProxy with TLS";
}

/// Bytes of the file that many connections ask for.
pub const SMALL_FILE: usize = 1024;

/// How long a server has to become idle again: what it does after the last byte counts too.
pub(crate) const SETTLE: Duration = Duration::from_millis(50);

/// Measures the download of one big file.
///
/// # Errors
///
/// When a server does not start, or the file does not come.
pub fn download(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each_server(context, round, FILES, |server| {
        let connection = client::open(context, server)?;
        sleep(SETTLE);
        let before = ProcessCpu::of(server.pid())?;
        let elapsed = client::download(connection, "/big", context.scale.file_bytes)?;
        sleep(SETTLE);
        let cpu = ProcessCpu::of(server.pid())?.since(&before);
        let gigabytes = context.scale.file_bytes as f64 / 1e9;
        samples.add(
            ("http download", server.name(), "", round),
            &[
                ("cpu_s_per_gb", cpu.as_secs_f64() / gigabytes),
                ("gb_per_s", gigabytes / elapsed.as_secs_f64()),
            ],
        );
        Ok(())
    })
}

/// Measures requests on a few of many open connections.
///
/// # Errors
///
/// When a server does not start. Requests that fail are counted, and are no error here.
pub fn many(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each_server(context, round, FILES, |server| {
        let shape = load::Shape {
            connections: context.scale.connections,
            active: context.scale.active,
            requests: context.scale.requests,
        };
        let values = load::run(context, server, shape)?.values();
        samples.add(("http load", server.name(), "", round), &values);
        Ok(())
    })
}

/// Measures connections that live for one request.
///
/// # Errors
///
/// When a server does not start, or does not answer.
pub fn short_lived(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each_server(context, round, OF_CONNECTIONS, |server| {
        connections::measure(context, server, round, samples)
    })
}

type Start = fn(&Context, &Path) -> anyhow::Result<Server>;

const SERVE: (&str, Start) = (name::SERVE, serve::start);
const NGINX_TLS: (&str, Start) = (name::NGINX_TLS, |context, root| {
    nginx::start(context, root, nginx::Variant::Stock)
});

/// Those that serve files, well or less well.
const FILES: &[(&str, Start)] = &[
    SERVE,
    NGINX_TLS,
    (name::NGINX_TUNED, |context, root| {
        nginx::start(context, root, nginx::Variant::Tuned)
    }),
    (name::NGINX_PLAIN, |context, root| {
        nginx::start(context, root, nginx::Variant::Plain)
    }),
];

/// Those whose handshakes are compared.
const OF_CONNECTIONS: &[(&str, Start)] = &[SERVE, NGINX_TLS, (name::HAPROXY, haproxy::start)];

/// Starts each server in turn, on the core of the measured side, and lets `measure` drive it from
/// a thread on the other core.
fn each_server(
    context: &Context,
    round: u32,
    servers: &[(&str, Start)],
    mut measure: impl FnMut(&Server) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let root = document_root(context)?;
    for (name, start) in context.in_turn(servers.to_vec(), round) {
        if context.wants(name) {
            std::thread::scope(|scope| {
                let driver = scope.spawn(|| {
                    // Children inherit the pin of the thread that starts them.
                    pin_to(context.cores.measured)?;
                    let server = start(context, &root)?;
                    pin_to(context.cores.peer)?;
                    measure(&server)
                });
                driver
                    .join()
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("the client panicked")))
            })
            .with_context(|| name.to_owned())?;
        }
    }
    Ok(())
}

fn document_root(context: &Context) -> anyhow::Result<PathBuf> {
    let big = file_of(context)?;
    let root = big.parent().context("no document root")?.to_path_buf();
    fs::write(root.join("small"), [0x5a; SMALL_FILE]).context("cannot write the small file")?;
    Ok(root)
}
