//! The traffic secrets that rustls keeps to itself.
//!
//! rustls' kernel connections hand out the keys of each update but not the secrets that they derive
//! from, nor what exporters
//! need. Keeping such a connection costs a server some 800 bytes per stream, and a stream without
//! one could never update its keys in another process. The secrets pass through the configured
//! `KeyLog`, on the thread that drives the handshake: a log of underseal's own stands before the
//! application's and keeps them.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::KeyLog;
use underseal_record::{Algorithm, TrafficSecret};
use zeroize::Zeroizing;

use super::hello::HelloFacts;
use crate::Error;
use crate::exporter::{Exporter, RANDOM_LEN};

const EXPORTER: &str = "EXPORTER_SECRET";
/// TLS 1.2: the master secret. rustls logs it without asking whether that is wanted.
const MASTER: &str = "CLIENT_RANDOM";
const CLIENT: &str = "CLIENT_TRAFFIC_SECRET_0";
const SERVER: &str = "SERVER_TRAFFIC_SECRET_0";
const CLIENT_EARLY: &str = "CLIENT_EARLY_TRAFFIC_SECRET";
const CLIENT_HANDSHAKE: &str = "CLIENT_HANDSHAKE_TRAFFIC_SECRET";

pub(super) type Secret = Zeroizing<Vec<u8>>;

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// What the handshake that this thread drives has told so far.
#[derive(Default)]
pub(super) struct Seen {
    client: Option<Secret>,
    server: Option<Secret>,
    /// TLS 1.3, with the client's random that the server knows.
    exporter: Option<(Option<[u8; RANDOM_LEN]>, Secret)>,
    /// TLS 1.2: the client's random and the master secret.
    master: Option<([u8; RANDOM_LEN], Secret)>,
    /// Those under which a client seals before its Finished; a server's handshake alone wants them.
    before_finished: Vec<Secret>,
}

/// The client's secrets from before its Finished that this thread has seen since the last call.
pub(super) fn take_secrets_of_handshake() -> Vec<Secret> {
    SEEN.with_borrow_mut(|seen| std::mem::take(&mut seen.before_finished))
}

/// The secrets of the next keys: both with TLS 1.3, none with TLS 1.2.
#[derive(Default)]
pub(crate) struct Secrets {
    pub(crate) tx: Option<TrafficSecret>,
    pub(crate) rx: Option<TrafficSecret>,
}

/// While a handshake is driven. What it told and nobody collected, because it panics, ends with it:
/// the thread keeps no secrets, and the next handshake does not take them for its own. What an outer
/// handshake has told, of which this one is made by a hook, is kept for it meanwhile.
pub(super) struct SecretsScope {
    outer: Seen,
}

impl SecretsScope {
    pub(super) fn begin() -> Self {
        let outer = SEEN.take();
        Self { outer }
    }
}

impl Drop for SecretsScope {
    fn drop(&mut self) {
        let outer = std::mem::take(&mut self.outer);
        // A thread that is shutting down has none.
        let _ = SEEN.try_with(|seen| seen.replace(outer));
    }
}

impl Seen {
    /// Adds what this thread has seen since the last call.
    pub(super) fn collect(&mut self) {
        let seen = SEEN.with(RefCell::take);
        self.client = seen.client.or(self.client.take());
        self.server = seen.server.or(self.server.take());
        self.exporter = seen.exporter.or(self.exporter.take());
        self.master = seen.master.or(self.master.take());
    }

    /// TLS 1.3: the random of the client's hello that the server knows.
    pub(super) fn client_random(&self) -> Option<[u8; RANDOM_LEN]> {
        self.exporter.as_ref().and_then(|(random, _)| *random)
    }

    /// What keying material of the connection is derived from; `hello` is the server's.
    pub(super) fn exporter(&mut self, hello: Option<HelloFacts>) -> Option<Exporter> {
        if let Some((_, secret)) = self.exporter.take() {
            return Some(Exporter::tls13(&secret));
        }
        let (client_random, master) = self.master.take()?;
        let hello = hello?;
        Some(Exporter::tls12(
            hello.extended_master_secret,
            &master,
            &client_random,
            &hello.random,
        ))
    }

    pub(super) fn of_client(self, algorithm: Algorithm) -> Result<Secrets, Error> {
        secrets(algorithm, self.client, self.server)
    }

    pub(super) fn of_server(self, algorithm: Algorithm) -> Result<Secrets, Error> {
        secrets(algorithm, self.server, self.client)
    }
}

fn secrets(algorithm: Algorithm, tx: Option<Secret>, rx: Option<Secret>) -> Result<Secrets, Error> {
    let secret = |bytes: Option<Secret>| {
        bytes
            .map(|bytes| TrafficSecret::new(algorithm, &bytes))
            .transpose()
    };
    Ok(Secrets {
        tx: secret(tx)?,
        rx: secret(rx)?,
    })
}

/// Keeps the secrets, and passes on what the application's log wants.
#[derive(Debug)]
pub(super) struct KeepsSecrets {
    log: Arc<dyn KeyLog>,
    is_server: bool,
}

impl KeepsSecrets {
    pub(super) fn of_client(log: Arc<dyn KeyLog>) -> Self {
        let is_server = false;
        Self { log, is_server }
    }

    pub(super) fn of_server(log: Arc<dyn KeyLog>) -> Self {
        let is_server = true;
        Self { log, is_server }
    }
}

impl KeyLog for KeepsSecrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let kept = || Zeroizing::new(secret.to_vec());
        SEEN.with_borrow_mut(|seen| match label {
            CLIENT => seen.client = Some(kept()),
            SERVER => seen.server = Some(kept()),
            EXPORTER => seen.exporter = Some((client_random.try_into().ok(), kept())),
            MASTER => {
                let random = client_random.try_into().ok();
                seen.master = random.map(|random| (random, kept()));
            }
            CLIENT_EARLY | CLIENT_HANDSHAKE if self.is_server => seen.before_finished.push(kept()),
            _ => {}
        });
        if label == MASTER || self.log.will_log(label) {
            self.log.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        let is_kept = match label {
            CLIENT | SERVER | EXPORTER | MASTER => true,
            CLIENT_EARLY | CLIENT_HANDSHAKE => self.is_server,
            _ => false,
        };
        is_kept || self.log.will_log(label)
    }
}
