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
    /// The tuned nginx under `underseal run`.
    pub const NGINX_RUN: &str = "nginx under `underseal run`";
    /// The tuned nginx on a newer OpenSSL.
    pub const NGINX_NEWER: &str = "nginx with TLS, tuned, newer OpenSSL";
    /// The same with the library that `underseal run` puts before a program.
    pub const NGINX_NEWER_RUN: &str = "nginx under the library, newer OpenSSL";
    /// nginx without TLS, under `underseal run`.
    pub const NGINX_PLAIN_RUN: &str = "nginx without TLS, under `underseal run`";
}

/// Bytes of the file that many connections ask for.
pub const SMALL_FILE: usize = 1024;
/// Bytes of one that is several records long.
pub const MEDIUM_FILE: usize = 64 * 1024;

/// A file below the document root.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// The request for it, on a connection that is kept.
    pub request: &'static [u8],
    /// Its length.
    pub bytes: usize,
}

/// A file of one record.
pub const SMALL: Resource = Resource {
    request: b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n",
    bytes: SMALL_FILE,
};
/// A file of several records.
pub const MEDIUM: Resource = Resource {
    request: b"GET /medium HTTP/1.1\r\nHost: localhost\r\n\r\n",
    bytes: MEDIUM_FILE,
};

/// How long a server has to become idle again: what it does after the last byte counts too.
pub(crate) const SETTLE: Duration = Duration::from_millis(50);

/// Measures the download of one big file.
///
/// # Errors
///
/// When a server does not start, or the file does not come.
pub fn download(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    each_server(context, round, FILES, |server| {
        download_big(context, server, ("http download", round), samples)
    })
}

/// Downloads the big file from one server.
pub(crate) fn download_big(
    context: &Context,
    server: &Server,
    (measure, round): (&str, u32),
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let connection = client::open(context, server)?;
    sleep(SETTLE);
    let before = ProcessCpu::of(server.pid())?;
    let elapsed = client::download(connection, "/big", context.scale.file_bytes)?;
    sleep(SETTLE);
    let cpu = ProcessCpu::of(server.pid())?.since(&before);
    let gigabytes = context.scale.file_bytes as f64 / 1e9;
    samples.add(
        (measure, server.name(), "", round),
        &[
            ("cpu_s_per_gb", cpu.as_secs_f64() / gigabytes),
            ("gb_per_s", gigabytes / elapsed.as_secs_f64()),
        ],
    );
    Ok(())
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
            resource: SMALL,
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
        connections::measure(context, server, ("http connections", round), samples)
    })
}

/// How a server of the files of a directory is started.
pub(crate) type Start = fn(&Context, &Path) -> anyhow::Result<Server>;

pub(crate) const SERVE: (&str, Start) = (name::SERVE, serve::start);
pub(crate) const NGINX_TLS: (&str, Start) = (name::NGINX_TLS, |context, root| {
    nginx::start(context, root, nginx::Variant::Stock)
});

pub(crate) const NGINX_TUNED: (&str, Start) = (name::NGINX_TUNED, |context, root| {
    nginx::start(context, root, nginx::Variant::Tuned)
});
pub(crate) const NGINX_PLAIN: (&str, Start) = (name::NGINX_PLAIN, |context, root| {
    nginx::start(context, root, nginx::Variant::Plain)
});

/// Those that serve files, well or less well.
const FILES: &[(&str, Start)] = &[SERVE, NGINX_TLS, NGINX_TUNED, NGINX_PLAIN];

/// Those whose handshakes are compared.
const OF_CONNECTIONS: &[(&str, Start)] = &[SERVE, NGINX_TLS, (name::HAPROXY, haproxy::start)];

/// Starts each server in turn, on the core of the measured side, and lets `measure` drive it from
/// a thread on the other core.
pub(crate) fn each_server<S>(
    context: &Context,
    round: u32,
    servers: &[(&str, S)],
    mut measure: impl FnMut(&Server) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()>
where
    S: Fn(&Context, &Path) -> anyhow::Result<Server> + Sync,
{
    let root = document_root(context)?;
    for (name, start) in context.in_turn(servers.iter().collect(), round) {
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
            .with_context(|| (*name).to_owned())?;
        }
    }
    Ok(())
}

pub(crate) fn document_root(context: &Context) -> anyhow::Result<PathBuf> {
    let big = file_of(context)?;
    let root = big.parent().context("no document root")?.to_path_buf();
    fs::write(root.join("small"), [0x5a; SMALL_FILE]).context("cannot write the small file")?;
    fs::write(root.join("medium"), vec![0x5a; MEDIUM_FILE]).context("cannot write a file")?;
    Ok(root)
}
