//! Child process of `bench policy` that counts allocations; a program of its own, because counting
//! makes every allocation a little slower.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_bench::policy::heads;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Prints row, number of rules and allocations of each as JSON.
fn main() -> anyhow::Result<()> {
    let counts = heads::allocations(|work| {
        let region = Region::new(HEAP);
        work();
        let change = region.change();
        change.allocations + change.reallocations
    })?;
    println!("{}", serde_json::to_string(&counts)?);
    Ok(())
}
