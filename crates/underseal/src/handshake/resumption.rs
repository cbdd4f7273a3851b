//! What an application puts into the tickets of its server.
//!
//! rustls' unbuffered connection has no way to say it, nor to refuse early data, nor does it tell
//! what came with a ticket. All three are in the session that rustls stores, or seals into a ticket:
//! a store and a ticketer of underseal's own stand before the application's. What they store is what
//! rustls' buffered connection would, so that tickets are good for servers of both kinds.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use rustls::server::{ProducesTickets, StoresServerSessions};
use zeroize::{Zeroize, Zeroizing};

thread_local! {
    static DRIVEN: RefCell<Resumption> = RefCell::default();
}

/// Of the handshake that this thread drives.
#[derive(Default)]
pub(super) struct Resumption {
    /// For the tickets that the client gets.
    pub(super) data: Vec<u8>,
    pub(super) rejects_early_data: bool,
    /// From the session that was looked up last.
    received: Option<Vec<u8>>,
}

impl Resumption {
    /// Makes rustls work by it on this thread, and keeps what is of an outer handshake, of which this
    /// one is made by a hook.
    pub(super) fn enter(&mut self) {
        DRIVEN.with_borrow_mut(|driven| std::mem::swap(driven, self));
    }

    /// The reverse.
    pub(super) fn leave(&mut self) {
        DRIVEN.with_borrow_mut(|driven| std::mem::swap(driven, self));
    }

    pub(super) fn into_received(self) -> Option<Vec<u8>> {
        self.received
    }
}

/// Before the application's store.
#[derive(Debug)]
pub(super) struct Sessions(pub(super) Arc<dyn StoresServerSessions>);

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, mut session: Vec<u8>) -> bool {
        match DRIVEN.with_borrow(|driven| with_data(&session, &driven.data)) {
            Put::AsItIs => self.0.put(key, session),
            Put::Changed(mut changed) => {
                session.zeroize();
                self.0.put(key, std::mem::take(&mut *changed))
            }
            Put::Impossible => false,
        }
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).and_then(looked_up)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.take(key).and_then(looked_up)
    }

    fn can_cache(&self) -> bool {
        self.0.can_cache()
    }
}

/// Before the application's ticketer.
#[derive(Debug)]
pub(super) struct Tickets(pub(super) Arc<dyn ProducesTickets>);

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        match DRIVEN.with_borrow(|driven| with_data(session, &driven.data)) {
            Put::AsItIs => self.0.encrypt(session),
            Put::Changed(changed) => self.0.encrypt(&changed),
            Put::Impossible => None,
        }
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(ticket).and_then(looked_up)
    }
}

/// What becomes of a session that rustls wants stored.
enum Put {
    AsItIs,
    Changed(Zeroizing<Vec<u8>>),
    /// rustls writes it down otherwise than it did: better no ticket than one without the data.
    Impossible,
}

fn with_data(session: &[u8], data: &[u8]) -> Put {
    if data.is_empty() {
        return Put::AsItIs;
    }
    let (Some(range), Ok(len)) = (data_range(session), u16::try_from(data.len())) else {
        return Put::Impossible;
    };
    let mut changed = Zeroizing::new(Vec::with_capacity(session.len() + data.len()));
    changed.extend(&session[..range.start - LEN_LEN]);
    changed.extend(len.to_be_bytes());
    changed.extend(data);
    changed.extend(&session[range.end..]);
    Put::Changed(changed)
}

/// Notes what came with a session, and makes it too old for early data that is not wanted.
fn looked_up(mut session: Vec<u8>) -> Option<Vec<u8>> {
    let range = data_range(&session);
    DRIVEN.with_borrow_mut(|driven| {
        driven.received = range.clone().map(|range| session[range].to_vec());
        if driven.rejects_early_data {
            // Without a session there is no early data, either.
            range?;
            let age = session.len().checked_sub(AGE_LEN)?;
            // RFC 8446 section 8.3: half the range away from the age that the client says.
            session[age] ^= 0x80;
        }
        Some(session)
    })
}

/// Bytes before the data, which say its length.
const LEN_LEN: usize = 2;
/// The last field of a session is the offset that obfuscates its age, in milliseconds.
const AGE_LEN: usize = 4;
/// Behind the data: the time of its creation, in seconds, and the offset.
const BEHIND_LEN: usize = 8 + AGE_LEN;

/// Where the application's data is in what rustls 0.23 writes down of a session; `None` if this is
/// not that.
fn data_range(session: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    let skip_if_there = |at: &mut usize, len_len| {
        let is_there = *session.get(*at)?;
        *at += 1;
        match is_there {
            0 => Some(()),
            1 => skip(session, at, len_len),
            _ => None,
        }
    };
    // The server's name; version and suite; the secret; whether it is an extended one; the client's
    // certificates; the protocol.
    skip_if_there(&mut at, 1)?;
    at += 2 + 2;
    skip(session, &mut at, 1)?;
    at += 1;
    skip_if_there(&mut at, 3)?;
    skip_if_there(&mut at, 1)?;
    let start = at + LEN_LEN;
    skip(session, &mut at, LEN_LEN)?;
    (session.len() == at + BEHIND_LEN).then_some(start..at)
}

/// Goes past bytes that have their length before them.
fn skip(session: &[u8], at: &mut usize, len_len: usize) -> Option<()> {
    let len = session.get(*at..*at + len_len)?;
    let len = len
        .iter()
        .fold(0, |len, byte| len << 8 | usize::from(*byte));
    *at += len_len + len;
    (*at <= session.len()).then_some(())
}
