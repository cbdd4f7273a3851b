//! Records in memory, without sockets: underseal's record layer over each backend, beside the AEAD
//! alone and rustls.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::{ClientConnection, ServerConnection};
use underseal_record::{
    Algorithm, Backend, ContentType, Opener, ProtocolVersion, Sealer, SeqNo, TrafficKeys,
};

use crate::aead::{Aead, TAG};
use crate::context::Context;
use crate::cpu_time::{clock_cost, pin_to, thread_cpu};
use crate::credentials::{Provider, server_name};
use crate::rows::name;
use crate::run::Samples;

/// Plaintext bytes of a record.
pub const SIZES: [usize; 5] = [64, 256, 1 << 10, 4 << 10, 16 << 10];
/// Records are handled in batches of about this many bytes, which stay in the second-level cache.
const BATCH: usize = 128 << 10;
/// Room for the longest overhead of a record.
const OVERHEAD: usize = 22;

/// The row of underseal's records over a backend.
pub fn underseal_row(backend: &str) -> String {
    format!("underseal-record, {backend}")
}

/// The row of a backend's AEAD.
pub fn alone_row(backend: &str) -> String {
    format!("AEAD alone, {backend}")
}

/// Measures sealing and opening.
///
/// # Errors
///
/// When a record does not seal or open.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let worker = || {
        pin_to(context.cores.measured)?;
        let clock = clock_cost();
        for size in SIZES {
            for mut row in context.in_turn(rows(context)?, round) {
                let batches = (context.scale.record_bytes / BATCH).max(1);
                let (seal, open) = run(row.records.as_mut(), size, batches, clock)?;
                let bytes = (batches * records_in_batch(size) * size) as f64;
                let at = |measure| (measure, row.name.as_str(), size.to_string());
                for (measure, cpu) in [("records seal", seal), ("records open", open)] {
                    let (measure, name, setting) = at(measure);
                    let cpu = cpu.as_secs_f64();
                    let values = [
                        ("gb_per_s", bytes / 1e9 / cpu),
                        ("cpu_s_per_gb", cpu / bytes * 1e9),
                    ];
                    samples.add((measure, name, &setting, round), &values);
                }
            }
        }
        Ok(())
    };
    // On a thread of its own, so that the pin ends with the measure.
    std::thread::scope(|scope| scope.spawn(worker).join())
        .unwrap_or_else(|_| bail!("the measure panicked"))
}

struct InMemory {
    name: String,
    records: Box<dyn Records>,
}

/// One direction: what seals and what opens.
trait Records {
    /// Seals `plaintext` into every slot, one record each; the slot has just the room.
    fn seal(&mut self, plaintext: &[u8], slots: &mut [Vec<u8>]) -> anyhow::Result<()>;
    /// Opens every slot, in order.
    fn open(&mut self, slots: &mut [Vec<u8>]) -> anyhow::Result<()>;
    /// Bytes of a record.
    fn record_len(&self, plaintext: usize) -> usize {
        plaintext + OVERHEAD
    }
}

fn rows(context: &Context) -> anyhow::Result<Vec<InMemory>> {
    let mut rows = Vec::new();
    for backend in Backend::ALL {
        let alone = Box::new(Alone {
            aead: Aead::new(backend.name())?,
            sealed: 0,
            opened: 0,
        });
        rows.push(InMemory {
            name: alone_row(backend.name()),
            records: alone,
        });
        let records = Box::new(Underseal::new(backend)?);
        rows.push(InMemory {
            name: underseal_row(backend.name()),
            records,
        });
    }
    for (name, provider) in [
        (name::RUSTLS_RING, Provider::Ring),
        (name::RUSTLS_AWS, Provider::AwsLcRs),
    ] {
        let records = Box::new(Rustls::new(context, provider)?);
        rows.push(InMemory {
            name: name.to_owned(),
            records,
        });
    }
    rows.retain(|row| context.wants(&row.name));
    Ok(rows)
}

/// CPU time of sealing and of opening all batches.
fn run(
    records: &mut dyn Records,
    size: usize,
    batches: usize,
    clock: Duration,
) -> anyhow::Result<(Duration, Duration)> {
    let plaintext = vec![0x5a; size];
    let mut slots = vec![vec![0; records.record_len(size)]; records_in_batch(size)];
    let (mut seal, mut open) = (Duration::ZERO, Duration::ZERO);
    // The first batch faults pages in and fills caches; it does not count.
    for batch in 0..=batches {
        let began = thread_cpu();
        records.seal(&plaintext, &mut slots)?;
        let sealed = thread_cpu();
        records.open(&mut slots)?;
        let opened = thread_cpu();
        if batch > 0 {
            seal += (sealed - began).saturating_sub(clock);
            open += (opened - sealed).saturating_sub(clock);
        }
    }
    Ok((seal, open))
}

fn records_in_batch(size: usize) -> usize {
    (BATCH / size).max(1)
}

struct Alone {
    aead: Aead,
    sealed: u64,
    opened: u64,
}

impl Records for Alone {
    fn seal(&mut self, _: &[u8], slots: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for slot in slots {
            self.aead.seal(self.sealed, slot)?;
            self.sealed += 1;
        }
        Ok(())
    }

    fn open(&mut self, slots: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for slot in slots {
            self.aead.open(self.opened, slot)?;
            self.opened += 1;
        }
        Ok(())
    }

    fn record_len(&self, plaintext: usize) -> usize {
        plaintext + TAG
    }
}

struct Underseal {
    sealer: Sealer,
    opener: Opener,
}

impl Underseal {
    fn new(backend: Backend) -> anyhow::Result<Self> {
        let keys = || {
            let (version, algorithm) = (ProtocolVersion::Tls13, Algorithm::Aes128Gcm);
            TrafficKeys::new(version, algorithm, &[7; 16], [9; 12], SeqNo(0))
        };
        Ok(Self {
            sealer: Sealer::with_backend(keys()?, backend),
            opener: Opener::with_backend(keys()?, backend),
        })
    }
}

impl Records for Underseal {
    fn seal(&mut self, plaintext: &[u8], slots: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for slot in slots {
            self.sealer
                .seal(ContentType::APPLICATION_DATA, plaintext, slot)?;
        }
        Ok(())
    }

    fn open(&mut self, slots: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for slot in slots {
            self.opener.open_in_place(slot)?;
        }
        Ok(())
    }
}

/// rustls' connections with memory between them: their buffers are part of what is measured.
struct Rustls {
    client: ClientConnection,
    server: ServerConnection,
    plaintext: Vec<u8>,
}

impl Rustls {
    fn new(context: &Context, provider: Provider) -> anyhow::Result<Self> {
        let credentials = &context.credentials;
        let mut client = ClientConnection::new(credentials.client(provider)?, server_name())?;
        let mut server = ServerConnection::new(Arc::clone(&credentials.server(provider)?))?;
        let mut wire = Vec::new();
        while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
            while client.wants_write() {
                client.write_tls(&mut wire)?;
            }
            feed(&mut wire, |bytes| server.read_tls(bytes))?;
            server.process_new_packets()?;
            while server.wants_write() {
                server.write_tls(&mut wire)?;
            }
            feed(&mut wire, |bytes| client.read_tls(bytes))?;
            client.process_new_packets()?;
        }
        Ok(Self {
            client,
            server,
            plaintext: vec![0; BATCH],
        })
    }
}

fn feed(
    wire: &mut Vec<u8>,
    mut read_tls: impl FnMut(&mut dyn std::io::Read) -> std::io::Result<usize>,
) -> anyhow::Result<()> {
    let mut left = wire.as_slice();
    while !left.is_empty() {
        read_tls(&mut left)?;
    }
    wire.clear();
    Ok(())
}

impl Records for Rustls {
    fn seal(&mut self, plaintext: &[u8], slots: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for slot in slots {
            self.client.writer().write_all(plaintext)?;
            let written = self.client.write_tls(&mut slot.as_mut_slice())?;
            if written != slot.len() {
                bail!("rustls made a record of {written} bytes");
            }
        }
        Ok(())
    }

    fn open(&mut self, slots: &mut [Vec<u8>]) -> anyhow::Result<()> {
        for slot in slots {
            let mut left = slot.as_slice();
            while !left.is_empty() {
                self.server.read_tls(&mut left)?;
                self.server.process_new_packets()?;
            }
            let count = self.server.reader().read(&mut self.plaintext);
            if count.context("rustls opened nothing")? + OVERHEAD != slot.len() {
                bail!("rustls opened a part of a record");
            }
        }
        Ok(())
    }
}
