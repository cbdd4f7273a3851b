//! From a finished handshake of the `openssl` crate to an association.

use std::collections::VecDeque;
use std::sync::Arc;

use openssl::nid::Nid;
use openssl::ssl::{SslRef, SslStream, SslVersion};
use underseal_record::Algorithm;
use underseal_record::dtls::{EpochKeys, KeyPair, MasterSecret, Opener, ReplayWindow};
use zeroize::Zeroizing;

use crate::association::Association;
use crate::datagrams::Datagrams;
use crate::endpoint::Endpoint;
use crate::handshake_io::{Arrived, FIRST_EPOCH, Seen};
use crate::{Error, HandshakeIo, Parts, Refusal};

/// Takes the handshake apart, or says why it cannot be taken over.
pub(crate) fn take_over<S: Datagrams>(
    mut stream: SslStream<HandshakeIo<S>>,
) -> Result<Endpoint<S>, Error> {
    let seen = stream.get_mut().take_seen();
    let (parts, flight) = take_apart(stream.ssl(), seen)?;
    let socket = stream.get_ref().share();
    drop(stream);
    let socket = Arc::into_inner(socket).expect("the stream was its only other owner");
    Ok(Endpoint::new(socket, Association::new(parts, flight)))
}

/// The parts of the association that a handshake made, and the flight that its peer may lack. The
/// caller drops the handshake: nobody else may seal in its epoch.
pub(crate) fn take_apart(ssl: &SslRef, seen: Seen) -> Result<(Parts, Vec<Vec<u8>>), Error> {
    let algorithm = check(ssl, &seen)?;
    let keys = derive(ssl, algorithm)?;
    let (own, peers) = match ssl.is_server() {
        true => (keys.server, keys.client),
        false => (keys.client, keys.server),
    };
    let mut send = EpochKeys::new(own, FIRST_EPOCH)?;
    send.skip_to(seen.next_seq())?;
    let (receive, window) = opened_before(EpochKeys::new(peers, FIRST_EPOCH)?, &seen.received);
    Ok((Parts::new(send, receive, window), seen.into_flight()))
}

fn check(ssl: &SslRef, seen: &Seen) -> Result<Algorithm, Refusal> {
    if !ssl.is_init_finished() {
        return Err(Refusal::NotFinished);
    }
    if ssl.version2() != Some(SslVersion::DTLS1_2) {
        return Err(Refusal::Version(ssl.version_str().to_owned()));
    }
    if seen.is_renegotiated() {
        return Err(Refusal::Renegotiated);
    }
    if ssl.pending() > 0 {
        return Err(Refusal::UnreadData);
    }
    if !seen.has_all_received() {
        return Err(Refusal::TooMuchReceived);
    }
    let cipher = ssl.current_cipher().ok_or(Refusal::NotFinished)?;
    match cipher.cipher_nid() {
        Some(Nid::AES_128_GCM) => Ok(Algorithm::Aes128Gcm),
        Some(Nid::AES_256_GCM) => Ok(Algorithm::Aes256Gcm),
        Some(Nid::CHACHA20_POLY1305) => Ok(Algorithm::ChaCha20Poly1305),
        _ => Err(Refusal::CipherSuite(cipher.name().to_owned())),
    }
}

fn derive(ssl: &SslRef, algorithm: Algorithm) -> Result<KeyPair, Error> {
    let mut master = Zeroizing::new([0; 48]);
    let (mut client_random, mut server_random) = ([0; 32], [0; 32]);
    let session = ssl.session().ok_or(Refusal::NoSecrets)?;
    let whole = session.master_key(&mut master[..]) == master.len()
        && ssl.client_random(&mut client_random) == client_random.len()
        && ssl.server_random(&mut server_random) == server_random.len();
    if !whole {
        return Err(Refusal::NoSecrets.into());
    }
    let master = MasterSecret::new(algorithm, &master[..])?;
    Ok(master.keys(&client_random, &server_random))
}

/// Marks what OpenSSL has opened, so that it is not opened again. Data among it was for whoever
/// read from OpenSSL; forged records are told apart here, and leave no mark.
fn opened_before(keys: EpochKeys, received: &VecDeque<Arrived>) -> (EpochKeys, ReplayWindow) {
    let mut opener = Opener::new(keys, ReplayWindow::default());
    for Arrived { datagram, .. } in received {
        let mut copy = datagram.clone();
        let mut rest = &mut copy[..];
        while !rest.is_empty() {
            let taken = opener.open(rest);
            rest = &mut rest[taken.len..];
        }
    }
    opener.into_parts()
}
