//! What a connection knows besides keys and bytes, on its way into another connection's place.
//!
//! All state of a [`Connection`], and what taking it apart does with it:
//!
//! | state | |
//! |---|---|
//! | keys, sequence numbers, secrets; limits, padding, length of records | carried |
//! | plaintext not read; ciphertext not opened; sealed bytes not sent | carried |
//! | an open record, a key update that is wanted | sealed, and carried with what is not sent |
//! | the same in the kernel engine, whose socket seals them | refused: flush first |
//! | close_notify, sent or received | carried |
//! | a failure of the connection, told or not; a sending direction that lost records | refused |
//! | programs, with their verdicts and parsers, be they for good | refused: detach first |
//! | what others redirected here and nobody took | refused |
//! | a part of a control message, a record for `read_record` | refused |
//! | whether records of other types are delivered | carried |
//! | which directions are still to move into the kernel | carried |
//! | counters | carried |
//! | the limit of the buffer that the session was asked for | carried |
//! | close_notify and new keys that it was asked for | queued, and carried with what is not sent |
//! | what keying material is exported from | carried, by the session |
//! | an answer that waits for the socket, and that a reader sends | carried with what is not sent |
//! | tickets: where they go | carried, but not in bytes |
//! | who redirects here | let go: they see a closed target |
//! | whether the peer of a kernel that seals may have left | looked for anew |
//! | the allowance of control messages, empty records in a row, the size of batches | start anew |

use std::os::fd::BorrowedFd;

use super::{Connection, Counters, Engine};
use crate::Error;
use crate::offload::{Engines, Offload, Offloads};

/// What a connection hands on besides keys and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Who sealed and opened.
    pub(crate) engines: Engines,
    /// Which directions are still to move, by what was asked for; `User` where none is.
    pub(crate) offloads: Offloads,
    pub(crate) counters: Counters,
    pub(crate) deliver_records: bool,
}

impl Connection {
    pub(crate) fn carried(&self) -> Carried {
        Carried {
            engines: self.engines(),
            offloads: self.moving.wished(),
            counters: self.counters(),
            deliver_records: self.control.deliver_records,
        }
    }

    /// Goes on where the connection stopped that this is of.
    ///
    /// # Errors
    ///
    /// If a direction was to be moved, and the kernel that was asked for refuses.
    pub(crate) fn go_on(
        &mut self,
        socket: Option<BorrowedFd<'_>>,
        carried: Carried,
    ) -> Result<(), Error> {
        let counters = carried.counters;
        (self.tx_bytes, self.rx_bytes) = (counters.tx_bytes, counters.rx_bytes);
        self.tx.set_key_updates(counters.tx_key_updates);
        self.rx.set_key_updates(counters.rx_key_updates);
        self.control.deliver_records = carried.deliver_records;
        self.limit_buffer();
        self.tx.look_for_departure();
        // Nobody remembers whose it is: a reader sends it too, as it would its own answer.
        self.control.answer_due = self.tx.pending_len() > 0;
        let engines = self.engines();
        let wish = |was, is, offload| match (was, is) {
            (_, Engine::Kernel) => Offload::Auto,
            // It has left the socket of the kernel that had it.
            (Engine::Kernel, Engine::User) => Offload::User,
            (Engine::User, Engine::User) => offload,
        };
        let offloads = Offloads {
            tx: wish(carried.engines.tx, engines.tx, carried.offloads.tx),
            rx: wish(carried.engines.rx, engines.rx, carried.offloads.rx),
        };
        self.offload(socket, offloads)
    }
}
