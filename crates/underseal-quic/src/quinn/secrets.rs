//! The secrets that the keys of packets derive from.
//!
//! rustls hands out keys in boxes, that of the payload and that of the header apart, and not what they
//! derive from. The secrets pass through the configured `KeyLog`, on the thread that drives the
//! handshake: a log of underseal's own stands before the application's and keeps them.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use rustls::KeyLog;
use zeroize::Zeroizing;

pub(super) type Secret = Zeroizing<Vec<u8>>;

/// What a handshake has told so far and nobody has used.
#[derive(Default)]
pub(super) struct Secrets {
    /// Of 0-RTT packets.
    pub(super) early: Option<Secret>,
    pub(super) handshake: Pair,
    pub(super) application: Pair,
}

/// One for the packets of each side.
#[derive(Default)]
pub(super) struct Pair {
    pub(super) client: Option<Secret>,
    pub(super) server: Option<Secret>,
}

thread_local! {
    /// Of the session whose handshake this thread drives.
    static SEEN: RefCell<Option<Secrets>> = const { RefCell::new(None) };
}

impl Secrets {
    /// Calls `drive` and keeps what the handshake that it drives tells meanwhile.
    pub(super) fn watch<T>(&mut self, drive: impl FnOnce() -> T) -> T {
        let scope = SecretsScope {
            before: SEEN.replace(Some(mem::take(self))),
        };
        let driven = drive();
        *self = SEEN.take().unwrap_or_default();
        drop(scope);
        driven
    }

    fn place(&mut self, label: &str) -> Option<&mut Option<Secret>> {
        Some(match label {
            "CLIENT_EARLY_TRAFFIC_SECRET" => &mut self.early,
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET" => &mut self.handshake.client,
            "SERVER_HANDSHAKE_TRAFFIC_SECRET" => &mut self.handshake.server,
            "CLIENT_TRAFFIC_SECRET_0" => &mut self.application.client,
            "SERVER_TRAFFIC_SECRET_0" => &mut self.application.server,
            _ => return None,
        })
    }
}

/// While a handshake is driven. One may be driven inside of another, by what an application has the
/// other call; and one that panics leaves no secrets to the thread.
struct SecretsScope {
    before: Option<Secrets>,
}

impl Drop for SecretsScope {
    fn drop(&mut self) {
        let before = self.before.take();
        // A thread that is shutting down has none.
        let _ = SEEN.try_with(|seen| seen.replace(before));
    }
}

/// Keeps the secrets, and passes on what the application's log wants.
#[derive(Debug)]
pub(super) struct KeepsSecrets(Arc<dyn KeyLog>);

impl KeepsSecrets {
    pub(super) fn before(log: Arc<dyn KeyLog>) -> Self {
        Self(log)
    }
}

impl KeyLog for KeepsSecrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        SEEN.with_borrow_mut(|seen| {
            if let Some(place) = seen.as_mut().and_then(|seen| seen.place(label)) {
                *place = Some(Zeroizing::new(secret.to_vec()));
            }
        });
        if self.0.will_log(label) {
            self.0.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        Secrets::default().place(label).is_some() || self.0.will_log(label)
    }
}
