//! From a finished handshake of the `openssl` crate to an association.

use std::collections::VecDeque;
use std::sync::Arc;

use openssl::nid::Nid;
use openssl::ssl::{SslRef, SslStream, SslVersion};
use underseal_record::dtls::{EpochKeys, KeyPair, MasterSecret, Opener, ReplayWindow};
use underseal_record::{Algorithm, ContentType};
use zeroize::Zeroizing;

use crate::association::Association;
use crate::datagrams::Datagrams;
use crate::endpoint::Endpoint;
use crate::handshake_io::{Arrived, FIRST_EPOCH, Seen};
use crate::{Error, HandshakeIo, Parts, Refusal};

/// Most bytes of the plaintext of a record.
const MAX_PLAINTEXT: usize = 1 << 14;

/// What a handshake left.
pub(crate) struct HandedOver {
    pub(crate) parts: Parts,
    /// What the peer may lack.
    pub(crate) flight: Vec<Vec<u8>>,
    /// Records that came before their time, which the association is to open before any other.
    pub(crate) early: Vec<Vec<u8>>,
}

/// Data that OpenSSL has received and nobody has read from it.
pub(crate) enum Unread {
    All,
    These(Vec<Vec<u8>>),
}

/// Takes a handshake apart that nobody has read from, or says why it cannot be taken over.
pub(crate) fn take_over<S: Datagrams>(
    stream: SslStream<HandshakeIo<S>>,
) -> Result<Endpoint<S>, Error> {
    take_over_with(stream, Unread::All)
}

/// As [`take_over`], of a handshake that its caller may have read from.
pub(crate) fn take_over_read<S: Datagrams>(
    mut stream: SslStream<HandshakeIo<S>>,
) -> Result<Endpoint<S>, Error> {
    if !stream.ssl().is_init_finished() {
        return Err(Refusal::NotFinished.into());
    }
    let unread = drain(&mut stream);
    take_over_with(stream, Unread::These(unread))
}

fn take_over_with<S: Datagrams>(
    mut stream: SslStream<HandshakeIo<S>>,
    unread: Unread,
) -> Result<Endpoint<S>, Error> {
    let seen = stream.get_mut().take_seen();
    let handed_over = take_apart(stream.ssl(), seen, unread)?;
    let socket = stream.get_ref().share();
    drop(stream);
    let socket = Arc::into_inner(socket).expect("the stream was its only other owner");
    let association = Association::new(handed_over.parts, handed_over.flight);
    let endpoint = Endpoint::new(socket, association);
    for mut record in handed_over.early {
        endpoint.arrived(&mut record);
    }
    Ok(endpoint)
}

/// All that OpenSSL has kept for a reader, without what the socket has. Alerts among it are seen in the
/// records.
fn drain<S: Datagrams>(stream: &mut SslStream<HandshakeIo<S>>) -> Vec<Vec<u8>> {
    stream.get_mut().stop_receiving();
    let (mut unread, mut buffer) = (Vec::new(), vec![0; MAX_PLAINTEXT]);
    while let Ok(len) = stream.ssl_read(&mut buffer) {
        unread.push(buffer[..len].to_vec());
    }
    unread
}

/// What the association is made of that a handshake made. The caller drops the handshake: nobody else
/// may seal in its epoch.
pub(crate) fn take_apart(ssl: &SslRef, seen: Seen, unread: Unread) -> Result<HandedOver, Error> {
    let algorithm = check(ssl, &seen)?;
    // What somebody may have read has to be known, so that it is not received again. Where nobody has, what
    // strangers send in the peer's name refuses no handshake: data that they displaced is lost.
    if matches!(unread, Unread::These(_)) && !seen.has_all_received() {
        return Err(Refusal::TooMuchReceived.into());
    }
    let [(own, peers), (_, again)] =
        [derive(ssl, algorithm)?, derive(ssl, algorithm)?].map(|keys| match ssl.is_server() {
            true => (keys.server, keys.client),
            false => (keys.client, keys.server),
        });
    let mut send = EpochKeys::new(own, FIRST_EPOCH)?;
    send.skip_to(seen.next_seq())?;
    let mut received = Received::new(
        EpochKeys::new(peers, FIRST_EPOCH)?,
        EpochKeys::new(again, FIRST_EPOCH)?,
        unread,
    );
    received.read(&seen.received);
    if !received.unread.is_accounted_for() {
        return Err(Refusal::UnreadData.into());
    }
    let (receive, window) = received.opener.into_parts();
    Ok(HandedOver {
        parts: Parts::new(send, receive, window),
        flight: seen.into_flight(),
        early: received.early,
    })
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

/// What was received under the new keys.
struct Received {
    /// Where what somebody has had is marked, so that it is not opened again.
    opener: Opener,
    /// Opens everything once, to see what it is; forged records are told apart here, and leave no mark.
    looks: Opener,
    unread: Unread,
    early: Vec<Vec<u8>>,
}

impl Received {
    fn new(keys: EpochKeys, again: EpochKeys, unread: Unread) -> Self {
        let [opener, looks] = [keys, again].map(|keys| Opener::new(keys, ReplayWindow::default()));
        Self {
            opener,
            looks,
            unread,
            early: Vec::new(),
        }
    }

    fn read(&mut self, received: &VecDeque<Arrived>) {
        for Arrived { datagram, .. } in received {
            let mut copy = datagram.clone();
            let (mut rest, mut sealed) = (&mut copy[..], &datagram[..]);
            while !rest.is_empty() {
                let taken = self.looks.open(rest);
                let (record, behind) = rest.split_at_mut(taken.len);
                let (sealed_record, sealed_behind) = sealed.split_at(taken.len);
                if let Ok(opened) = taken.opened {
                    self.sort(
                        opened.content_type,
                        &record[opened.plaintext],
                        sealed_record,
                    );
                }
                (rest, sealed) = (behind, sealed_behind);
            }
        }
    }

    /// Keeps an authentic record for the association, or marks it.
    fn sort(&mut self, content_type: ContentType, plaintext: &[u8], sealed: &[u8]) {
        let is_early = match content_type {
            ContentType::APPLICATION_DATA => self.unread.takes(plaintext),
            // OpenSSL has told nobody who did not ask, and an end is told as often as somebody asks.
            ContentType::ALERT => true,
            _ => false,
        };
        match is_early {
            true => self.early.push(sealed.to_vec()),
            false => drop(self.opener.open(&mut sealed.to_vec())),
        }
    }
}

impl Unread {
    /// Whether `payload` is among it; each is once.
    fn takes(&mut self, payload: &[u8]) -> bool {
        let Self::These(payloads) = self else {
            return true;
        };
        let place = payloads.iter().position(|unread| unread == payload);
        place.map(|place| payloads.remove(place)).is_some()
    }

    /// Whether everything was taken: what is left is the rest of a payload whose beginning somebody has.
    fn is_accounted_for(&self) -> bool {
        match self {
            Self::All => true,
            Self::These(payloads) => payloads.is_empty(),
        }
    }
}
