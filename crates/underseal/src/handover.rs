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
//! - tickets and key updates still reach rustls: its kernel connection moves along.

use rustls::ExtractedSecrets;
use underseal_record::{Opener, Sealer};

use crate::Error;
use crate::engine::{Connection, End, Receive, Transmit};
use crate::handshake::{Flight, Kernel, traffic_keys};
use crate::session::CommonState;

/// Header, type byte and tag: what rustls' `max_fragment_size` counts besides the plaintext.
const FRAGMENT_OVERHEAD: usize = 5;

/// An established connection, and what its side knows of the handshake.
pub(crate) struct Established<Session> {
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// Data to be written first: early data that the server did not take.
    pub(crate) unsent: Vec<u8>,
}

pub(crate) fn established<Session>(
    session: Session,
    common: &CommonState,
    secrets: ExtractedSecrets,
    kernel: Kernel,
    flight: Flight,
    max_fragment_size: Option<usize>,
    unsent: Vec<u8>,
) -> Result<Established<Session>, Error> {
    crate::backend::apply_environment();
    let version = common.protocol_version;
    let mut sealer = Sealer::new(traffic_keys(version, secrets.tx)?);
    if let Some(size) = max_fragment_size {
        sealer.lower_max_plaintext(size.saturating_sub(FRAGMENT_OVERHEAD));
    }
    let opener = Opener::new(traffic_keys(version, secrets.rx)?);
    let end = flight.peer_closed.then_some(End::CloseNotify);
    let rx = Receive::new(opener, &flight.plaintext, &flight.incoming);
    Ok(Established {
        connection: Connection::new(Transmit::new(sealer, &[], false), rx, kernel, end),
        session,
        unsent,
    })
}
