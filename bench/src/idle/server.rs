//! The process that holds the connections.

use std::alloc::System;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::Context as _;
use stats_alloc::{Region, StatsAlloc};

use super::{Held, idle_program};
use crate::cpu_time::{raise_open_files, resident_bytes};
use crate::credentials::Credentials;
use crate::rows::{self, Hold, Row};

/// File descriptors that are not connections.
const SPARE_FILES: u64 = 200;

/// Accepts `count` connections, holds them all and prints what they cost.
///
/// # Errors
///
/// When a connection cannot be established.
pub fn run(
    directory: &Path,
    row: &str,
    hold: Hold,
    count: usize,
    heap: &StatsAlloc<System>,
) -> anyhow::Result<()> {
    raise_open_files(count as u64 + SPARE_FILES)?;
    let rows = rows::all(&Credentials::read_below(directory)?)?;
    let row = rows
        .iter()
        .find(|candidate| candidate.name() == row)
        .context("no such row")?;
    // Once for what is made once per process, and stays.
    hold_all(directory, row.as_ref(), hold, 1, heap)?;
    let held = hold_all(directory, row.as_ref(), hold, count, heap)?;
    serde_json::to_writer(std::io::stdout(), &held)?;
    std::io::stdout().flush().context("cannot answer")
}

fn hold_all(
    directory: &Path,
    row: &dyn Row,
    hold: Hold,
    count: usize,
    heap: &StatsAlloc<System>,
) -> anyhow::Result<Held> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    let address = listener.local_addr()?.to_string();
    let kind = if row.encrypts() { "tls" } else { "plain" };
    let mut clients = idle_program(directory)?
        .args(["clients", &address, kind, &count.to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start the clients")?;
    let resident = resident_bytes(std::process::id())?;
    let region = Region::new(heap);
    let held = row.hold(listener, count, hold);
    let change = region.change();
    let resident = resident_bytes(std::process::id())?.saturating_sub(resident);
    drop(held.inspect_err(|_| stop(&mut clients))?);
    stop(&mut clients);
    Ok(Held {
        connections: count,
        heap_bytes: change
            .bytes_allocated
            .saturating_sub(change.bytes_deallocated) as u64,
        heap_blocks: change.allocations.saturating_sub(change.deallocations) as u64,
        allocations: change.allocations as u64,
        resident_bytes: resident,
    })
}

/// The clients close their connections when their standard input ends.
fn stop(clients: &mut Child) {
    drop(clients.stdin.take());
    if let Err(error) = clients.wait() {
        eprintln!("clients: {error}");
    }
}
