//! The process that holds the connections.

use std::alloc::System;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::Context as _;
use malloc_info::info::{SystemType, TotalType};
use malloc_info::malloc_info;
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
    let mut clients = idle_program("clients", directory)?
        .args([&address, kind, &count.to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start the clients")?;
    let resident = resident_bytes(std::process::id())?;
    let whole = heap_in_use()?;
    let region = Region::new(heap);
    let held = row.hold(listener, count, hold);
    let change = region.change();
    let whole = heap_in_use()?.saturating_sub(whole);
    let resident = resident_bytes(std::process::id())?.saturating_sub(resident);
    drop(held.inspect_err(|_| stop(&mut clients))?);
    stop(&mut clients);
    Ok(Held {
        connections: count,
        heap_bytes: whole,
        rust_heap_bytes: change
            .bytes_allocated
            .saturating_sub(change.bytes_deallocated) as u64,
        rust_heap_blocks: change.allocations.saturating_sub(change.deallocations) as u64,
        allocations: change.allocations as u64,
        resident_bytes: resident,
    })
}

/// Bytes in blocks that malloc has given out and not got back, whoever asked for them.
///
/// The counting allocator sees Rust alone, and aws-lc-rs and OpenSSL keep their keys in blocks of
/// the C library.
fn heap_in_use() -> anyhow::Result<u64> {
    let malloc = malloc_info().context("malloc_info(3) does not work here")?;
    let system = malloc
        .system
        .iter()
        .filter(|part| part.r#type == SystemType::Current);
    let mapped = malloc
        .total
        .iter()
        .filter(|part| part.r#type == TotalType::Mmap);
    let free = malloc
        .total
        .iter()
        .filter(|part| part.r#type != TotalType::Mmap);
    let given =
        system.map(|part| part.size).sum::<usize>() + mapped.map(|part| part.size).sum::<usize>();
    Ok(given.saturating_sub(free.map(|part| part.size).sum()) as u64)
}

/// The clients close their connections when their standard input ends.
fn stop(clients: &mut Child) {
    drop(clients.stdin.take());
    if let Err(error) = clients.wait() {
        eprintln!("clients: {error}");
    }
}
