use std::sync::Arc;

use boring::ssl::{SslRef, SslStream, SslVersion};
use underseal_record::Algorithm;

use super::secrets::take_secrets;
use crate::association::Association;
use crate::counters::Tally;
use crate::datagrams::Datagrams;
use crate::endpoint::Endpoint;
use crate::handover13::{HandedOver, take_apart};
use crate::{ConnectionIds, Error, HandshakeIo, Refusal};

/// Takes the handshake apart, or says why it cannot be taken over.
pub(crate) fn take_over<S: Datagrams>(
    mut stream: SslStream<HandshakeIo<S>>,
) -> Result<Endpoint<S>, Error> {
    let seen = stream.get_mut().take_seen();
    let ssl = stream.ssl();
    let algorithm = check(ssl)?;
    let (is_server, logged) = (ssl.is_server(), take_secrets(ssl));
    let logged = logged.ok_or(Refusal::NoSecrets)?;
    let socket = stream.get_ref().share();
    drop(stream);
    let (own, peers) = match is_server {
        true => (&logged.server, &logged.client),
        false => (&logged.client, &logged.server),
    };
    let handed_over = take_apart(algorithm, own, peers, is_server, &seen)?;
    let socket = Arc::into_inner(socket).expect("the stream was its only other owner");
    Ok(go_on(socket, handed_over))
}

fn go_on<S: Datagrams>(socket: S, handed_over: HandedOver) -> Endpoint<S> {
    let HandedOver {
        engines,
        flight,
        early,
        late,
    } = handed_over;
    let (tally, ids) = (Arc::<Tally>::default(), ConnectionIds::default());
    let mut association = Association::counted_by(tally, engines, ids, Vec::new());
    association.resume(flight);
    let endpoint = Endpoint::new(socket, association);
    for mut datagram in early {
        endpoint.arrived(&mut datagram);
    }
    for mut datagram in late {
        endpoint.was_read(&mut datagram);
    }
    endpoint
}

fn check(ssl: &SslRef) -> Result<Algorithm, Refusal> {
    if !ssl.is_init_finished() {
        return Err(Refusal::NotFinished);
    }
    if ssl.version2() != Some(SslVersion::DTLS1_3) {
        return Err(Refusal::Version(ssl.version_str().to_owned()));
    }
    if ssl.pending() > 0 {
        return Err(Refusal::UnreadData);
    }
    let cipher = ssl.current_cipher().ok_or(Refusal::NotFinished)?;
    match cipher.standard_name() {
        Some("TLS_AES_128_GCM_SHA256") => Ok(Algorithm::Aes128Gcm),
        Some("TLS_AES_256_GCM_SHA384") => Ok(Algorithm::Aes256Gcm),
        Some("TLS_CHACHA20_POLY1305_SHA256") => Ok(Algorithm::ChaCha20Poly1305),
        _ => Err(Refusal::CipherSuite(cipher.name().to_owned())),
    }
}
