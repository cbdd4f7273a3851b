//! What a server holds for downloads that nobody reads.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{RESIDENT, TLS, each, measure as names};
use crate::context::Context;
use crate::cpu_time::{ProcessCpu, resident_bytes_of_family};
use crate::http::server::Server;
use crate::http::{SMALL_FILE, client};
use crate::run::Samples;

/// A server that needs less CPU than this between two looks has nothing more to do.
const IDLE: Duration = Duration::from_millis(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures how much more memory a server has when it is stuck in downloads on connections that it had before.
///
/// # Errors
///
/// When a server does not start, or goes on working.
pub(super) fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let count = context.scale.stalled;
    each(context, round, TLS, |server| {
        let mut open = Vec::with_capacity(count);
        for _ in 0..count {
            let mut connection = client::open(context, server)?;
            client::fetch(&mut connection, "/small", SMALL_FILE)?;
            open.push(connection);
        }
        wait_until_idle(server)?;
        let before = resident_bytes_of_family(server.pid())?;
        for connection in &mut open {
            client::ask(connection, "/big")?;
        }
        wait_until_idle(server)?;
        let after = resident_bytes_of_family(server.pid())?;
        let each = (after as f64 - before as f64) / count as f64;
        samples.add(
            (names::STALLED, server.name(), "", round),
            &[(RESIDENT, each)],
        );
        Ok(())
    })
}

fn wait_until_idle(server: &Server) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let before = ProcessCpu::of(server.pid())?;
        sleep(BETWEEN_LOOKS);
        if ProcessCpu::of(server.pid())?.since(&before) < IDLE {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{} goes on working", server.name());
    }
}
