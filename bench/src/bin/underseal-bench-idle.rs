//! Child processes of the bench that hold connections open; its allocator counts.
//!
//! A program of its own, because counting makes every allocation a little slower, and peers that
//! allocate for each record would pay for it in the other measures.

use std::alloc::System;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use underseal_bench::idle::{clients, server};
use underseal_bench::rows::Hold;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Started by underseal-bench; of no use by itself.
#[derive(Parser)]
struct Arguments {
    /// Where cert.pem and key.pem are
    credentials: PathBuf,
    #[command(subcommand)]
    side: Side,
}

#[derive(Subcommand)]
enum Side {
    /// Holds connections
    Server {
        row: String,
        hold: Held,
        count: usize,
    },
    /// Opens them
    Clients {
        address: SocketAddr,
        kind: Kind,
        count: usize,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Held {
    Stream,
    Task,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Plain,
    Tls,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let directory = &arguments.credentials;
    match arguments.side {
        Side::Server { row, hold, count } => {
            let hold = match hold {
                Held::Stream => Hold::Stream,
                Held::Task => Hold::Task,
            };
            server::run(directory, &row, hold, count, HEAP)
        }
        Side::Clients {
            address,
            kind,
            count,
        } => clients::run(directory, address, kind == Kind::Tls, count),
    }
}
