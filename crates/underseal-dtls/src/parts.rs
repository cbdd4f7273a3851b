use std::fmt;

use underseal_record::dtls::{ConnectionId, EpochKeys, Opener, ReplayWindow, Sealer};

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
        }
    }

    pub(crate) fn into_engines(self) -> (Sealer, Opener) {
        (
            Sealer::new(self.send),
            Opener::new(self.receive, self.window),
        )
    }

    pub(crate) fn of_engines(sealer: Sealer, opener: Opener) -> Self {
        let (receive, window) = opener.into_parts();
        Self::new(sealer.into_keys(), receive, window)
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("send", &self.send)
            .field("receive", &self.receive)
            .finish_non_exhaustive()
    }
}
