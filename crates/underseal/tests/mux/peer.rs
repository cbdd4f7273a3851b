//! The model of one connection in a sequence.

use underseal::mux::{Attached, Closed, ConnectionId};

use crate::sequence::MAX;
use crate::wire::Wire;

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Open,
    Closed,
    Detached,
}

pub(crate) struct Peer {
    pub(crate) id: ConnectionId,
    pub(crate) attached: Option<Attached<Wire>>,
    pub(crate) wire: Wire,
    pub(crate) kind: Kind,
    /// All that was sent to the mux, and how much of it came back as messages.
    pub(crate) stream: Vec<u8>,
    taken: usize,
    /// All replies that were accepted.
    replies: Vec<u8>,
    pub(crate) in_hand: usize,
    pub(crate) was_dropped: bool,
    was_closed: bool,
    has_failed: bool,
}

/// What is next in a stream.
#[derive(Debug, PartialEq, Eq)]
enum Next<'a> {
    Message(&'a [u8]),
    Part,
    Nothing,
    TooLong,
}

impl Peer {
    pub(crate) fn new(attached: Attached<Wire>, wire: Wire, stream: Vec<u8>) -> Self {
        Self {
            id: attached.id(),
            attached: Some(attached),
            wire,
            kind: Kind::Open,
            stream,
            taken: 0,
            replies: Vec::new(),
            in_hand: 0,
            was_dropped: false,
            was_closed: false,
            has_failed: false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.kind == Kind::Open
    }

    fn next(&self) -> Next<'_> {
        let rest = &self.stream[self.taken..];
        let Some(first) = rest.first() else {
            return Next::Nothing;
        };
        match 1 + usize::from(*first) {
            len if len > MAX => Next::TooLong,
            len if len > rest.len() => Next::Part,
            len => Next::Message(&rest[..len]),
        }
    }

    pub(crate) fn close(&mut self) {
        if let Some(attached) = &self.attached {
            self.was_closed = true;
            attached.close();
        }
    }

    pub(crate) fn fail(&mut self) {
        self.has_failed = true;
        self.wire.change(|ends| ends.fails = !ends.has_ended);
    }

    /// A message of it was handed out.
    pub(crate) fn take(&mut self, message: &[u8], most: usize) {
        assert!(self.is_open(), "a message of a connection that is over");
        assert_eq!(self.next(), Next::Message(message));
        self.taken += message.len();
        self.in_hand += 1;
        assert!(self.in_hand <= most);
    }

    /// Bytes of replies that the mux keeps.
    pub(crate) fn waiting(&self) -> usize {
        let sent = &self.wire.ends().sent;
        assert!(self.replies.starts_with(sent), "something else was sent");
        self.replies.len() - sent.len()
    }

    /// A reply was accepted.
    pub(crate) fn replied(&mut self, reply: &[u8], limit: usize) {
        assert!(self.is_open(), "a reply to a connection that is over");
        self.replies.extend_from_slice(reply);
        assert!(self.waiting() < limit + reply.len().max(1));
    }

    /// No worker can have anything of it now: then there is nothing.
    pub(crate) fn check_at_rest(&self, most: usize, limit: usize) {
        let waiting = self.waiting();
        let ends = self.wire.ends();
        assert!(waiting == 0 || ends.room == 0, "replies wait for nothing");
        let is_read = self.in_hand < most && waiting < limit;
        if is_read && !self.was_closed && self.next() != Next::TooLong {
            assert_eq!(ends.coming.len(), 0, "nobody reads");
            assert!(
                !matches!(self.next(), Next::Message(_)),
                "a message is kept"
            );
        }
        let is_idle = self.in_hand == 0 && waiting == 0;
        let is_over = self.was_closed || ends.has_ended || self.next() == Next::TooLong;
        assert!(!(is_idle && is_over), "a connection stays open");
    }

    /// The mux ended it.
    pub(crate) fn ended(&mut self, why: &Closed) {
        assert!(self.is_open(), "it ends twice");
        self.kind = Kind::Closed;
        let has_ended = self.wire.ends().has_ended;
        let is_right = match why {
            Closed::Abandoned => return assert!(self.was_dropped),
            Closed::Io(_) => return assert!(self.has_failed),
            Closed::ByPeer => has_ended && self.next() == Next::Nothing,
            Closed::Framing(_) => {
                self.next() == Next::TooLong || has_ended && self.next() == Next::Part
            }
            Closed::ByOwner => self.was_closed,
            _ => false,
        };
        assert!(is_right, "it ended, and {why}");
        assert_eq!((self.in_hand, self.waiting()), (0, 0));
        assert!(self.wire.ends().is_shut);
    }

    /// Its stream came back, with what was read and not handed out.
    pub(crate) fn detached(&mut self, received: &[u8]) {
        assert!(self.is_open());
        self.kind = Kind::Detached;
        assert_eq!((self.in_hand, self.waiting()), (0, 0));
        let ends = self.wire.ends();
        let rest: Vec<u8> = received.iter().chain(&ends.coming).copied().collect();
        assert_eq!(rest, self.stream[self.taken..]);
        assert!(!ends.has_told, "the failure is lost");
    }
}
