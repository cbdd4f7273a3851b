//! Child processes of the bench whose allocator counts.
//!
//! A program of its own, because counting makes every allocation a little slower, and peers that
//! allocate for each record would pay for it in the other measures.

use std::alloc::System;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_bench::idle::{clients, server};
use underseal_bench::policy::heads;
use underseal_bench::rows::Hold;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Started by underseal-bench; of no use by itself.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    child: Child,
}

#[derive(Subcommand)]
enum Child {
    /// Judges heads of requests, and prints row, number of rules and allocations of each as JSON
    Heads,
    /// Holds connections
    Server {
        /// Where cert.pem and key.pem are
        credentials: PathBuf,
        row: String,
        hold: Held,
        count: usize,
    },
    /// Opens them
    Clients {
        /// Where cert.pem and key.pem are
        credentials: PathBuf,
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
    match Arguments::parse().child {
        Child::Heads => count_heads(),
        Child::Server {
            credentials,
            row,
            hold,
            count,
        } => {
            let hold = match hold {
                Held::Stream => Hold::Stream,
                Held::Task => Hold::Task,
            };
            server::run(&credentials, &row, hold, count, HEAP)
        }
        Child::Clients {
            credentials,
            address,
            kind,
            count,
        } => clients::run(&credentials, address, kind == Kind::Tls, count),
    }
}

fn count_heads() -> anyhow::Result<()> {
    let counts = heads::allocations(|work| {
        let region = Region::new(HEAP);
        work();
        let change = region.change();
        change.allocations + change.reallocations
    })?;
    println!("{}", serde_json::to_string(&counts)?);
    Ok(())
}
