//! Packets in memory: what sealing one costs, and opening it.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use rustls::Side;
use rustls::crypto::CryptoProvider;
use rustls::quic::{DirectionalKeys, Suite, Version as RustlsVersion};
use underseal_record::Backend;
use underseal_record::quic::{
    Incoming, InitialSecrets, Outgoing, PacketOpener, PacketSealer, Version,
};

use crate::aead::{Aead, TAG};
use crate::context::Context;
use crate::cpu_time::{clock_cost, pin_to, thread_cpu};
use crate::run::Samples;

/// Names of the measures.
pub const SEAL: &str = "packets sealed";
/// The other.
pub const OPEN: &str = "packets opened";
/// What is measured.
pub const NS: &str = "ns_per_packet";

/// Bytes of a payload.
const SIZES: [usize; 3] = [64, 1200, 1440];
/// Packets of a batch: those of a GSO train.
const TRAIN: usize = 64;
/// Most packets of one sample.
const MOST: usize = 200_000;
/// First byte, connection ID and packet number.
const HEADER: usize = NUMBER_AT + 4;
const NUMBER_AT: usize = 1 + 8;
/// What the Initial keys of every row derive from: any will do.
const CONNECTION_ID: &[u8] = b"8394c8f0";

/// rustls' own keys, by library.
pub const RUSTLS: [&str; 2] = ["rustls, ring", "rustls, aws-lc-rs"];
/// Our keys behind rustls' interface.
pub const PROVIDER: &str = "rustls, underseal-quic";

/// The row of whole trains over a backend.
pub fn train_row(backend: &str) -> String {
    format!("underseal, trains, {backend}")
}

/// The row of single packets over a backend.
pub fn single_row(backend: &str) -> String {
    format!("underseal, one by one, {backend}")
}

/// The row of a backend's AEAD, without header protection.
pub fn alone_row(backend: &str) -> String {
    format!("AEAD alone, {backend}")
}

/// Measures sealing and opening.
///
/// # Errors
///
/// When a packet does not seal or open.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let worker = || {
        pin_to(context.cores.measured)?;
        let clock = clock_cost();
        for size in SIZES {
            let packets = (context.scale.record_bytes / size).clamp(TRAIN, MOST);
            for mut row in context.in_turn(rows(context)?, round) {
                let [seal, open] = run(row.packets.as_mut(), size, packets.div_ceil(TRAIN), clock)?;
                for (measure, ns) in [(SEAL, seal), (OPEN, open)] {
                    let setting = size.to_string();
                    samples.add((measure, row.name.as_str(), &setting, round), &[(NS, ns)]);
                }
            }
        }
        Ok(())
    };
    // On a thread of its own, so that the pin ends with the measure.
    std::thread::scope(|scope| scope.spawn(worker).join())
        .unwrap_or_else(|_| bail!("the measure panicked"))
}

struct Row {
    name: String,
    packets: Box<dyn Packets>,
}

/// One direction. Packets have their header, and room for the tag; the number of the first is given,
/// the others follow it.
trait Packets {
    fn seal(&mut self, first: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()>;
    fn open(&mut self, first: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()>;
}

fn rows(context: &Context) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<(String, Box<dyn Packets>)> = Vec::new();
    for backend in Backend::ALL {
        let name = backend.name();
        rows.push((alone_row(name), Box::new(Aead::new(name)?)));
        rows.push((train_row(name), Box::new(Trains(Pair::new(backend)))));
        rows.push((single_row(name), Box::new(Singles(Pair::new(backend)))));
    }
    let ours = underseal_quic::provider(rustls::crypto::aws_lc_rs::default_provider());
    for (name, provider) in [
        (RUSTLS[0], rustls::crypto::ring::default_provider()),
        (RUSTLS[1], rustls::crypto::aws_lc_rs::default_provider()),
        (PROVIDER, ours),
    ] {
        rows.push((name.to_owned(), Box::new(Rustls::new(&provider)?)));
    }
    let rows = rows
        .into_iter()
        .map(|(name, packets)| Row { name, packets });
    Ok(rows.filter(|row| context.wants(&row.name)).collect())
}

/// Nanoseconds of CPU that sealing a packet takes, and opening it.
fn run(
    row: &mut dyn Packets,
    size: usize,
    trains: usize,
    clock: Duration,
) -> anyhow::Result<[f64; 2]> {
    let mut train = vec![vec![0x5a; HEADER + size + TAG]; TRAIN];
    let (mut seal, mut open, mut first) = (Duration::ZERO, Duration::ZERO, 0);
    // The first train faults pages in and fills caches; it does not count.
    for turn in 0..=trains {
        write_headers(first, &mut train);
        let began = thread_cpu();
        row.seal(first, &mut train)?;
        let sealed = thread_cpu();
        row.open(first, &mut train)?;
        let opened = thread_cpu();
        if turn > 0 {
            seal += (sealed - began).saturating_sub(clock);
            open += (opened - sealed).saturating_sub(clock);
        }
        first += TRAIN as u64;
    }
    let is_back = |packet: &Vec<u8>| {
        packet[HEADER..HEADER + size]
            .iter()
            .all(|byte| *byte == 0x5a)
    };
    ensure!(train.iter().all(is_back), "another payload came back");
    let packets = (trains * TRAIN) as f64;
    Ok([seal, open].map(|took| took.as_nanos() as f64 / packets))
}

/// Not counted: a stack writes headers whoever protects them.
fn write_headers(first: u64, train: &mut [Vec<u8>]) {
    for (number, packet) in (first..).zip(train) {
        packet[0] = 0x43;
        packet[1..NUMBER_AT].copy_from_slice(CONNECTION_ID);
        packet[NUMBER_AT..HEADER].copy_from_slice(&(number as u32).to_be_bytes());
    }
}

impl Packets for Aead {
    fn seal(&mut self, first: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for (number, packet) in (first..).zip(train) {
            Self::seal(self, number, &mut packet[HEADER..])?;
        }
        Ok(())
    }

    fn open(&mut self, first: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for (number, packet) in (first..).zip(train) {
            Self::open(self, number, &mut packet[HEADER..])?;
        }
        Ok(())
    }
}

/// Both ends of a direction of ours.
struct Pair {
    sealer: PacketSealer,
    opener: PacketOpener,
}

impl Pair {
    fn new(backend: Backend) -> Self {
        let secret = || InitialSecrets::new(Version::V1, CONNECTION_ID).client;
        Self {
            sealer: PacketSealer::with_backend(Version::V1, secret(), backend),
            opener: PacketOpener::with_backend(Version::V1, secret(), backend),
        }
    }
}

struct Trains(Pair);

impl Packets for Trains {
    fn seal(&mut self, first: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()> {
        let mut rest = (first..).zip(train);
        let mut batch: [_; TRAIN] = std::array::from_fn(|_| {
            let (number, packet) = rest.next().expect("a train has as many packets");
            Outgoing::new(packet, NUMBER_AT, number)
        });
        let sealed = self.0.sealer.seal_batch(&mut batch);
        ensure!(sealed == TRAIN, "a packet was refused");
        Ok(())
    }

    fn open(&mut self, _: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()> {
        let mut rest = train.iter_mut();
        let mut batch: [_; TRAIN] = std::array::from_fn(|_| {
            let packet = rest.next().expect("a train has as many packets");
            Incoming::new(packet, NUMBER_AT)
        });
        let opened = self.0.opener.open_batch(&mut batch);
        ensure!(opened == TRAIN, "a packet was dropped");
        Ok(())
    }
}

struct Singles(Pair);

impl Packets for Singles {
    fn seal(&mut self, first: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for (number, packet) in (first..).zip(train) {
            self.0.sealer.seal(packet, NUMBER_AT, number)?;
        }
        Ok(())
    }

    fn open(&mut self, _: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for packet in train {
            self.0.opener.open(packet, NUMBER_AT)?;
        }
        Ok(())
    }
}

/// Keys behind rustls' interface, called as quinn calls them.
struct Rustls {
    local: DirectionalKeys,
    remote: DirectionalKeys,
}

impl Rustls {
    fn new(provider: &CryptoProvider) -> anyhow::Result<Self> {
        let suites = provider
            .cipher_suites
            .iter()
            .filter_map(|suite| suite.tls13());
        let suite = suites
            .filter(|suite| suite.common.suite == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256)
            .find_map(|suite| {
                Some(Suite {
                    suite,
                    quic: suite.quic?,
                })
            })
            .context("the provider has no AES-128-GCM for QUIC")?;
        let keys = |side| suite.keys(CONNECTION_ID, side, RustlsVersion::V1);
        Ok(Self {
            local: keys(Side::Client).local,
            remote: keys(Side::Server).remote,
        })
    }
}

impl Packets for Rustls {
    fn seal(&mut self, first: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for (number, packet) in (first..).zip(train) {
            let (header, rest) = packet.split_at_mut(HEADER);
            let (payload, room) = rest.split_at_mut(rest.len() - TAG);
            let tag = self
                .local
                .packet
                .encrypt_in_place(number, header, payload)?;
            room.copy_from_slice(tag.as_ref());
            let (header, sample) = packet.split_at_mut(NUMBER_AT + 4);
            let (first, rest) = header.split_at_mut(1);
            let number = &mut rest[NUMBER_AT - 1..];
            self.local
                .header
                .encrypt_in_place(&sample[..16], &mut first[0], number)?;
        }
        Ok(())
    }

    fn open(&mut self, first: u64, train: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for (number, packet) in (first..).zip(train) {
            let (header, sample) = packet.split_at_mut(NUMBER_AT + 4);
            let (first, rest) = header.split_at_mut(1);
            let truncated = &mut rest[NUMBER_AT - 1..];
            self.remote
                .header
                .decrypt_in_place(&sample[..16], &mut first[0], truncated)?;
            let (header, payload) = packet.split_at_mut(HEADER);
            let opened = self.remote.packet.decrypt_in_place(number, header, payload);
            opened.map_err(|error| anyhow!("packet {number}: {error}"))?;
        }
        Ok(())
    }
}
