//! The connections of this process, kept by the workers and read by whoever is asked for them.
//!
//! A worker takes the lock of its table when a connection begins and when it ends, and nobody else
//! does but a listing, for as long as copying pointers takes. In between a connection writes to
//! atomics of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use underseal::{CommonState, Counters, Engines};

use super::{Engine, Row};

/// Every connection of this process: one table per worker.
pub struct Registry {
    command: &'static str,
    tables: Vec<Arc<Table>>,
}

/// The connections of one worker.
#[derive(Default)]
pub struct Table {
    entries: Mutex<Vec<Arc<Entry>>>,
}

/// What is known of a connection once its handshake is complete.
#[derive(Clone, Copy, Debug)]
pub struct Established {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// The version, as rustls names it.
    pub tls: Option<&'static str>,
    /// The cipher suite, as rustls names it.
    pub suite: Option<&'static str>,
}

impl Established {
    /// Between these ends, as `tls` has agreed.
    pub fn of(tls: &CommonState, local: SocketAddr, peer: SocketAddr) -> Self {
        let suite = tls.negotiated_cipher_suite();
        Self {
            local,
            peer,
            tls: tls.protocol_version().and_then(|version| version.as_str()),
            suite: suite.and_then(|suite| suite.suite().as_str()),
        }
    }
}

struct Entry {
    established: Established,
    since: Instant,
    tx_bytes: AtomicU64,
    rx_bytes: AtomicU64,
    tx_key_updates: AtomicU32,
    rx_key_updates: AtomicU32,
    /// [`TX_IN_KERNEL`] and [`RX_IN_KERNEL`].
    engines: AtomicU8,
    /// Place in the table, so that removal needs no search. Used under the table's lock only.
    index: AtomicUsize,
}

const TX_IN_KERNEL: u8 = 1;
const RX_IN_KERNEL: u8 = 2;

/// A connection that is listed until this is dropped.
pub struct Registration {
    table: Arc<Table>,
    entry: Arc<Entry>,
}

impl Registry {
    /// For the `workers` of `command`.
    pub fn new(command: &'static str, workers: usize) -> Self {
        Self {
            command,
            tables: (0..workers).map(|_| Arc::default()).collect(),
        }
    }

    /// One table per worker.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.iter()
    }

    /// Every connection there is now, as lines of JSON.
    pub fn lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for table in &self.tables {
            let entries = table.lock().clone();
            for entry in entries {
                // Writing to a Vec cannot fail, and a row is nothing that JSON lacks.
                let _ = serde_json::to_writer(&mut lines, &entry.row(self.command));
                lines.push(b'\n');
            }
        }
        lines
    }
}

impl Table {
    /// Adds a connection.
    pub fn add(self: &Arc<Self>, established: Established) -> Registration {
        let mut entries = self.lock();
        let entry = Arc::new(Entry {
            established,
            since: Instant::now(),
            tx_bytes: AtomicU64::new(0),
            rx_bytes: AtomicU64::new(0),
            tx_key_updates: AtomicU32::new(0),
            rx_key_updates: AtomicU32::new(0),
            engines: AtomicU8::new(0),
            index: AtomicUsize::new(entries.len()),
        });
        entries.push(Arc::clone(&entry));
        Registration {
            table: Arc::clone(self),
            entry,
        }
    }

    /// A panic under the lock cannot leave the list half changed.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn row(&self, command: &str) -> Row {
        let Established {
            local,
            peer,
            tls,
            suite,
        } = self.established;
        let engines = self.engines.load(Ordering::Relaxed);
        let engine = |bit| match engines & bit {
            0 => Engine::User,
            _ => Engine::Kernel,
        };
        let key_updates = |counter: &AtomicU32| counter.load(Ordering::Relaxed).into();
        Row {
            pid: Some(std::process::id()),
            command: Some(command.to_owned()),
            local: canonical(local),
            peer: canonical(peer),
            age_seconds: Some(self.since.elapsed().as_millis() as f64 / 1000.0),
            tls: tls.map(str::to_owned),
            suite: suite.map(str::to_owned),
            tx_engine: engine(TX_IN_KERNEL),
            rx_engine: engine(RX_IN_KERNEL),
            tx_bytes: Some(self.tx_bytes.load(Ordering::Relaxed)),
            rx_bytes: Some(self.rx_bytes.load(Ordering::Relaxed)),
            tx_key_updates: Some(key_updates(&self.tx_key_updates)),
            rx_key_updates: Some(key_updates(&self.rx_key_updates)),
        }
    }
}

/// Where an IPv6 socket serves IPv4 clients, their addresses are shown as what they are.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Registration {
    /// Records how far the connection has come. It is its only writer, so that nothing has to
    /// be locked, and a listing may see one number older than the next.
    pub fn record_counters(&self, counters: Counters, engines: Engines) {
        let entry = &*self.entry;
        let in_kernel = |engine, bit| match engine {
            underseal::Engine::Kernel => bit,
            _ => 0,
        };
        let engines = in_kernel(engines.tx, TX_IN_KERNEL) | in_kernel(engines.rx, RX_IN_KERNEL);
        entry.engines.store(engines, Ordering::Relaxed);
        entry.tx_bytes.store(counters.tx_bytes, Ordering::Relaxed);
        entry.rx_bytes.store(counters.rx_bytes, Ordering::Relaxed);
        let (tx, rx) = (counters.tx_key_updates, counters.rx_key_updates);
        entry.tx_key_updates.store(tx, Ordering::Relaxed);
        entry.rx_key_updates.store(rx, Ordering::Relaxed);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut entries = self.table.lock();
        let index = self.entry.index.load(Ordering::Relaxed);
        entries.swap_remove(index);
        if let Some(moved) = entries.get(index) {
            moved.index.store(index, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(port: u16) -> Established {
        Established {
            local: SocketAddr::from(([127, 0, 0, 1], 443)),
            peer: SocketAddr::from(([127, 0, 0, 1], port)),
            tls: Some("TLSv1_3"),
            suite: Some("TLS13_AES_128_GCM_SHA256"),
        }
    }

    fn rows(registry: &Registry) -> Vec<Row> {
        let lines = String::from_utf8(registry.lines()).expect("UTF-8");
        let parse = |line| serde_json::from_str(line).expect("a row");
        lines.lines().map(parse).collect()
    }

    fn ports(registry: &Registry) -> Vec<u16> {
        let mut ports: Vec<u16> = rows(registry).iter().map(|row| row.peer.port()).collect();
        ports.sort_unstable();
        ports
    }

    #[test]
    fn connections_of_all_workers_are_listed_and_leave_in_any_order() {
        let registry = Registry::new("serve", 2);
        let tables: Vec<_> = registry.tables().cloned().collect();
        let mut registrations: Vec<Registration> =
            (1..=5).map(|n| tables[0].add(connection(n))).collect();
        let other = tables[1].add(connection(9));
        assert_eq!(ports(&registry), [1, 2, 3, 4, 5, 9]);
        drop(registrations.remove(1));
        drop(registrations.remove(3));
        assert_eq!(ports(&registry), [1, 3, 4, 9]);
        drop(registrations.remove(0));
        drop(other);
        assert_eq!(ports(&registry), [3, 4]);
        drop(registrations);
        assert!(rows(&registry).is_empty());
    }

    #[test]
    fn a_row_says_how_far_its_connection_has_come() {
        let registry = Registry::new("serve", 1);
        let registration = registry.tables[0].add(connection(1));
        let counters = Counters {
            tx_bytes: 1024,
            rx_bytes: 7,
            tx_key_updates: 1,
            rx_key_updates: 3,
        };
        let engines = Engines {
            tx: underseal::Engine::Kernel,
            rx: underseal::Engine::User,
        };
        registration.record_counters(counters, engines);
        let row = rows(&registry).remove(0);
        assert_eq!((row.tx_bytes, row.rx_bytes), (Some(1024), Some(7)));
        assert_eq!((row.tx_key_updates, row.rx_key_updates), (Some(1), Some(3)));
        assert_eq!(
            (row.tx_engine, row.rx_engine),
            (Engine::Kernel, Engine::User)
        );
        assert_eq!(row.pid, Some(std::process::id()));
        assert_eq!(row.command.as_deref(), Some("serve"));
        assert_eq!(row.suite.as_deref(), Some("TLS13_AES_128_GCM_SHA256"));
    }

    #[test]
    fn ipv4_clients_of_an_ipv6_socket_have_ipv4_addresses() {
        let registry = Registry::new("serve", 1);
        let mapped = "[::ffff:192.0.2.1]:443".parse().expect("an address");
        let real = "[2001:db8::1]:50000".parse().expect("an address");
        let _place = registry.tables[0].add(Established {
            local: mapped,
            peer: real,
            ..connection(1)
        });
        let row = rows(&registry).remove(0);
        assert_eq!(row.local.to_string(), "192.0.2.1:443");
        assert_eq!(row.peer, real);
    }

    #[test]
    fn an_entry_is_small() {
        // Ten thousand idle connections then cost two megabytes.
        assert!(size_of::<Entry>() <= 192, "{} bytes", size_of::<Entry>());
    }
}
