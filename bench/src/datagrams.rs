//! Packets of QUIC: sealed and opened in memory, and in transfers of quinn's. Datagrams of DTLS.

use crate::report::figures::{Figure, Target, ratio};
use crate::report::tables::{grid, list, titled};
use crate::run::{Run, Samples, Series};
use crate::suite::{Measure, Suite};

pub mod dtls;
pub mod packets;
pub mod transfer;

/// `cargo xtask bench datagrams`.
pub const SUITE: Suite = Suite {
    name: "datagrams",
    measures: &[
        Measure::each_round("packets", packets::measure),
        Measure::each_round("quinn transfer", transfer::measure),
        Measure::each_round("DTLS", dtls::measure),
    ],
    check: |_, _| Ok(()),
    figures,
    tables,
};

fn figures(run: &Run) -> Vec<Figure> {
    let mut figures = vec![beside_the_aead(run)];
    figures.extend(beside_rustls(run));
    figures.push(transfers(run));
    figures.push(trains(run));
    figures.push(datagrams(run));
    figures
}

/// What header protection and all else adds to the AEAD of the backend that this machine prefers.
fn beside_the_aead(run: &Run) -> Figure {
    let of = |row: String| packets_series(&run.samples, packets::SEAL, &row);
    let own = of(packets::train_row(&run.backend));
    let alone = of(packets::alone_row(&run.backend));
    let what =
        "trains of 1440 bytes, sealed with header protection: ns per packet ÷ the AEAD alone";
    ratio(what, Target::AtMost(1.10), &own, &alone)
}

/// Sealing and opening, beside the better of rustls' libraries.
fn beside_rustls(run: &Run) -> Vec<Figure> {
    let figures = [packets::SEAL, packets::OPEN].into_iter().map(|measure| {
        let own = packets_series(&run.samples, measure, &packets::train_row(&run.backend));
        let rustls = packets::RUSTLS.map(|row| packets_series(&run.samples, measure, row));
        let what = format!("{measure}, 1440 bytes: ns ÷ the better of rustls' own QUIC keys");
        ratio(what, Target::AtMost(0.90), &own, &lower(rustls))
    });
    figures.collect()
}

fn packets_series(samples: &Samples, measure: &str, row: &str) -> Series {
    samples.series(measure, row, "1440", packets::NS)
}

fn transfer_series(samples: &Samples, row: &str) -> Series {
    samples.series(transfer::MEASURE, row, "", "cpu_s_per_gb")
}

/// Without AVX-512 rustls' default is the slower of the two libraries.
fn transfers(run: &Run) -> Figure {
    let of = |row| transfer_series(&run.samples, row);
    let bound = if run.backend == "ring" { 0.87 } else { 1.00 };
    let what = "quinn transfer: CPU of both sides per GB ÷ with rustls' default provider";
    let (own, other) = (of(transfer::name::UNDERSEAL), of(transfer::name::AWS_LC_RS));
    ratio(what, Target::AtMost(bound), &own, &other)
}

/// The better of both libraries is what our packets are sealed with, too.
fn trains(run: &Run) -> Figure {
    let of = |row| transfer_series(&run.samples, row);
    let theirs = lower([transfer::name::RING, transfer::name::AWS_LC_RS].map(of));
    let what = "quinn transfer in trains: CPU of both sides per GB ÷ with the better library";
    let own = of(transfer::name::TRAINS);
    ratio(what, Target::AtMost(0.92), &own, &theirs)
}

/// Trains are what the socket has for those who send much, and the `openssl` crate has none.
fn datagrams(run: &Run) -> Figure {
    let of = |row| {
        run.samples
            .series(dtls::ONE_WAY, row, "", "packets_per_cpu_s")
    };
    let what =
        "DTLS, 1400 bytes one way, trains: packets per CPU-second of both ends ÷ the openssl crate";
    let (own, theirs) = (of(dtls::name::TRAINS), of(dtls::name::OPENSSL));
    ratio(what, Target::AtLeast(4.0), &own, &theirs)
}

/// The one whose median is lower, of those that were measured.
fn lower<const N: usize>(series: [Series; N]) -> Series {
    let measured = series.into_iter().filter(|series| !series.is_empty());
    let lowest = measured.min_by(|a, b| a.median().total_cmp(&b.median()));
    lowest.unwrap_or_default()
}

fn tables(run: &Run) -> String {
    let mut text = String::new();
    for measure in [packets::SEAL, packets::OPEN] {
        let title = format!("{measure}, ns per packet by bytes of its payload");
        text.push_str(&titled(&title, grid(&run.samples, measure, packets::NS)));
    }
    let values = [
        ("cpu_s_per_gb", "CPU-s per GB"),
        ("sender_cpu_s_per_gb", "sender"),
        ("receiver_cpu_s_per_gb", "receiver"),
        ("gb_per_s", "GB/s"),
    ];
    let table = list(&run.samples, transfer::MEASURE, &values);
    text.push_str(&titled("quinn, one stream over loopback", table));
    let values = [
        ("packets_per_cpu_s", "packets per CPU-s"),
        ("cpu_us", "CPU of both ends, µs"),
        ("send_cpu_us", "sending, µs"),
        ("receive_cpu_us", "receiving, µs"),
        ("packets_per_s", "packets/s"),
    ];
    for measure in [dtls::ONE_WAY, dtls::ECHO] {
        let title = format!("{measure}, 1400 bytes");
        text.push_str(&titled(&title, list(&run.samples, measure, &values)));
    }
    text
}
