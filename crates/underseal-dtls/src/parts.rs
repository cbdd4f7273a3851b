use std::fmt;

use underseal_record::dtls::{ConnectionId, EpochKeys, KeyUpdates, Opener, ReplayWindow, Sealer};

/// An association without its socket: for another process, or another engine.
///
/// Neither keys nor window can be copied: whoever has the parts is the one owner of the epoch's
/// sequence numbers.
#[non_exhaustive]
pub struct Parts {
    /// What this side seals with.
    pub send: EpochKeys,
    /// What this side opens with.
    pub receive: EpochKeys,
    /// Which records were opened.
    pub window: ReplayWindow,
    /// What makes the keys that follow, in DTLS 1.3. An association without it keeps its keys, and takes no
    /// messages of its peer's.
    pub key_updates: Option<KeyUpdates>,
}

/// An association ready for use.
#[derive(Debug)]
pub(crate) struct Engines {
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) key_updates: Option<KeyUpdates>,
}

/// The connection IDs of an association (RFC 9146), as its handshake agreed on them; empty in a direction
/// that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there are two directions")]
pub struct ConnectionIds {
    /// What the records of the peer carry: this side chose it.
    pub receive: ConnectionId,
    /// What the records of this side carry: the peer chose it.
    pub send: ConnectionId,
}

impl Parts {
    /// The parts of an association whose handshake was made elsewhere.
    pub fn new(send: EpochKeys, receive: EpochKeys, window: ReplayWindow) -> Self {
        Self {
            send,
            receive,
            window,
            key_updates: None,
        }
    }

    /// With what makes the keys that follow: the secrets that `send` and `receive` derive from.
    #[must_use]
    pub fn with_key_updates(mut self, key_updates: KeyUpdates) -> Self {
        self.key_updates = Some(key_updates);
        self
    }

    pub(crate) fn into_engines(self) -> Engines {
        Engines {
            sealer: Sealer::new(self.send),
            opener: Opener::new(self.receive, self.window),
            key_updates: self.key_updates,
        }
    }

    pub(crate) fn of_engines(engines: Engines) -> Self {
        let (receive, window) = engines.opener.into_parts();
        let parts = Self::new(engines.sealer.into_keys(), receive, window);
        Self {
            key_updates: engines.key_updates,
            ..parts
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("send", &self.send)
            .field("receive", &self.receive)
            .field("key_updates", &self.key_updates)
            .finish_non_exhaustive()
    }
}
