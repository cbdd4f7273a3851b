//! The figures to reach: each a ratio of two rows of the same run, taken round by round.

use super::{Table, bytes, number, spread};
use crate::records::{alone_row, underseal_row};
use crate::rows::name;
use crate::run::{Run, Samples, Series};
use crate::{handshakes, http};

const CPU: &str = "cpu_s_per_gb";

/// A figure, with what was measured for it.
#[derive(Debug)]
pub struct Figure {
    /// What is compared.
    pub what: String,
    /// What it shall be.
    pub target: Target,
    /// What it was, round by round.
    pub measured: Series,
    /// What it was between the best round of either row: the estimate that a noisy machine
    /// disturbs least. Not a number for figures that are no ratio.
    pub of_the_best: f64,
}

/// A bound on a figure.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Figure {
    /// Whether the median is within the target; nothing when nothing was measured.
    pub fn reached(&self) -> Option<bool> {
        let median = self.measured.median();
        (!median.is_nan()).then_some(match self.target {
            Target::AtMost(bound) => median <= bound,
            Target::AtLeast(bound) => median >= bound,
        })
    }
}

/// Every figure of a run.
pub fn figures(run: &Run) -> Vec<Figure> {
    let samples = &run.samples;
    let mut figures = vec![download(samples)];
    figures.extend(send(samples, &run.backend));
    figures.extend(receive(samples, &run.backend));
    figures.extend(records(samples, &run.backend));
    figures.extend(like_for_like(samples));
    figures.extend(round_trips(samples));
    figures.push(replies(samples));
    figures.extend(handshakes(samples));
    figures.extend(idle(samples));
    figures.extend(load(samples));
    figures
}

/// Figures as a Markdown table.
pub fn table_of(figures: &[Figure]) -> String {
    let titles = [
        "figure",
        "target",
        "measured, median (min..max)",
        "reached",
        "best round ÷ best round",
    ];
    let mut table = Table::new(&titles.map(str::to_owned));
    for figure in figures {
        let target = match figure.target {
            Target::AtMost(bound) => format!("≤ {bound}"),
            Target::AtLeast(bound) => format!("≥ {bound}"),
        };
        let reached = match figure.reached() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "not measured",
        };
        table.row(&[
            figure.what.clone(),
            target,
            spread(&figure.measured),
            reached.to_owned(),
            number(figure.of_the_best),
        ]);
    }
    format!("## Figures to reach\n\n{}", table.finish())
}

/// CPU of plain TCP plus that of the AEAD alone, for `send` at one write size.
pub fn send_limit(samples: &Samples, backend: &str, write_size: &str) -> Series {
    let tcp = samples.series("send", name::PLAIN, write_size, CPU);
    tcp.plus(&samples.series("records seal", &alone_row(backend), "16384", CPU))
}

/// The same for `receive`, with plain TCP at its best read size.
pub fn receive_limit(samples: &Samples, backend: &str) -> Series {
    let tcp = best(samples, "receive", name::PLAIN);
    tcp.plus(&samples.series("records open", &alone_row(backend), "16384", CPU))
}

fn best(samples: &Samples, measure: &str, row: &str) -> Series {
    samples
        .lowest(measure, row, CPU)
        .map(|(_, series)| series)
        .unwrap_or_default()
}

/// A figure that is a number by itself.
pub(crate) fn plain(what: impl Into<String>, target: Target, measured: Series) -> Figure {
    Figure {
        what: what.into(),
        target,
        measured,
        of_the_best: f64::NAN,
    }
}

/// A figure that is the ratio of two series: costs where little is good, rates where much is.
pub(crate) fn ratio(
    what: impl Into<String>,
    target: Target,
    own: &Series,
    other: &Series,
) -> Figure {
    let of_the_best = match target {
        Target::AtMost(_) => own.min() / other.min(),
        Target::AtLeast(_) => own.max() / other.max(),
    };
    Figure {
        what: what.into(),
        target,
        measured: own.over(other),
        of_the_best,
    }
}

fn download(samples: &Samples) -> Figure {
    let measure = "http download";
    let serve = samples.series(measure, http::name::SERVE, "", CPU);
    let nginx = better_nginx(samples, measure, CPU);
    let what = "`serve`, one big file: server CPU per GB ÷ nginx with TLS";
    ratio(what, Target::AtMost(0.45), &serve, &nginx)
}

/// nginx with TLS, by whichever of its configurations needs less CPU.
pub(crate) fn better_nginx(samples: &Samples, measure: &str, value: &str) -> Series {
    lower(
        [http::name::NGINX_TLS, http::name::NGINX_TUNED]
            .map(|row| samples.series(measure, row, "", value)),
    )
}

/// The one whose median is lower, of those that were measured.
pub(crate) fn lower(series: [Series; 2]) -> Series {
    series
        .into_iter()
        .filter(|series| !series.is_empty())
        .min_by(|a, b| a.median().total_cmp(&b.median()))
        .unwrap_or_default()
}

fn send(samples: &Samples, backend: &str) -> Vec<Figure> {
    let ring = best(samples, "send", name::RUSTLS_RING);
    let aws = best(samples, "send", name::RUSTLS_AWS);
    let mut figures = Vec::new();
    for size in ["65536", "262144"] {
        let own = samples.series("send", name::UNDERSEAL, size, CPU);
        let limit = send_limit(samples, backend, size);
        let against = [
            ("limit", 1.10, &limit),
            ("rustls with ring at its best write size", 0.90, &ring),
            ("rustls with aws-lc-rs at its best write size", 0.70, &aws),
        ];
        for (whom, bound, other) in against {
            let what = format!("stream send, {} writes: CPU per GB ÷ {whom}", bytes(size));
            figures.push(ratio(what, Target::AtMost(bound), &own, other));
        }
    }
    figures
}

fn receive(samples: &Samples, backend: &str) -> Vec<Figure> {
    let own = best(samples, "receive", name::UNDERSEAL);
    let against = [
        ("limit", 1.15, receive_limit(samples, backend)),
        (
            "rustls with ring",
            0.90,
            best(samples, "receive", name::RUSTLS_RING),
        ),
        (
            "rustls with aws-lc-rs",
            0.70,
            best(samples, "receive", name::RUSTLS_AWS),
        ),
    ];
    let figures = against.into_iter().map(|(whom, bound, other)| {
        let what = format!("stream receive: CPU per GB ÷ {whom}");
        ratio(what, Target::AtMost(bound), &own, &other)
    });
    figures.collect()
}

fn records(samples: &Samples, backend: &str) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (size, bound) in [("1024", 0.80), ("16384", 0.95)] {
        for measure in ["records seal", "records open"] {
            let rate = |row: String| samples.series(measure, &row, size, "gb_per_s");
            let what = format!(
                "{measure} in memory, {}: GB/s ÷ the AEAD alone",
                bytes(size)
            );
            let (own, alone) = (rate(underseal_row(backend)), rate(alone_row(backend)));
            figures.push(ratio(what, Target::AtLeast(bound), &own, &alone));
        }
    }
    figures
}

/// Sending under tokio, both sides with the same writes.
fn like_for_like(samples: &Samples) -> Vec<Figure> {
    let bounds = [
        ("1024", 0.90),
        ("16384", 0.90),
        ("65536", 0.85),
        ("262144", 0.65),
    ];
    let figures = bounds.into_iter().map(|(size, bound)| {
        let own = samples.series("send", name::UNDERSEAL_TOKIO, size, CPU);
        let other = better_tokio_rustls(samples, "send", size, CPU);
        let what = format!(
            "tokio, {} writes: CPU per GB ÷ tokio-rustls with the same writes",
            bytes(size)
        );
        ratio(what, Target::AtMost(bound), &own, &other)
    });
    figures.collect()
}

/// tokio-rustls, by whichever of its providers needs less.
fn better_tokio_rustls(samples: &Samples, measure: &str, setting: &str, value: &str) -> Series {
    lower(
        [name::TOKIO_RUSTLS_RING, name::TOKIO_RUSTLS_AWS]
            .map(|row| samples.series(measure, row, setting, value)),
    )
}

fn round_trips(samples: &Samples) -> [Figure; 2] {
    let measure = "round trip";
    let cpu = |row| samples.series(measure, row, "", "cpu_us");
    let what = "1 KiB request and reply: CPU per round trip";
    let tokio_rustls = better_tokio_rustls(samples, measure, "", "cpu_us");
    [
        ratio(
            format!("{what} ÷ rustls with ring"),
            Target::AtMost(1.00),
            &cpu(name::UNDERSEAL),
            &cpu(name::RUSTLS_RING),
        ),
        ratio(
            format!("{what}, tokio ÷ tokio-rustls"),
            Target::AtMost(1.00),
            &cpu(name::UNDERSEAL_TOKIO),
            &tokio_rustls,
        ),
    ]
}

fn replies(samples: &Samples) -> Figure {
    let (measure, value) = ("replies", "server_cpu_us");
    let own = samples.series(measure, name::UNDERSEAL_TOKIO, "", value);
    let other = better_tokio_rustls(samples, measure, "", value);
    let what = "axum, 64 replies of 1 KiB in flight: server CPU per reply ÷ tokio-rustls";
    ratio(what, Target::AtMost(0.95), &own, &other)
}

fn handshakes(samples: &Samples) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (setting, _) in handshakes::SETTINGS {
        for (own, peer) in handshakes::name::PAIRS {
            let cpu = |row| samples.series("handshake", row, setting, "server_cpu_us");
            let what = format!("{setting} handshake: server CPU, {own} ÷ {peer}");
            figures.push(ratio(what, Target::AtMost(1.02), &cpu(own), &cpu(peer)));
        }
    }
    figures
}

fn idle(samples: &Samples) -> Vec<Figure> {
    let heap = |row| samples.series("idle", row, "task", "heap_bytes");
    let own = heap(name::UNDERSEAL_TOKIO);
    let what = "heap per idle established server connection";
    let bytes = format!("{what}, bytes, its task included");
    let mut figures = vec![plain(bytes, Target::AtMost(2560.0), own.clone())];
    for row in [name::TOKIO_RUSTLS_RING, name::TOKIO_RUSTLS_AWS] {
        figures.push(ratio(
            format!("{what} ÷ {row}"),
            Target::AtMost(0.3),
            &own,
            &heap(row),
        ));
    }
    figures
}

fn load(samples: &Samples) -> [Figure; 2] {
    let of = |row, value| samples.series("http load", row, "", value);
    let own = of(http::name::SERVE, "cpu_us_per_request");
    let nginx = better_nginx(samples, "http load", "cpu_us_per_request");
    let what = "`serve`, many open connections";
    let errors = of(http::name::SERVE, "errors");
    let cpu = format!("{what}: CPU per request ÷ nginx with TLS");
    [
        plain(format!("{what}: errors"), Target::AtMost(0.0), errors),
        ratio(cpu, Target::AtMost(1.00), &own, &nginx),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_by_its_median() {
        let series = |values: &[f64]| -> Series {
            values
                .iter()
                .enumerate()
                .map(|(round, v)| (round as u32, *v))
                .collect()
        };
        let at = |target, values: &[f64]| plain("", target, series(values)).reached();
        assert_eq!(at(Target::AtMost(1.0), &[0.9, 1.0, 9.0]), Some(true));
        assert_eq!(at(Target::AtMost(1.0), &[0.9, 1.1, 9.0]), Some(false));
        assert_eq!(at(Target::AtLeast(0.8), &[0.7, 0.8, 0.9]), Some(true));
        assert_eq!(at(Target::AtLeast(0.8), &[]), None);
    }

    #[test]
    fn the_limit_is_tcp_plus_the_aead_of_the_same_round() {
        let mut samples = Samples::default();
        for (round, tcp, aead) in [(0, 0.1, 0.2), (1, 0.3, 0.4)] {
            samples.add(("send", name::PLAIN, "65536", round), &[(CPU, tcp)]);
            samples.add(
                ("records seal", &alone_row("ring"), "16384", round),
                &[(CPU, aead)],
            );
        }
        let limit = send_limit(&samples, "ring", "65536");
        assert!((limit.min() - 0.3).abs() < 1e-9 && (limit.max() - 0.7).abs() < 1e-9);
    }
}
