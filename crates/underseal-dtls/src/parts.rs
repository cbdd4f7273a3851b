use std::fmt;

use underseal_record::dtls::{ConnectionId, EpochKeys, KeyUpdates, Opener, ReplayWindow, Sealer};

use crate::association::End;
use crate::post_handshake::Unsettled;
use crate::programs::Attached;

/// An association without its socket: for another process, or another engine.
///
/// Neither keys nor window can be copied: whoever has the parts is the one owner of the epoch's
/// sequence numbers.
///
/// What the peer has not acknowledged goes with them, and so does what opens records of the epoch before. Neither is in any
/// field: who takes the fields apart, for another engine, leaves them behind, so that there should be nothing under
/// way then. A peer whose KeyUpdate was taken and whose ACK was lost is never heard again otherwise.
///
/// Neither is how far the association is over, nor are its programs, which go with the parts all the same: what was closed
/// stays so, and no policy is lost in silence.
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
    left: Left,
}

/// What an association leaves that is not settled yet.
#[derive(Default)]
pub(crate) struct Left {
    /// Keys and window of the epoch that the peer may not have left.
    pub(crate) previous: Option<(EpochKeys, ReplayWindow)>,
    pub(crate) unsettled: Unsettled,
    /// The handshake's last flight, while the peer may lack it, of DTLS 1.2.
    pub(crate) flight: Vec<Vec<u8>>,
    pub(crate) course: Course,
}

/// How far an association is over, and who judges its datagrams.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// Whether this side sends no more.
    pub(crate) is_closed: bool,
    pub(crate) end: Option<End>,
    pub(crate) egress: Attached,
    pub(crate) ingress: Attached,
}

/// An association ready for use.
#[derive(Debug)]
pub(crate) struct Engines {
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) key_updates: Option<KeyUpdates>,
    pub(crate) unsettled: Unsettled,
    pub(crate) flight: Vec<Vec<u8>>,
    pub(crate) course: Course,
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
            left: Left::default(),
        }
    }

    /// With what makes the keys that follow: the secrets that `send` and `receive` derive from.
    #[must_use]
    pub fn with_key_updates(mut self, key_updates: KeyUpdates) -> Self {
        self.key_updates = Some(key_updates);
        self
    }

    pub(crate) fn into_engines(self) -> Engines {
        let mut opener = Opener::new(self.receive, self.window);
        if let Some((keys, window)) = self.left.previous {
            // Where somebody has put other keys in the place of those that followed, there are none before them.
            let _ = opener.restore_previous(keys, window);
        }
        Engines {
            sealer: Sealer::new(self.send),
            opener,
            key_updates: self.key_updates,
            unsettled: self.left.unsettled,
            flight: self.left.flight,
            course: self.left.course,
        }
    }

    pub(crate) fn of_engines(mut engines: Engines) -> Self {
        let left = Left {
            previous: engines.opener.take_previous(),
            unsettled: engines.unsettled,
            flight: engines.flight,
            course: engines.course,
        };
        let (receive, window) = engines.opener.into_parts();
        let parts = Self::new(engines.sealer.into_keys(), receive, window);
        Self {
            key_updates: engines.key_updates,
            left,
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
