//! nginx between a client with TLS and a backend without.

use std::path::Path;
use std::thread::scope;

use anyhow::{Context as _, anyhow};

use super::{measure as names, name, proof};
use crate::context::Context;
use crate::cpu_time::pin_to;
use crate::http::server::{Server, free_address};
use crate::http::{document_root, download_big, each_server, nginx};
use crate::proxy::backend;
use crate::proxy::nginx::{Ends, large_buffers};
use crate::run::Samples;

/// Measures one big file that nginx fetches from another nginx.
///
/// # Errors
///
/// When one of them does not start, or the file does not come.
pub(super) fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let backend = start_backend(context)?;
    let between = |row: &'static str| {
        let backend = &backend;
        move |context: &Context, _: &Path| start(context, backend, row)
    };
    let rows = [name::NGINX_TUNED, name::NGINX_RUN].map(|row| (row, between(row)));
    each_server(context, round, &rows, |server| {
        proof::of_the_row(context, server)?;
        download_big(context, server, (names::PROXIED, round), samples)
    })
}

/// On the core of the client, with which it has to do.
fn start_backend(context: &Context) -> anyhow::Result<Server> {
    let root = document_root(context)?;
    let start = || {
        pin_to(context.cores.peer)?;
        backend::start(context, &root)
    };
    let started = scope(|scope| scope.spawn(start).join());
    started.unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
}

fn start(context: &Context, backend: &Server, row: &'static str) -> anyhow::Result<Server> {
    let directory = context.directory.path();
    let ends = Ends {
        address: free_address()?,
        backend: backend.address(),
        from_http2: false,
        credentials: directory,
    };
    nginx::write(directory, "1", &large_buffers(&ends))?;
    let mut command = nginx::command(directory);
    if row == name::NGINX_RUN {
        command = nginx::under_run(context, &command)?;
    }
    Server::start(row, &mut command, ends.address, true).with_context(|| nginx::errors(directory))
}
