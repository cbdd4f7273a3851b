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
        let (rx_secret, updates) = caught_up(self.next.rx, &rx_keys);
        let tx_secret = match (&rx_secret, updates) {
            // rustls updates its own keys in answer to the peer, and never by itself before this.
            (Some(_), 0) => self.next.tx,
            _ => caught_up(self.next.tx, &tx_keys).0,
        };
        debug_assert!(
            tx_secret
                .as_ref()
                .is_none_or(|secret| secret.derives(&tx_keys))
        );
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
pub(crate) fn hand_over<H: Handshake>(handshake: Box<H>) -> Result<Established<H::Session>, Error> {
    underseal_record::stack::overwriting(|| handshake.finish())
}

/// Key updates that rustls may have followed before the hand-over: no more messages than these fit
/// what it was given at once.
const MOST_UPDATES: usize = 8 * 1024;

/// The secret that `keys` are of: a later one than the handshake's if the peer sent a key update
/// in one segment with its last flight, which rustls then followed. `None` if it is none of them:
/// the keys cannot be updated then. With it, how many updates that were.
fn caught_up(secret: Option<TrafficSecret>, keys: &TrafficKeys) -> (Option<TrafficSecret>, usize) {
    let Some(mut secret) = secret else {
        return (None, 0);
    };
    for updates in 0..=MOST_UPDATES {
        if secret.derives(keys) {
            return (Some(secret), updates);
        }
        secret.update();
    }
    (None, 0)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use underseal_record::stack::{self, DEPTH, DEPTH_OF_STEPS};
    use underseal_record::{Algorithm, Backend};
    use underseal_testkit::{Certificates, KeyType, RecordPeer, Suite, pair, stack_depth};

    use super::*;
    use crate::handshake::{ServerHandshake, prepare_server};
    use crate::transport::Std;

    /// What the frames of who overwrites, and of who calls, are apart at most.
    const MARGIN: usize = 1024;

    fn complete(suite: Suite) -> Box<ServerHandshake> {
        let certificates = Certificates::new(KeyType::Ecdsa);
        let (mut near, far) = pair(1 << 16);
        let client = certificates.client_config(suite);
        let peer = thread::spawn(move || RecordPeer::client(far, client));
        let config = prepare_server(&Arc::new(certificates.server_config(suite)));
        let mut handshake = Box::new(ServerHandshake::new(config, Vec::new()).expect("a server"));
        let driven = handshake.drive(&mut Std::new(&mut near));
        driven.expect("a handshake");
        drop(peer.join().expect("a client"));
        handshake
    }

    #[test]
    fn a_hand_over_goes_no_deeper_than_is_overwritten() {
        for suite in Suite::ALL {
            let handshake = complete(suite);
            let (depth, done) = stack::overwriting(|| stack_depth(|| hand_over(handshake)));
            done.expect("a connection");
            println!("{suite:?}: {depth} bytes");
            assert!(depth + MARGIN <= DEPTH_OF_STEPS, "{suite:?}: {depth}");
        }
    }

    #[test]
    fn a_change_of_keys_goes_no_deeper_than_is_overwritten() {
        for algorithm in Algorithm::ALL {
            let len = if algorithm == Algorithm::Aes256Gcm {
                48
            } else {
                32
            };
            let secret = || TrafficSecret::new(algorithm, &vec![1; len]).expect("its length");
            for backend in Backend::ALL {
                let mut sealer = Sealer::with_backend(secret().keys(), backend);
                let mut secret = secret();
                let (update, ()) = stack::overwriting(|| {
                    stack_depth(|| {
                        secret.update();
                        sealer.replace_keys(secret.keys());
                    })
                });
                let mut record = vec![0; 20_000];
                let data = underseal_record::ContentType::APPLICATION_DATA;
                let (seal, sealed) = stack::overwriting(|| {
                    stack_depth(|| sealer.seal(data, &[1; 16_000], &mut record))
                });
                sealed.expect("room");
                println!("{algorithm} by {backend}: {update} and {seal} bytes");
                assert!(
                    update.max(seal) + MARGIN <= DEPTH,
                    "{algorithm} by {backend}"
                );
            }
        }
    }
}
