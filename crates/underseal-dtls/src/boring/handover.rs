use std::sync::Arc;

use boring::ssl::{SslRef, SslStream, SslVersion};
use underseal_record::Algorithm;

use super::secrets::take_secrets;
use crate::association::Association;
use crate::counters::Tally;
use crate::datagrams::Datagrams;
use crate::endpoint::Endpoint;
use crate::handover13::{HandedOver, Reader, take_apart};
use crate::handshake_io::drain;
use crate::{ConnectionIds, Error, HandshakeIo, Refusal};

/// Takes a handshake apart that nobody has read from, or says why it cannot be taken over.
pub(crate) fn take_over<S: Datagrams>(
    stream: SslStream<HandshakeIo<S>>,
) -> Result<Endpoint<S>, Error> {
    let algorithm = check(stream.ssl())?;
    let (socket, handed_over) = take_over_with(stream, algorithm, Reader::Nobody)?;
    Ok(go_on(socket, handed_over, Vec::new()))
}

/// As [`take_over`], of a handshake that its caller may have read from.
pub(crate) fn take_over_read<S: Datagrams>(
    mut stream: SslStream<HandshakeIo<S>>,
) -> Result<Endpoint<S>, Error> {
    let algorithm = check(stream.ssl())?;
    // Whoever has the beginning of a payload would miss the rest.
    if stream.ssl().pending() > 0 {
        return Err(Refusal::UnreadData.into());
    }
    stream.get_mut().stop_receiving();
    // Of the last datagram: it has no others.
    let unread = drain(|buffer| stream.ssl_read(buffer).ok());
    let (socket, handed_over) = take_over_with(stream, algorithm, Reader::Caller)?;
    Ok(go_on(socket, handed_over, unread))
}

fn take_over_with<S: Datagrams>(
    mut stream: SslStream<HandshakeIo<S>>,
    algorithm: Algorithm,
    reader: Reader,
) -> Result<(S, HandedOver), Error> {
    let seen = stream.get_mut().take_seen();
    let ssl = stream.ssl();
    let (is_server, logged) = (ssl.is_server(), take_secrets(ssl));
    let logged = logged.ok_or(Refusal::NoSecrets)?;
    let socket = stream.get_ref().share();
    drop(stream);
    let (own, peers) = match is_server {
        true => (&logged.server, &logged.client),
        false => (&logged.client, &logged.server),
    };
    let handed_over = take_apart(algorithm, own, peers, is_server, &seen, reader)?;
    let socket = Arc::into_inner(socket).expect("the stream was its only other owner");
    Ok((socket, handed_over))
}

/// The association of a handshake; `unread` was opened by BoringSSL, and nobody has it.
fn go_on<S: Datagrams>(socket: S, handed_over: HandedOver, unread: Vec<Vec<u8>>) -> Endpoint<S> {
    let HandedOver {
        engines,
        flight,
        displaced,
        dropped,
        early,
        late,
    } = handed_over;
    let (tally, ids) = (Arc::<Tally>::default(), ConnectionIds::default());
    tally.displaced(displaced);
    dropped.iter().for_each(|reason| tally.dropped(*reason));
    let mut association = Association::counted_by(tally, engines, ids, Vec::new());
    association.resume(flight);
    let endpoint = Endpoint::new(socket, association);
    for mut datagram in early {
        endpoint.arrived(&mut datagram);
    }
    for mut datagram in late {
        endpoint.was_read(&mut datagram);
    }
    endpoint.association().hold(unread);
    endpoint
}

fn check(ssl: &SslRef) -> Result<Algorithm, Refusal> {
    if !ssl.is_init_finished() {
        return Err(Refusal::NotFinished);
    }
    if ssl.version2() != Some(SslVersion::DTLS1_3) {
        return Err(Refusal::Version(ssl.version_str().to_owned()));
    }
    let cipher = ssl.current_cipher().ok_or(Refusal::NotFinished)?;
    match cipher.standard_name() {
        Some("TLS_AES_128_GCM_SHA256") => Ok(Algorithm::Aes128Gcm),
        Some("TLS_AES_256_GCM_SHA384") => Ok(Algorithm::Aes256Gcm),
        Some("TLS_CHACHA20_POLY1305_SHA256") => Ok(Algorithm::ChaCha20Poly1305),
        _ => Err(Refusal::CipherSuite(cipher.name().to_owned())),
    }
}
