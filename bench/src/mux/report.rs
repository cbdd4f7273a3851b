//! The summary of a run of `bench mux`.

use std::fmt::Write as _;

use super::load::Load;
use super::{MEASURE, name};
use crate::report::figures::{Figure, Target, ratio, table_of};
use crate::report::tables::{list, titled};
use crate::run::{Run, Samples};

/// The machine, the load, the figure to reach, and every row.
pub fn summary(run: &Run, load: &Load) -> String {
    let mut text = String::from("# underseal: bench mux\n\n");
    text.push_str(&run.machine.to_markdown());
    let _ = writeln!(text, "- AEAD backend of underseal here: {}", run.backend);
    let _ = writeln!(text, "- load: {}", describe(load));
    let _ = writeln!(text, "- command: `underseal-bench {}`\n", run.command);
    text.push_str(&table_of(&figures(&run.samples)));
    let values = [
        ("p50_us", "p50, µs"),
        ("p99_us", "p99, µs"),
        ("p999_us", "p99.9, µs"),
        ("requests_per_s", "requests/s"),
        ("cpu_us_per_request", "CPU of the service per request, µs"),
        ("late_us", "client late, µs"),
    ];
    let title = "a request and reply service, by threads";
    text.push_str(&titled(title, list(&run.samples, MEASURE, &values)));
    text
}

fn describe(load: &Load) -> String {
    let busy = load.cheap.as_secs_f64() * (1.0 - 1.0 / f64::from(load.one_in))
        + load.dear.as_secs_f64() / f64::from(load.one_in);
    format!(
        "{} connections, the one of rank k sending 1/k as much as the first; {} requests/s at random \
         times; {} µs of CPU each, 1 in {} of them {} µs: {:.0} % of a core, TLS and TCP not counted",
        load.connections,
        load.rate,
        load.cheap.as_micros(),
        load.one_in,
        load.dear.as_micros(),
        busy * f64::from(load.rate) * 100.0,
    )
}

/// `Mux` as its documentation advises against pinned threads, by number of threads. The figure to
/// reach is p99; the others say what it costs.
pub fn figures(samples: &Samples) -> Vec<Figure> {
    let mut figures = Vec::new();
    for threads in samples.settings(MEASURE, name::DRIVING) {
        let of = |row, value| samples.series(MEASURE, row, &threads, value);
        let what = format!("`Mux` ÷ pinned, {threads} threads: p99");
        figures.push(ratio(
            what,
            Target::AtMost(0.80),
            &of(name::DRIVING, "p99_us"),
            &of(name::PINNED, "p99_us"),
        ));
    }
    figures
}
