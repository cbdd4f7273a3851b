//! The list for people: one line per connection, columns aligned.

use std::io::{self, Write};

use underseal_server::live::Row;

const HEADINGS: [&str; 12] = [
    "PID",
    "COMMAND",
    "LOCAL",
    "PEER",
    "AGE",
    "TLS",
    "SUITE",
    "TX",
    "RX",
    "SENT",
    "RECEIVED",
    "KEY UPDATES",
];
/// Columns of numbers, which are aligned at their right.
const NUMBERS: [usize; 5] = [0, 4, 9, 10, 11];
/// What stands for what is not known.
const UNKNOWN: &str = "-";

/// Writes a heading and one line per row.
///
/// # Errors
/// Those of `out`.
pub(crate) fn write(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(|column| {
        let lengths = lines.iter().map(|line| line[column].chars().count());
        lengths.max().unwrap_or_default()
    });
    for line in &lines {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            if NUMBERS.contains(&column) {
                text += &format!("{cell:>width$}  ");
            } else {
                text += &format!("{cell:<width$}  ");
            }
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; HEADINGS.len()] {
    let number = |value: Option<u64>| value.map_or(UNKNOWN.to_owned(), |n| n.to_string());
    let size = |value: Option<u64>| value.map_or(UNKNOWN.to_owned(), in_units);
    let key_updates = match (row.tx_key_updates, row.rx_key_updates) {
        (None, None) => UNKNOWN.to_owned(),
        (tx, rx) => format!("{}/{}", number(tx), number(rx)),
    };
    [
        row.pid.map_or(UNKNOWN.to_owned(), |pid| pid.to_string()),
        text(row.command.as_deref()),
        row.local.to_string(),
        row.peer.to_string(),
        row.age_seconds.map_or(UNKNOWN.to_owned(), age),
        text(row.tls.as_deref()),
        text(row.suite.as_deref()),
        row.tx_engine.name().to_owned(),
        row.rx_engine.name().to_owned(),
        size(row.tx_bytes),
        size(row.rx_bytes),
        key_updates,
    ]
}

/// Another user's process chose these words: nothing in them may reach the terminal as an order.
fn text(value: Option<&str>) -> String {
    match value {
        None | Some("") => UNKNOWN.to_owned(),
        Some(value) => value
            .chars()
            .take(40)
            .map(|c| if c.is_ascii_graphic() { c } else { '\u{fffd}' })
            .collect(),
    }
}

/// The two largest units: `4s`, `3m04s`, `2h15m`, `5d01h`.
fn age(seconds: f64) -> String {
    // A float that is no number of seconds becomes the nearest that is.
    let seconds = seconds as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Bytes with three digits or four: `512 B`, `1.5 KiB`, `37.2 MiB`.
fn in_units(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1023.95 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use underseal_server::live::Engine;

    fn row() -> Row {
        Row {
            pid: Some(12),
            command: Some("serve".to_owned()),
            local: "127.0.0.1:8443".parse().expect("an address"),
            peer: "[2001:db8::1]:50000".parse().expect("an address"),
            age_seconds: Some(184.9),
            tls: Some("TLSv1_3".to_owned()),
            suite: Some("TLS13_AES_128_GCM_SHA256".to_owned()),
            tx_engine: Engine::KernelSoftware,
            rx_engine: Engine::User,
            tx_bytes: Some(1_048_576),
            rx_bytes: Some(81),
            tx_key_updates: Some(0),
            rx_key_updates: Some(2),
        }
    }

    fn written(rows: &[Row]) -> String {
        let mut out = Vec::new();
        write(&mut out, rows).expect("a Vec takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut foreign = row();
        (foreign.pid, foreign.age_seconds) = (None, None);
        (foreign.tx_bytes, foreign.rx_bytes) = (None, None);
        (foreign.tx_key_updates, foreign.rx_key_updates) = (None, None);
        let expected = "\
PID  COMMAND  LOCAL           PEER                   AGE  TLS      SUITE                     TX               RX       SENT  RECEIVED  KEY UPDATES
 12  serve    127.0.0.1:8443  [2001:db8::1]:50000  3m04s  TLSv1_3  TLS13_AES_128_GCM_SHA256  kernel-software  user  1.0 MiB      81 B          0/2
  -  serve    127.0.0.1:8443  [2001:db8::1]:50000      -  TLSv1_3  TLS13_AES_128_GCM_SHA256  kernel-software  user        -         -            -
";
        assert_eq!(written(&[row(), foreign]), expected);
    }

    #[test]
    fn words_of_another_process_cannot_give_orders_to_the_terminal() {
        let mut row = row();
        row.suite = Some("\u{1b}[2J\n\u{202e}x".repeat(100));
        let text = written(&[row]);
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
        assert!(text.lines().all(|line| line.chars().count() < 250));
    }

    #[test]
    fn ages_and_sizes_are_short() {
        let ages = [0.2, 59.9, 60.0, 3599.0, 3600.0, 86_399.0, 90_000.0, -1.0];
        let expected = [
            "0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d01h", "0s",
        ];
        assert_eq!(ages.map(age), expected);
        let sizes = [0, 1023, 1024, 1536, 1_048_525, 1_048_576, u64::MAX];
        let expected = [
            "0 B",
            "1023 B",
            "1.0 KiB",
            "1.5 KiB",
            "1.0 MiB",
            "1.0 MiB",
            "16384.0 PiB",
        ];
        assert_eq!(sizes.map(in_units), expected);
    }
}
