//! A run against an earlier one.

use super::{Table, number, spread};
use crate::run::Run;

/// Values worth comparing: those that figures are made of.
const VALUES: [&str; 7] = [
    "cpu_s_per_gb",
    "ns",
    "cpu_us",
    "cpu_us_per_request",
    "heap_bytes",
    "gb_per_s",
    "p99_us",
];

/// Ratios of medians, new over old, as a Markdown table. A ratio is marked when the two ranges do
/// not overlap: every sample of one run lies outside of what the other saw.
pub fn table(old: &Run, new: &Run) -> String {
    let titles = [
        "measure",
        "row",
        "setting",
        "value",
        "old",
        "new",
        "new ÷ old",
    ];
    let mut table = Table::new(&titles.map(str::to_owned));
    for measure in distinct_measures(new) {
        for row in new.samples.rows(&measure) {
            for setting in new.samples.settings(&measure, &row) {
                for value in VALUES {
                    let before = old.samples.series(&measure, &row, &setting, value);
                    let after = new.samples.series(&measure, &row, &setting, value);
                    if before.is_empty() || after.is_empty() {
                        continue;
                    }
                    let apart = after.min() > before.max() || after.max() < before.min();
                    let ratio = number(after.median() / before.median());
                    table.row(&[
                        measure.clone(),
                        row.clone(),
                        setting.clone(),
                        value.to_owned(),
                        spread(&before),
                        spread(&after),
                        if apart { format!("**{ratio}**") } else { ratio },
                    ]);
                }
            }
        }
    }
    let heading = format!(
        "## Against {} ({})\n\n",
        old.machine.date, old.machine.commit
    );
    let other_machine = if old.machine.cpu == new.machine.cpu {
        ""
    } else {
        OTHER_MACHINE
    };
    format!(
        "{heading}{other_machine}Bold: the ranges do not overlap.\n\n{}",
        table.finish()
    )
}

const OTHER_MACHINE: &str = "**The earlier run is from another CPU: compare ratios between rows, \
                             not these.** ";

fn distinct_measures(run: &Run) -> Vec<String> {
    let mut measures: Vec<String> = Vec::new();
    for sample in run.samples.all() {
        if !measures.contains(&sample.measure) {
            measures.push(sample.measure.clone());
        }
    }
    measures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::run::Samples;

    fn run(values: &[f64]) -> Run {
        let mut samples = Samples::default();
        for (round, value) in values.iter().enumerate() {
            samples.add(
                ("send", "row", "1", round as u32),
                &[("cpu_s_per_gb", *value)],
            );
        }
        Run {
            machine: Machine::default(),
            command: String::new(),
            backend: String::new(),
            samples,
        }
    }

    #[test]
    fn only_ranges_that_do_not_overlap_are_marked() {
        let old = run(&[1.0, 1.2]);
        assert!(table(&old, &run(&[2.0, 2.4])).contains("| **2.00** |"));
        assert!(table(&old, &run(&[1.1, 2.2])).contains("| 1.50 |"));
    }
}
