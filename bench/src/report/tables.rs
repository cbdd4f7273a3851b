//! One table per measure.

use super::figures::{receive_limit, send_limit};
use super::{Table, bytes, number, spread};
use crate::run::{Run, Samples};

/// Every table of a run.
pub fn all(run: &Run) -> String {
    let samples = &run.samples;
    let mut text = String::new();
    text.push_str(&transfer(run, "send", "write size"));
    text.push_str(&transfer(run, "receive", "read buffer"));
    for measure in ["records seal", "records open"] {
        let title = format!("{measure} in memory, GB/s by plaintext bytes of a record");
        text.push_str(&titled(&title, grid(samples, measure, "gb_per_s")));
    }
    let trip = [
        ("cpu_us", "CPU of both sides, µs"),
        ("server_cpu_us", "server, µs"),
        ("client_cpu_us", "client, µs"),
        ("p50_us", "p50, µs"),
        ("p99_us", "p99, µs"),
    ];
    text.push_str(&titled(
        "1 KiB request and reply",
        list(samples, "round trip", &trip),
    ));
    let replies = [
        ("server_cpu_us", "server CPU per reply, µs"),
        ("client_cpu_us", "client CPU per reply, µs"),
    ];
    text.push_str(&titled(
        "axum over HTTP/2, 64 replies of 1 KiB in flight",
        list(samples, "replies", &replies),
    ));
    text.push_str(&titled(
        "connections that live for a handshake",
        list(samples, "handshake", &[("server_cpu_us", "server CPU, µs")]),
    ));
    let file = [
        ("cpu_s_per_gb", "CPU-s per GB"),
        ("peer_cpu_s_per_gb", "receiver, CPU-s per GB"),
        ("gb_per_s", "GB/s"),
    ];
    text.push_str(&titled("ways to send a file", list(samples, "file", &file)));
    let download = [
        ("cpu_s_per_gb", "server CPU-s per GB"),
        ("gb_per_s", "GB/s"),
    ];
    text.push_str(&titled(
        "HTTP, connections that live for one request",
        list(
            samples,
            "http connections",
            &[("server_cpu_us", "server CPU, µs")],
        ),
    ));
    text.push_str(&titled(
        "HTTP, one big file",
        list(samples, "http download", &download),
    ));
    let load = [
        ("errors", "errors"),
        ("cpu_us_per_request", "server CPU per request, µs"),
        ("requests_per_s", "requests/s"),
        ("p50_us", "p50, µs"),
        ("p99_us", "p99, µs"),
    ];
    text.push_str(&titled(
        "HTTP, many open connections",
        list(samples, "http load", &load),
    ));
    let idle = [
        ("heap_bytes", "heap, bytes"),
        ("rust_heap_bytes", "of these asked for by Rust"),
        ("rust_heap_blocks", "Rust heap blocks"),
        ("allocations", "allocations, handshake to reply"),
        ("resident_bytes", "resident, bytes"),
    ];
    text.push_str(&titled(
        "idle connections, each",
        list(samples, "idle", &idle),
    ));
    text
}

/// A table below its title, if there is one.
pub(crate) fn titled(title: &str, table: Option<String>) -> String {
    table.map_or_else(String::new, |table| format!("## {title}\n\n{table}"))
}

/// The tables of bulk data in one direction, with the row *limit*.
fn transfer(run: &Run, measure: &str, varied: &str) -> String {
    let samples = &run.samples;
    let Some(cpu) = grid(samples, measure, "cpu_s_per_gb") else {
        return String::new();
    };
    let limit: Vec<String> = match measure {
        "send" => settings(samples, measure)
            .iter()
            .map(|size| number(send_limit(samples, &run.backend, size).median()))
            .collect(),
        _ => vec![number(receive_limit(samples, &run.backend).median())],
    };
    let mut text = format!("## {measure}, CPU-s per GB of the measured side by {varied}\n\n");
    text.push_str(cpu.trim_end());
    text.push_str(&format!(
        "\n| **limit** (plain TCP + AEAD) | {} |\n\n",
        limit.join(" | ")
    ));
    let peer = grid(samples, measure, "peer_cpu_s_per_gb");
    text.push_str(&titled(
        &format!("{measure}, CPU-s per GB of the fixed peer"),
        peer,
    ));
    text.push_str(&titled(
        &format!("{measure}, GB/s"),
        grid(samples, measure, "gb_per_s"),
    ));
    text
}

fn settings(samples: &Samples, measure: &str) -> Vec<String> {
    let mut settings = Vec::new();
    for row in samples.rows(measure) {
        for setting in samples.settings(measure, &row) {
            if !settings.contains(&setting) {
                settings.push(setting);
            }
        }
    }
    settings.sort_by_key(|setting| setting.parse::<u64>().unwrap_or(0));
    settings
}

/// Rows by settings, one value in each cell.
pub(crate) fn grid(samples: &Samples, measure: &str, value: &str) -> Option<String> {
    let settings = settings(samples, measure);
    if settings.is_empty() {
        return None;
    }
    let titles = settings.iter().map(|setting| bytes(setting));
    let mut table = Table::new(
        &std::iter::once("row".to_owned())
            .chain(titles)
            .collect::<Vec<_>>(),
    );
    for row in samples.rows(measure) {
        let cells = settings
            .iter()
            .map(|setting| number(samples.series(measure, &row, setting, value).median()));
        table.row(
            &std::iter::once(row.clone())
                .chain(cells)
                .collect::<Vec<_>>(),
        );
    }
    Some(table.finish())
}

/// Rows with their settings by values.
pub(crate) fn list(samples: &Samples, measure: &str, values: &[(&str, &str)]) -> Option<String> {
    let rows = samples.rows(measure);
    if rows.is_empty() {
        return None;
    }
    let titles = values.iter().map(|(_, title)| (*title).to_owned());
    let mut table = Table::new(
        &std::iter::once("row".to_owned())
            .chain(titles)
            .collect::<Vec<_>>(),
    );
    for row in rows {
        for setting in samples.settings(measure, &row) {
            let label = if setting.is_empty() {
                row.clone()
            } else {
                format!("{row}, {setting}")
            };
            let cells = values
                .iter()
                .map(|(value, _)| spread(&samples.series(measure, &row, &setting, value)));
            table.row(&std::iter::once(label).chain(cells).collect::<Vec<_>>());
        }
    }
    Some(table.finish())
}
