//! From a finished handshake of the `openssl` crate to an association.

use std::sync::Arc;

use openssl::nid::Nid;
use openssl::ssl::{SslRef, SslStream, SslVersion};
use underseal_record::dtls::{
    EpochKeys, KeyPair, MasterSecret, Opened, Opener, ReplayWindow, numbered_records,
};
use underseal_record::{Algorithm, ContentType};
use zeroize::Zeroizing;

use crate::association::{Association, EarlyRecord};
use crate::counters::Tally;
use crate::datagrams::Datagrams;
use crate::endpoint::Endpoint;
use crate::handshake_io::{FIRST_EPOCH, Seen, drain};
use crate::{ConnectionIds, Error, HandshakeIo, Parts, Refusal};

/// What a handshake left.
pub(crate) struct HandedOver {
    pub(crate) parts: Parts,
    /// What the peer may lack.
    pub(crate) flight: Vec<Vec<u8>>,
    /// What came before its time, in the order in which it was sent: for the association, and before anything else.
    pub(crate) early: Vec<EarlyRecord>,
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
    stream.get_mut().stop_receiving();
    // Alerts among it are seen in the records.
    let unread = drain(|buffer| stream.ssl_read(buffer).ok());
    take_over_with(stream, Unread::These(unread))
}

fn take_over_with<S: Datagrams>(
    mut stream: SslStream<HandshakeIo<S>>,
    unread: Unread,
) -> Result<Endpoint<S>, Error> {
    let (seen, tally) = (stream.get_mut().take_seen(), Arc::<Tally>::default());
    let handed_over = take_apart(stream.ssl(), seen, unread, &tally)?;
    let socket = stream.get_ref().share();
    drop(stream);
    let socket = Arc::into_inner(socket).expect("the stream was its only other owner");
    let (engines, ids) = (handed_over.parts.into_engines(), ConnectionIds::default());
    let association = Association::counted_by(tally, engines, ids, handed_over.flight);
    let endpoint = Endpoint::new(socket, association);
    endpoint.take_early(handed_over.early);
    Ok(endpoint)
}

/// What the association is made of that a handshake made. The caller drops the handshake: nobody else
/// may seal in its epoch. `tally` counts what is dropped of what came.
pub(crate) fn take_apart(
    ssl: &SslRef,
    seen: Seen,
    unread: Unread,
    tally: &Tally,
) -> Result<HandedOver, Error> {
    let algorithm = check(ssl, &seen)?;
    // What somebody may have read has to be known, so that it is not received again. Where nobody has, what
    // strangers send in the peer's name refuses no handshake: data that they displaced is lost.
    if matches!(unread, Unread::These(_)) && !seen.has_all_received() {
        return Err(Refusal::TooMuchReceived.into());
    }
    let keys = derive(ssl, algorithm)?;
    let (own, peers) = match ssl.is_server() {
        true => (keys.server, keys.client),
        false => (keys.client, keys.server),
    };
    let mut send = EpochKeys::new(own, FIRST_EPOCH)?;
    send.skip_to(seen.next_seq())?;
    let mut received = Received::new(EpochKeys::new(peers, FIRST_EPOCH)?, unread);
    received.read(&seen, tally);
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
    /// Has opened all of it, once: whatever comes of a record, it is opened no more.
    opener: Opener,
    unread: Unread,
    early: Vec<EarlyRecord>,
}

impl Received {
    fn new(keys: EpochKeys, unread: Unread) -> Self {
        Self {
            opener: Opener::new(keys, ReplayWindow::default()),
            unread,
            early: Vec::new(),
        }
    }

    /// Opens everything in the order in which it was sent. A Finished may have a number far above that of data that came before
    /// it, because it was sent again: the replay window, which forgets what is so far behind, must not see it first.
    fn read(&mut self, seen: &Seen, tally: &Tally) {
        tally.displaced(seen.displaced());
        let arrived = seen.received.iter().map(|arrived| &arrived.datagram[..]);
        let records = arrived.flat_map(numbered_records);
        let mut records: Vec<_> = records.filter(|(number, _)| number.epoch > 0).collect();
        records.sort_by_key(|(number, _)| *number);
        for (_, record) in records {
            let mut record = record.to_vec();
            match self.opener.open(&mut record).opened {
                Ok(opened) => self.sort(&opened, &record[opened.plaintext.clone()]),
                Err(reason) => tally.dropped(reason),
            }
        }
    }

    /// Keeps for the association what nobody has had of an authentic record.
    fn sort(&mut self, opened: &Opened, plaintext: &[u8]) {
        let is_early = match opened.content_type {
            ContentType::APPLICATION_DATA => self.unread.takes(plaintext),
            // OpenSSL has told nobody who did not ask, and an end is told as often as somebody asks.
            ContentType::ALERT => true,
            _ => false,
        };
        if is_early {
            self.early.push(EarlyRecord::new(opened, plaintext));
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

    /// Whether everything was taken: what is left is the rest of a payload whose beginning somebody has. OpenSSL does not
    /// say so itself as BoringSSL does: its `SSL_pending` counts payloads that wait in its queue, too.
    fn is_accounted_for(&self) -> bool {
        match self {
            Self::All => true,
            Self::These(payloads) => payloads.is_empty(),
        }
    }
}

#[cfg(test)]
#[cfg(any(feature = "aead-aws-lc-rs", feature = "aead-ring"))]
mod tests;
