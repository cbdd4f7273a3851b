//! What a run keeps: every sample, and how to ask for them again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use underseal_record::{Algorithm, Backend};

use crate::machine::Machine;

/// One row, measured once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// The measure: `send`, `receive`, ...
    pub measure: String,
    /// The implementation.
    pub row: String,
    /// What was varied: bytes of a write, way to hold a connection, ...; may be empty.
    pub setting: String,
    /// The round; rows of one round were measured next to each other.
    pub round: u32,
    /// Measured values, by name with unit.
    pub values: BTreeMap<String, f64>,
}

/// A whole run, as `raw.json` holds it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    /// Where it ran.
    pub machine: Machine,
    /// The command line, but for where the run is kept.
    pub command: String,
    /// The AEAD backend that underseal picks there.
    pub backend: String,
    /// What was measured.
    pub samples: Samples,
}

impl Run {
    /// What this program measured.
    pub fn new(machine: Machine, samples: Samples) -> Self {
        Self {
            command: without_place(std::env::args().skip(1)),
            backend: Backend::preferred(Algorithm::Aes128Gcm).name().to_owned(),
            machine,
            samples,
        }
    }

    /// Reads `raw.json`, or the one in a directory.
    ///
    /// # Errors
    ///
    /// When there is none, or it is from a bench with another format.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let path = if path.is_dir() {
            path.join("raw.json")
        } else {
            path.to_path_buf()
        };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("cannot parse {}", path.display()))
    }
}

/// The arguments in a line, without `--out` and its value: they say nothing to who runs it again.
fn without_place(args: impl Iterator<Item = String>) -> String {
    let mut is_value = false;
    let kept = args.filter(|arg| {
        let is_place = std::mem::replace(&mut is_value, arg == "--out");
        !is_place && arg != "--out" && !arg.starts_with("--out=")
    });
    kept.collect::<Vec<_>>().join(" ")
}

/// The samples of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Samples(Vec<Sample>);

impl Samples {
    /// Keeps one sample.
    pub fn add(&mut self, at: (&str, &str, &str, u32), values: &[(&str, f64)]) {
        let (measure, row, setting, round) = at;
        self.0.push(Sample {
            measure: measure.to_owned(),
            row: row.to_owned(),
            setting: setting.to_owned(),
            round,
            values: values
                .iter()
                .map(|&(name, value)| (name.to_owned(), value))
                .collect(),
        });
    }

    /// Every sample, in the order of measurement.
    pub fn all(&self) -> &[Sample] {
        &self.0
    }

    /// One value over the rounds.
    pub fn series(&self, measure: &str, row: &str, setting: &str, value: &str) -> Series {
        let samples = self.0.iter().filter(|sample| {
            sample.measure == measure && sample.row == row && sample.setting == setting
        });
        Series(
            samples
                .filter_map(|s| Some((s.round, *s.values.get(value)?)))
                .collect(),
        )
    }

    /// The setting of a row whose median is lowest, with its series: an implementation at its best.
    pub fn lowest(&self, measure: &str, row: &str, value: &str) -> Option<(String, Series)> {
        let settings = self.settings(measure, row);
        let series = settings.into_iter().map(|setting| {
            let series = self.series(measure, row, &setting, value);
            (setting, series)
        });
        series
            .filter(|(_, series)| !series.0.is_empty())
            .min_by(|(_, a), (_, b)| a.median().total_cmp(&b.median()))
    }

    /// Rows of a measure, in the order of first measurement.
    pub fn rows(&self, measure: &str) -> Vec<String> {
        distinct(
            self.0
                .iter()
                .filter(|s| s.measure == measure)
                .map(|s| &s.row),
        )
    }

    /// Settings of a row, in the order of first measurement.
    pub fn settings(&self, measure: &str, row: &str) -> Vec<String> {
        let samples = self
            .0
            .iter()
            .filter(|s| s.measure == measure && s.row == row);
        distinct(samples.map(|s| &s.setting))
    }
}

/// One value over the rounds; samples of one round are compared with each other.
#[derive(Clone, Debug, Default)]
pub struct Series(BTreeMap<u32, f64>);

impl Series {
    /// Combines two series, round by round.
    pub fn with(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        let pairs = self
            .0
            .iter()
            .filter_map(|(round, a)| Some((*round, combine(*a, *other.0.get(round)?))));
        Self(pairs.collect())
    }

    /// This over another, round by round.
    pub fn over(&self, other: &Self) -> Self {
        self.with(other, |a, b| a / b)
    }

    /// This plus another, round by round.
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many rounds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The median; not a number when nothing was measured.
    pub fn median(&self) -> f64 {
        let mut values: Vec<f64> = self.0.values().copied().collect();
        values.sort_by(f64::total_cmp);
        match values.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => values[odd / 2],
            even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
        }
    }

    /// The lowest value; not a number when nothing was measured.
    pub fn min(&self) -> f64 {
        self.0.values().copied().fold(f64::NAN, f64::min)
    }

    /// The highest value; not a number when nothing was measured.
    pub fn max(&self) -> f64 {
        self.0.values().copied().fold(f64::NAN, f64::max)
    }
}

impl FromIterator<(u32, f64)> for Series {
    fn from_iter<I: IntoIterator<Item = (u32, f64)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(name) {
            seen.push(name.clone());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[(&str, u32, f64)]) -> Samples {
        let mut samples = Samples::default();
        for &(setting, round, value) in values {
            samples.add(("send", "row", setting, round), &[("cpu", value)]);
        }
        samples
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let a = Series::from_iter([(0, 2.0), (1, 9.0), (2, 4.0)]);
        let b = Series::from_iter([(0, 1.0), (1, 3.0)]);
        let ratio = a.over(&b);
        assert_eq!((ratio.len(), ratio.min(), ratio.max()), (2, 2.0, 3.0));
        assert_eq!(ratio.median(), 2.5);
    }

    #[test]
    fn the_best_setting_is_the_one_with_the_lowest_median() {
        let samples = samples(&[
            ("a", 0, 1.0),
            ("a", 1, 9.0),
            ("a", 2, 9.0),
            ("b", 0, 5.0),
            ("b", 1, 5.0),
        ]);
        let (setting, series) = samples.lowest("send", "row", "cpu").unwrap();
        assert_eq!((setting.as_str(), series.median()), ("b", 5.0));
    }

    #[test]
    fn a_series_of_nothing_has_no_median() {
        assert!(
            samples(&[])
                .series("send", "row", "a", "cpu")
                .median()
                .is_nan()
        );
    }

    #[test]
    fn the_command_does_not_say_where_the_run_is_kept() {
        for given in [
            "streams --rounds 3 --out here",
            "--out=here streams --rounds 3",
        ] {
            let args = given.split(' ').map(str::to_owned);
            assert_eq!(without_place(args), "streams --rounds 3", "{given}");
        }
    }
}
