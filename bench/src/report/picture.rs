//! The picture in the README: figures of runs that are kept, each beside the peer that it is a ratio to.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::proxy;
use crate::run::Run;
use crate::suite::{STREAMS, Suite};

/// Where the picture is, below the root of the repository.
pub const FILE: &str = "docs/performance.svg";

/// One bar.
struct Bar {
    /// As the README has it.
    label: &'static str,
    suite: &'static Suite,
    /// Below `bench/runs`.
    run: &'static str,
    /// How the figure's name begins.
    figure: &'static str,
}

const BARS: [Bar; 5] = [
    of_streams(
        "`serve`, a file of 1 GiB ÷ nginx with TLS",
        "`serve`, one big file: server CPU per GB ÷ nginx with TLS",
    ),
    of_streams(
        "receiving ÷ rustls with aws-lc-rs",
        "stream receive: CPU per GB ÷ rustls with aws-lc-rs",
    ),
    of_streams(
        "heap of an idle connection ÷ tokio-rustls with aws-lc-rs",
        "heap per idle established server connection ÷ tokio-rustls with aws-lc-rs",
    ),
    Bar {
        label: "`proxy`, a request with a reply of 1 KiB ÷ HAProxy",
        suite: &proxy::SUITE,
        run: "2026-11-26-amd-epyc-proxy",
        figure: "`proxy`, CPU per request, 1 KiB replies ÷ HAProxy at its best",
    },
    of_streams(
        "sending 256 KiB writes ÷ rustls with aws-lc-rs",
        "stream send, 256 KiB writes: CPU per GB ÷ rustls with aws-lc-rs",
    ),
];

const fn of_streams(label: &'static str, figure: &'static str) -> Bar {
    Bar {
        label,
        suite: &STREAMS,
        run: "2026-11-21-amd-epyc",
        figure,
    }
}

/// Draws the picture from the runs that are kept below `root`.
///
/// # Errors
///
/// When a run is missing, or a figure in it.
pub fn draw(root: &Path) -> anyhow::Result<String> {
    Ok(svg(&medians(root)?))
}

/// Each label, and the median of its figure.
fn medians(root: &Path) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let median = |bar: &Bar| {
        let run = Run::read(&root.join("bench/runs").join(bar.run))?;
        let figures = (bar.suite.figures)(&run);
        let figure = figures
            .iter()
            .find(|figure| figure.what.starts_with(bar.figure));
        let figure = figure.with_context(|| format!("{} has no `{}`", bar.run, bar.figure))?;
        Ok((bar.label, figure.measured.median()))
    };
    BARS.iter().map(median).collect()
}

/// Where labels end, and figures; where bars begin, and how long the peer's would be.
const LABELS: f64 = 392.0;
const FIGURES: f64 = 432.0;
const BARS_AT: f64 = 440.0;
const PEER: f64 = 260.0;
const STEP: f64 = 34.0;
const TOP: f64 = 34.0;

fn svg(bars: &[(&str, f64)]) -> String {
    let height = TOP + STEP * bars.len() as f64 + 10.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"780\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"14\">\n\
         <rect width=\"780\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (index, (label, value)) in bars.iter().enumerate() {
        let top = TOP + STEP * index as f64;
        // As long as the number beside it says.
        let (baseline, width) = (top + 17.0, (value * 100.0).round() / 100.0 * PEER);
        let label = label.replace('`', "");
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "<text x=\"{LABELS}\" y=\"{baseline}\" text-anchor=\"end\">{label}</text>\n\
             <text x=\"{FIGURES}\" y=\"{baseline}\" text-anchor=\"end\">{value:.2}</text>\n\
             <rect x=\"{BARS_AT}\" y=\"{top}\" width=\"{width:.0}\" height=\"24\" fill=\"#4477aa\"/>",
        );
    }
    // It crosses bars, and so no figure is in one.
    let peer = BARS_AT + PEER;
    let _ = writeln!(
        text,
        "<line x1=\"{peer}\" y1=\"{}\" x2=\"{peer}\" y2=\"{}\" stroke=\"#000000\"/>\n\
         <text x=\"{peer}\" y=\"{}\" text-anchor=\"middle\">the peer: 1</text>\n</svg>",
        TOP - 8.0,
        height - 8.0,
        TOP - 14.0,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the attribute `name` in the elements `element` of a picture.
    fn numbers(svg: &str, element: &str, name: &str) -> Vec<f64> {
        let elements = svg.lines().filter(|line| line.starts_with(element));
        let values = elements.map(|line| {
            let (_, value) = line.split_once(&format!(" {name}=\"")).unwrap();
            value.split('"').next().unwrap().parse().unwrap()
        });
        values.collect()
    }

    #[test]
    fn the_line_of_the_peer_crosses_no_figure() {
        for value in [0.05, 0.9, 1.0, 1.05, 1.11, 1.2] {
            let svg = svg(&[("a", value)]);
            let line = numbers(&svg, "<line", "x1")[0];
            // The last text is above the line.
            let [label, figure, _] = numbers(&svg, "<text", "x")[..] else {
                panic!("{svg}");
            };
            // Four characters of half a font's size and a bit more.
            let begins = figure - 4.0 * 9.0;
            assert!(label <= begins && figure < line, "{value}: {svg}");
        }
    }

    #[test]
    fn the_picture_and_the_readme_say_what_the_runs_say() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let kept = std::fs::read_to_string(root.join(FILE)).unwrap();
        let drawn = draw(&root).unwrap();
        assert_eq!(kept, drawn, "`cargo xtask bench picture` draws it again");
        let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
        for (label, value) in medians(&root).unwrap() {
            let row = format!("| {label} | {value:.2} |");
            assert!(readme.contains(&row), "README.md lacks `{row}`");
        }
    }
}
