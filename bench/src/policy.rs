//! What policy costs: programs on the plaintext of a stream, and heads of requests against rules.

use crate::report::figures::{Figure, Target, plain, ratio};
use crate::report::tables::{grid, titled};
use crate::run::{Run, Samples};
use crate::suite::{Measure, Suite};

pub mod edits;
pub mod heads;
pub mod programs;
pub mod tokens;

/// `cargo xtask bench policy`.
pub const SUITE: Suite = Suite {
    name: "policy",
    measures: &[
        Measure::each_round("program send", programs::send),
        Measure::each_round("program receive", programs::receive),
        Measure::each_round("edits", edits::measure),
        Measure::each_round("heads", heads::measure),
        Measure::each_round("tokens", tokens::measure),
        Measure::once("allocations", heads::count_allocations),
    ],
    check: |_, _| Ok(()),
    figures,
    tables,
};

fn figures(run: &Run) -> Vec<Figure> {
    let samples = &run.samples;
    let mut figures = vec![program(samples)];
    for row in [edits::name::POP, edits::name::PUSH] {
        let took = samples.series("edits", row, "", "ms");
        let what = format!("{row} of 64 KiB: ms");
        figures.push(plain(what, Target::AtMost(1.0), took));
    }
    let setting = heads::setting(1000);
    for row in [heads::name::HTTP1_ALLOWED, heads::name::HTTP1_DENIED] {
        let took = samples.series("heads", row, &setting, "ns");
        let what = format!("{row}, 600 bytes, 1000 rules: µs");
        let microseconds = took.with(&took, |ns, _| ns / 1e3);
        figures.push(plain(what, Target::AtMost(0.7), microseconds));
        let count = samples.series("allocations", row, &setting, "allocations");
        let what = format!("{row}, 1000 rules: allocations");
        figures.push(plain(what, Target::AtMost(0.0), count));
    }
    let cached = samples.series("tokens", tokens::name::CACHED, "", "ns");
    let microseconds = cached.with(&cached, |ns, _| ns / 1e3);
    let what = "a token of ES256 that was verified before: µs";
    figures.push(plain(what, Target::AtMost(1.0), microseconds));
    figures
}

fn program(samples: &Samples) -> Figure {
    let cpu = |row| samples.series("program send", row, "16384", "cpu_s_per_gb");
    let what = "a program that passes everything, 16 KiB messages: CPU ÷ no program";
    let (passes, none) = (cpu(programs::name::PASS), cpu(programs::name::NONE));
    ratio(what, Target::AtMost(1.02), &passes, &none)
}

fn tables(run: &Run) -> String {
    let samples = &run.samples;
    let mut text = String::new();
    for (measure, of, varied) in [
        ("program send", "the sender", "write size"),
        ("program receive", "the receiver", "read buffer"),
    ] {
        let title = format!("{measure}, CPU-s per GB of {of} by {varied}");
        text.push_str(&titled(&title, grid(samples, measure, "cpu_s_per_gb")));
    }
    for (measure, value, title) in [
        (
            "edits",
            "ms",
            "a message of 64 KiB that a program edits, ms",
        ),
        (
            "heads",
            "ns",
            "reading a head of 600 bytes and finding its rule, ns",
        ),
        ("allocations", "allocations", "allocations of the same"),
        (
            "tokens",
            "ns",
            "finding the token of a request and believing it, ns",
        ),
    ] {
        text.push_str(&titled(title, grid(samples, measure, value)));
    }
    text
}
