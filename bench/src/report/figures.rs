//! The figures to reach: each a ratio of two rows of the same run, taken round by round.

use super::{Table, bytes, spread};
use crate::http;
use crate::records::{alone_row, underseal_row};
use crate::rows::name;
use crate::run::{Run, Samples, Series};

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
    figures.push(round_trip(samples));
    figures.extend(idle(samples));
    figures.extend(load(samples));
    figures
}

/// The figures as a Markdown table.
pub fn table(run: &Run) -> String {
    let titles = ["figure", "target", "measured, median (min..max)", "reached"];
    let mut table = Table::new(&titles.map(str::to_owned));
    for figure in figures(run) {
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
            figure.what,
            target,
            spread(&figure.measured),
            reached.to_owned(),
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

fn figure(what: impl Into<String>, target: Target, measured: Series) -> Figure {
    Figure {
        what: what.into(),
        target,
        measured,
    }
}

fn download(samples: &Samples) -> Figure {
    let measure = "http download";
    let serve = samples.series(measure, http::name::SERVE, "", CPU);
    let nginx = better_nginx(samples, measure, CPU);
    let what = "`serve`, one big file: server CPU per GB ÷ nginx with TLS";
    figure(what, Target::AtMost(0.45), serve.over(&nginx))
}

/// nginx with TLS, by whichever of its configurations needs less CPU.
fn better_nginx(samples: &Samples, measure: &str, value: &str) -> Series {
    [http::name::NGINX_TLS, http::name::NGINX_TUNED]
        .map(|row| samples.series(measure, row, "", value))
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
        let underseal = samples.series("send", name::UNDERSEAL, size, CPU);
        let what = format!("stream send, {} writes: CPU per GB", bytes(size));
        let limit = send_limit(samples, backend, size);
        figures.push(figure(
            format!("{what} ÷ limit"),
            Target::AtMost(1.10),
            underseal.over(&limit),
        ));
        figures.push(figure(
            format!("{what} ÷ rustls with ring at its best write size"),
            Target::AtMost(0.90),
            underseal.over(&ring),
        ));
        figures.push(figure(
            format!("{what} ÷ rustls with aws-lc-rs at its best write size"),
            Target::AtMost(0.70),
            underseal.over(&aws),
        ));
    }
    figures
}

fn receive(samples: &Samples, backend: &str) -> [Figure; 3] {
    let underseal = best(samples, "receive", name::UNDERSEAL);
    let what = "stream receive: CPU per GB";
    let over = |row| underseal.over(&best(samples, "receive", row));
    [
        figure(
            format!("{what} ÷ limit"),
            Target::AtMost(1.15),
            underseal.over(&receive_limit(samples, backend)),
        ),
        figure(
            format!("{what} ÷ rustls with ring"),
            Target::AtMost(0.90),
            over(name::RUSTLS_RING),
        ),
        figure(
            format!("{what} ÷ rustls with aws-lc-rs"),
            Target::AtMost(0.70),
            over(name::RUSTLS_AWS),
        ),
    ]
}

fn records(samples: &Samples, backend: &str) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (size, bound) in [("1024", 0.80), ("16384", 0.95)] {
        for measure in ["records seal", "records open"] {
            let rate = |row: String| samples.series(measure, &row, size, "gb_per_s");
            figures.push(figure(
                format!(
                    "{measure} in memory, {}: GB/s ÷ the AEAD alone",
                    bytes(size)
                ),
                Target::AtLeast(bound),
                rate(underseal_row(backend)).over(&rate(alone_row(backend))),
            ));
        }
    }
    figures
}

fn round_trip(samples: &Samples) -> Figure {
    let cpu = |row| samples.series("round trip", row, "", "cpu_us");
    let what = "1 KiB request and reply: CPU per round trip ÷ rustls with ring";
    figure(
        what,
        Target::AtMost(1.00),
        cpu(name::UNDERSEAL).over(&cpu(name::RUSTLS_RING)),
    )
}

fn idle(samples: &Samples) -> [Figure; 3] {
    let heap = |row| samples.series("idle", row, "task", "heap_bytes");
    let underseal = heap(name::UNDERSEAL_TOKIO);
    let what = "heap per idle established server connection";
    [
        figure(
            format!("{what}, bytes, its task included"),
            Target::AtMost(2560.0),
            underseal.clone(),
        ),
        figure(
            format!("{what} ÷ tokio-rustls with ring"),
            Target::AtMost(0.3),
            underseal.over(&heap(name::TOKIO_RUSTLS_RING)),
        ),
        figure(
            format!("{what} ÷ tokio-rustls with aws-lc-rs"),
            Target::AtMost(0.3),
            underseal.over(&heap(name::TOKIO_RUSTLS_AWS)),
        ),
    ]
}

fn load(samples: &Samples) -> [Figure; 2] {
    let of = |row, value| samples.series("http load", row, "", value);
    let cpu = of(http::name::SERVE, "cpu_us_per_request");
    let nginx = better_nginx(samples, "http load", "cpu_us_per_request");
    [
        figure(
            "`serve`, many open connections: errors",
            Target::AtMost(0.0),
            of(http::name::SERVE, "errors"),
        ),
        figure(
            "`serve`, many open connections: CPU per request ÷ nginx with TLS",
            Target::AtMost(1.00),
            cpu.over(&nginx),
        ),
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
        let at = |target, values: &[f64]| figure("", target, series(values)).reached();
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
