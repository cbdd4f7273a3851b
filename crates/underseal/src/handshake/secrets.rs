//! The traffic secrets that rustls keeps to itself.
//!
//! rustls' kernel connections hand out the keys of each update but not the secrets that they derive
//! from. Keeping such a connection costs a server some 800 bytes per stream, and a stream without
//! one could never update its keys in another process. The secrets pass through the configured
//! `KeyLog`, on the thread that drives the handshake: a log of underseal's own stands before the
//! application's and keeps them.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::KeyLog;
use underseal_record::{Algorithm, TrafficSecret};
use zeroize::Zeroizing;

use crate::Error;

const CLIENT: &str = "CLIENT_TRAFFIC_SECRET_0";
const SERVER: &str = "SERVER_TRAFFIC_SECRET_0";

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// What the handshake that this thread drives has told so far.
#[derive(Default)]
pub(super) struct Seen {
    client: Option<Zeroizing<Vec<u8>>>,
    server: Option<Zeroizing<Vec<u8>>>,
}

/// The secrets of the next keys: both with TLS 1.3, none with TLS 1.2.
#[derive(Default)]
pub(crate) struct Secrets {
    pub(crate) tx: Option<TrafficSecret>,
    pub(crate) rx: Option<TrafficSecret>,
}

impl Seen {
    /// Adds what this thread has seen since the last call.
    pub(super) fn collect(&mut self) {
        let seen = SEEN.with(RefCell::take);
        self.client = seen.client.or(self.client.take());
        self.server = seen.server.or(self.server.take());
    }

    pub(super) fn of_client(self, algorithm: Algorithm) -> Result<Secrets, Error> {
        secrets(algorithm, self.client, self.server)
    }

    pub(super) fn of_server(self, algorithm: Algorithm) -> Result<Secrets, Error> {
        secrets(algorithm, self.server, self.client)
    }
}

fn secrets(
    algorithm: Algorithm,
    tx: Option<Zeroizing<Vec<u8>>>,
    rx: Option<Zeroizing<Vec<u8>>>,
) -> Result<Secrets, Error> {
    let secret = |bytes: Option<Zeroizing<Vec<u8>>>| {
        bytes
            .map(|bytes| TrafficSecret::new(algorithm, &bytes))
            .transpose()
    };
    Ok(Secrets {
        tx: secret(tx)?,
        rx: secret(rx)?,
    })
}

/// Keeps the application traffic secrets, and passes on what the application's log wants.
#[derive(Debug)]
pub(super) struct KeepsSecrets(pub(super) Arc<dyn KeyLog>);

impl KeyLog for KeepsSecrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let kept = Some(Zeroizing::new(secret.to_vec()));
        SEEN.with_borrow_mut(|seen| match label {
            CLIENT => seen.client = kept,
            SERVER => seen.server = kept,
            _ => {}
        });
        if self.0.will_log(label) {
            self.0.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == CLIENT || label == SERVER || self.0.will_log(label)
    }
}
