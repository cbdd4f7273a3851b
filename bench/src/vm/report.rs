//! From the samples of a VM to Markdown.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::contenders::{ENGINES, KERNEL_TLS};
use super::{MIDDLE, measure, pair_name};
use crate::credentials::Suite;
use crate::machine::Machine;
use crate::report::{Table, bytes, spread};
use crate::rows::name;
use crate::run::{Run, Samples, Series};
use crate::suite::unused;

const HEAD: &str = "\
Thousands of guest instructions per MB (10^6 bytes of plaintext), user and kernel mode, as median \
(min..max) of the rounds. What loopback TCP does in softirq counts for who caused it, which is \
mostly the sender.\n\n";

/// Options of `underseal-bench vm-summary`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The run as the VM printed it
    #[arg(long, value_name = "FILE")]
    run: PathBuf,
    /// The commit that was built
    #[arg(long, value_name = "COMMIT")]
    commit: String,
    /// Keep the run in DIR [default: bench/runs/DATE-vm-KERNEL]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the summary of a run, and keeps both.
///
/// # Errors
///
/// When the run cannot be read, or nothing can be written.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut run = Run::read(&options.run)?;
    // The guest knows neither the commit nor whether its clock is right.
    run.machine.date = Machine::this()?.date;
    run.machine.commit.clone_from(&options.commit);
    let summary = summary(&run);
    print!("{summary}");
    let directory = options.out.clone().unwrap_or_else(|| {
        let kernel = &run.machine.kernel;
        let release = kernel.split('+').next().unwrap_or(kernel);
        unused(&format!("bench/runs/{}-vm-{release}", run.machine.date))
    });
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let raw = serde_json::to_string(&run).context("cannot encode the run")?;
    fs::write(directory.join("raw.json"), raw).context("cannot write raw.json")?;
    fs::write(directory.join("summary.md"), summary).context("cannot write summary.md")?;
    eprintln!("kept in {}", directory.display());
    Ok(())
}

/// The summary of a run.
pub fn summary(run: &Run) -> String {
    let samples = &run.samples;
    let mut text = String::from("# underseal: bench vm\n\n");
    text.push_str(&run.machine.to_markdown());
    text.push_str(&format!(
        "- AEAD backend of underseal here: {}\n- command: `underseal-bench {}`\n\n{HEAD}",
        run.backend, run.command
    ));
    text.push_str(&figures(samples));
    for suite in Suite::ALL {
        for (role, what) in [
            ("send", "the sender, by bytes of a write"),
            ("file", "the sender of a file"),
            ("receive", "the receiver, by bytes asked for in a read"),
        ] {
            let measure = measure(role, suite);
            text.push_str(&grid(samples, &measure, &format!("{measure}: {what}")));
        }
        text.push_str(&pairs(samples, suite));
    }
    text
}

/// One figure: the kernel engine over OpenSSL's kernel TLS.
#[derive(Debug)]
pub struct Figure {
    /// What is compared.
    pub what: String,
    /// The ratio, round by round.
    pub ratio: Series,
}

impl Figure {
    /// Whether it is at most 1.00, to the two decimals that it is stated in: rounds of the same
    /// row differ by some thousandths.
    pub fn reached(&self) -> Option<bool> {
        let median = self.ratio.median();
        (!median.is_nan()).then(|| (median * 100.0).round() <= 100.0)
    }

    fn measured(&self) -> String {
        let [median, min, max] = [self.ratio.median(), self.ratio.min(), self.ratio.max()];
        format!("{median:.4} ({min:.4}..{max:.4})")
    }
}

/// The figures to reach: at most 1.00 each.
pub fn ratios(samples: &Samples) -> Vec<Figure> {
    let mut figures = Vec::new();
    for suite in Suite::ALL {
        let writes = MIDDLE.to_string();
        for (role, own_setting, peer_setting, what) in [
            ("send", writes.as_str(), writes.as_str(), "64 KiB writes"),
            ("file", "send_file", "SSL_sendfile", "a file"),
        ] {
            let measure = measure(role, suite);
            let own = samples.series(&measure, name::KERNEL_ENGINE, own_setting, "own");
            let peers = samples.rows(&measure).into_iter();
            let peers = peers.filter(|row| row.ends_with(KERNEL_TLS));
            for peer in peers {
                let cost = samples.series(&measure, &peer, peer_setting, "own");
                figures.push(Figure {
                    what: format!("{what}, {}: kernel engine ÷ {peer}", suite.name()),
                    ratio: own.over(&cost),
                });
            }
        }
    }
    figures
}

fn figures(samples: &Samples) -> String {
    let titles = [
        "instructions of the sender",
        "target",
        "measured",
        "reached",
    ];
    let mut table = Table::new(&titles.map(str::to_owned));
    for figure in ratios(samples) {
        let reached = match figure.reached() {
            None => "not measured",
            Some(true) => "yes",
            Some(false) => "**no**",
        };
        let cells = [&figure.what, "≤ 1.00", &figure.measured(), reached].map(str::to_owned);
        table.row(&cells);
    }
    format!("## Figures to reach\n\n{}", table.finish())
}

/// Rows by settings.
fn grid(samples: &Samples, measure: &str, title: &str) -> String {
    let rows = samples.rows(measure);
    let mut settings: Vec<String> = Vec::new();
    for setting in rows.iter().flat_map(|row| samples.settings(measure, row)) {
        if !settings.contains(&setting) {
            settings.push(setting);
        }
    }
    if settings.is_empty() {
        return String::new();
    }
    settings.sort_by_key(|setting| setting.parse::<u64>().unwrap_or(0));
    let titles = settings.iter().map(|setting| bytes(setting));
    let titles: Vec<_> = std::iter::once("row".to_owned()).chain(titles).collect();
    let mut table = Table::new(&titles);
    for row in rows {
        let cells = settings
            .iter()
            .map(|setting| spread(&samples.series(measure, &row, setting, "own")));
        let cells: Vec<_> = std::iter::once(row.clone()).chain(cells).collect();
        table.row(&cells);
    }
    format!("## {title}\n\n{}", table.finish())
}

/// Engines that send by engines that receive: what `Offload::Auto` is decided by.
fn pairs(samples: &Samples, suite: Suite) -> String {
    let measure = measure("pair", suite);
    let setting = MIDDLE.to_string();
    if samples.rows(&measure).is_empty() {
        return String::new();
    }
    let titles = ["engines", "sender", "receiver", "both", "elsewhere"];
    let mut table = Table::new(&titles.map(str::to_owned));
    for sender in ENGINES {
        for receiver in ENGINES {
            let row = pair_name(sender, receiver);
            let cell = |value| spread(&samples.series(&measure, &row, &setting, value));
            let cells = ["own", "peer", "both", "elsewhere"].map(cell);
            let cells: Vec<_> = std::iter::once(row.clone()).chain(cells).collect();
            table.row(&cells);
        }
    }
    format!(
        "## {measure}: underseal with itself, 64 KiB writes and reads\n\n{}",
        table.finish()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENSSL: &str = "OpenSSL 3.0.0, kernel TLS";

    fn samples() -> Samples {
        let mut samples = Samples::default();
        for round in 0..3 {
            for (row, setting, cost) in [
                (name::KERNEL_ENGINE, "65536", 90.0 + f64::from(round)),
                (OPENSSL, "65536", 100.0),
            ] {
                let at = ("send, TLS_AES_128_GCM_SHA256", row, setting, round);
                samples.add(at, &[("own", cost)]);
            }
            for (row, setting, cost) in [
                (name::KERNEL_ENGINE, "send_file", 120.0),
                (OPENSSL, "SSL_sendfile", 100.0),
            ] {
                let at = ("file, TLS_AES_128_GCM_SHA256", row, setting, round);
                samples.add(at, &[("own", cost)]);
            }
        }
        samples
    }

    #[test]
    fn figures_compare_the_kernel_engine_with_openssl_by_round() {
        let found = ratios(&samples());
        let medians: Vec<_> = found.iter().map(|f| f.ratio.median()).collect();
        assert_eq!(medians, [0.91, 1.2]);
        let text = figures(&samples());
        let reached = "| ≤ 1.00 | 0.9100 (0.9000..0.9200) | yes |";
        assert!(text.contains(reached), "{text}");
        let missed = "| ≤ 1.00 | 1.2000 (1.2000..1.2000) | **no** |";
        assert!(text.contains(missed), "{text}");
    }

    #[test]
    fn figures_are_judged_to_two_decimals() {
        let figure = |ratio| Figure {
            what: String::new(),
            ratio: Series::from_iter([(0, ratio)]),
        };
        assert_eq!(figure(1.0049).reached(), Some(true));
        assert_eq!(figure(1.0051).reached(), Some(false));
        assert_eq!(figure(f64::NAN).reached(), None);
    }

    #[test]
    fn a_summary_has_a_table_per_measure_that_was_taken() {
        let run = Run {
            machine: Machine::default(),
            command: "vm".to_owned(),
            backend: "ring".to_owned(),
            samples: samples(),
        };
        let text = summary(&run);
        assert!(
            text.contains("| underseal, kernel engine | 91.0 (90.0..92.0) |"),
            "{text}"
        );
        assert!(text.contains("file, TLS_AES_128_GCM_SHA256: the sender of a file"));
        assert!(!text.contains("## receive"), "{text}");
    }
}
