//! Latency and CPU time of a 1 KiB request and a 1 KiB reply, both sides of the same row.

use std::time::Duration;

use crate::context::Context;
use crate::pairs::Cost;
use crate::rows::{MESSAGE, Row, Tuning};
use crate::run::Samples;
use crate::streams::transfer;

/// Round trips before the clock starts: they bring tickets, window sizes and caches into place.
const WARM_UP: usize = 100;

/// Measures round trips.
///
/// # Errors
///
/// When a row fails.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    for row in context.rows(round) {
        let (server, client, mut latencies) = exchange(context, row)?;
        latencies.sort_unstable();
        let times = context.scale.round_trips as f64;
        let per_trip = |cost: Cost| cost.cpu.as_secs_f64() * 1e6 / times;
        samples.add(
            ("round trip", row.name(), "", round),
            &[
                ("cpu_us", per_trip(server) + per_trip(client)),
                ("server_cpu_us", per_trip(server)),
                ("client_cpu_us", per_trip(client)),
                ("p50_us", quantile(&latencies, 0.50)),
                ("p99_us", quantile(&latencies, 0.99)),
            ],
        );
    }
    Ok(())
}

fn exchange(context: &Context, row: &dyn Row) -> anyhow::Result<(Cost, Cost, Vec<Duration>)> {
    let times = context.scale.round_trips;
    let tuning = Tuning {
        write_size: MESSAGE,
        read_buffer: MESSAGE,
    };
    let mut latencies = Vec::new();
    let (server, client) = transfer(
        context,
        |tcp, ready| {
            let mut link = row.accept(tcp, tuning)?;
            ready.wait()?;
            link.reply(WARM_UP)?;
            Cost::of(|| Ok(link.reply(times)?))
        },
        |tcp, ready| {
            let mut link = row.connect(tcp, tuning)?;
            ready.wait()?;
            link.request(WARM_UP)?;
            Cost::of(|| {
                latencies = link.request(times)?;
                Ok(())
            })
        },
    )?;
    Ok((server, client, latencies))
}

/// A quantile of sorted durations, in microseconds.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted
        .get(index)
        .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_hundred_are_its_members() {
        let sorted: Vec<_> = (0..101).map(Duration::from_micros).collect();
        assert_eq!(
            (quantile(&sorted, 0.5), quantile(&sorted, 0.99)),
            (50.0, 99.0)
        );
    }
}
