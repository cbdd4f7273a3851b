//! Memory of established connections that nobody uses at the moment.
//!
//! Server and clients are processes of their own (`underseal-bench-counted`): one row's memory is
//! never seen by the next, and the clients' memory is never counted.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::context::{Context, beside_this_program};
use crate::rows::{Hold, Row, name};
use crate::run::Samples;
use crate::tunables::VARIABLE;

pub mod clients;
pub mod server;

/// What the server process reports, all connections together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Connections held open.
    pub connections: usize,
    /// Bytes of heap that live because of them, those of C libraries and what malloc adds for
    /// itself included.
    pub heap_bytes: u64,
    /// Bytes that live because of them and that Rust code asked for.
    pub rust_heap_bytes: u64,
    /// Blocks of the latter.
    pub rust_heap_blocks: u64,
    /// Allocations made from the first handshake to the last reply.
    pub allocations: u64,
    /// Growth of the process' resident memory, C heap included.
    pub resident_bytes: u64,
}

/// Measures every row, once per way to hold a connection.
///
/// # Errors
///
/// When a child process fails.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let rows = context.rows(round).into_iter();
    for row in rows.filter(|row| row.name() != name::ONE_LOOP) {
        for hold in ways(row) {
            let held = run_child(context, row.name(), *hold)?;
            let each = |total: u64| total as f64 / held.connections as f64;
            samples.add(
                ("idle", row.name(), word(*hold), round),
                &[
                    ("heap_bytes", each(held.heap_bytes)),
                    ("rust_heap_bytes", each(held.rust_heap_bytes)),
                    ("rust_heap_blocks", each(held.rust_heap_blocks)),
                    ("allocations", each(held.allocations)),
                    ("resident_bytes", each(held.resident_bytes)),
                ],
            );
        }
    }
    Ok(())
}

/// How a way to hold connections is called in tables and on the child's command line.
pub fn word(hold: Hold) -> &'static str {
    match hold {
        Hold::Stream => "stream",
        Hold::Task => "task",
    }
}

fn ways(row: &dyn Row) -> &'static [Hold] {
    if row.has_tasks() {
        &[Hold::Stream, Hold::Task]
    } else {
        &[Hold::Stream]
    }
}

fn run_child(context: &Context, row: &str, hold: Hold) -> anyhow::Result<Held> {
    let count = context.scale.connections.to_string();
    let mut command = idle_program("server", context.directory.path())?;
    command
        .args([row, word(hold), &count])
        .stderr(Stdio::inherit());
    let output = command
        .output()
        .context("cannot start underseal-bench-counted")?;
    if !output.status.success() {
        bail!("underseal-bench-counted, {row}: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("underseal-bench-counted said something odd")
}

/// The program of both child processes, told which it is and where the certificate is.
fn idle_program(child: &str, directory: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(beside_this_program("underseal-bench-counted")?);
    // Resident memory is that of the C library as shipped.
    command.arg(child).arg(directory).env_remove(VARIABLE);
    Ok(command)
}
