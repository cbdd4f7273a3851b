//! Hand-over: a finished rustls handshake becomes an established connection of the engine.
//!
//! What must hold, and how it does:
//!
//! - nothing to send is left in rustls: `dangerous_into_kernel_connection` refuses otherwise;
//! - nothing received is lost: plaintext that rustls opened and ciphertext that it did not touch
//!   both move into the receiving direction, in order;
//! - the hand-over is between records and between handshake messages: the handshake goes on while
//!   rustls holds back a whole record (see `handshake::Flight`);
//! - the suite is one that the record layer knows;
//! - sequence numbers have one owner: they move with the keys;
//! - keys can be updated: the traffic secrets move along (see `handshake::Secrets`);
//! - a direction moves into the kernel between two records and with nothing unsent: see
//!   `engine::moving`, which waits for that;
//! - tickets still reach rustls: a client's kernel connection moves along.

use std::sync::Arc;

use rustls::ExtractedSecrets;
use underseal_record::{Opener, Sealer, TrafficKeys, TrafficSecret};

use crate::Error;
use crate::engine::{Connection, End, Receive, Transmit, user};
use crate::handshake::{Flight, Handshake, Secrets, Tickets, traffic_keys};
use crate::session::Orders;

/// What rustls' `max_fragment_size` counts besides the plaintext: the record's header.
const FRAGMENT_OVERHEAD: usize = 5;

/// An established connection, and what its side knows of the handshake.
pub(crate) struct Established<Session> {
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// Data to be written first: early data that the server did not take.
    pub(crate) unsent: Vec<u8>,
}

/// What a finished handshake leaves behind.
pub(crate) struct Finished {
    pub(crate) version: rustls::ProtocolVersion,
    /// Keys and sequence numbers of both directions.
    pub(crate) keys: ExtractedSecrets,
    pub(crate) next: Secrets,
    pub(crate) tickets: Tickets,
    pub(crate) orders: Arc<Orders>,
    pub(crate) flight: Flight,
    pub(crate) max_fragment_size: Option<usize>,
}

impl Finished {
    /// Hands over: from here on rustls seals and opens nothing on this connection.
    pub(crate) fn into_connection(self) -> Result<Connection, Error> {
        crate::backend::apply_environment();
        let tx_keys = traffic_keys(self.version, self.keys.tx)?;
        let rx_keys = traffic_keys(self.version, self.keys.rx)?;
        let tx_secret = caught_up(self.next.tx, &tx_keys);
        let rx_secret = caught_up(self.next.rx, &rx_keys);
        let mut sealer = Sealer::new(tx_keys);
        if let Some(size) = self.max_fragment_size {
            sealer.lower_max_plaintext(size.saturating_sub(FRAGMENT_OVERHEAD));
        }
        let opener = Opener::new(rx_keys);
        let flight = self.flight;
        let tx = user::Transmit::new(sealer, tx_secret, &[], false);
        let rx = user::Receive::new(opener, rx_secret, &flight.plaintext, &flight.incoming);
        let end = flight.peer_closed.then_some(End::CloseNotify);
        let (tx, rx) = (Transmit::User(tx), Receive::User(rx));
        Ok(Connection::new(tx, rx, self.tickets, self.orders, end))
    }
}

/// Hands a complete handshake over, and overwrites what rustls left of its keys on the stack: it
/// moves them by value.
pub(crate) fn hand_over<H: Handshake>(handshake: H) -> Result<Established<H::Session>, Error> {
    let established = finish(handshake);
    underseal_record::stack::overwrite_deep();
    established
}

/// In a frame of its own, which is below the caller's.
#[inline(never)]
fn finish<H: Handshake>(handshake: H) -> Result<Established<H::Session>, Error> {
    handshake.finish()
}

/// Key updates that rustls may have followed before the hand-over: no more messages than these fit
/// what it was given at once.
const MOST_UPDATES: usize = 8 * 1024;

/// The secret that `keys` are of: a later one than the handshake's if the peer sent a key update
/// in one segment with its last flight, which rustls then followed. `None` if it is none of them:
/// the keys cannot be updated then.
fn caught_up(secret: Option<TrafficSecret>, keys: &TrafficKeys) -> Option<TrafficSecret> {
    let mut secret = secret?;
    for _ in 0..=MOST_UPDATES {
        if secret.derives(keys) {
            return Some(secret);
        }
        secret.update();
    }
    None
}
