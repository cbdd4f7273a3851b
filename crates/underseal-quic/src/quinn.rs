//! quinn's own interface to cryptography, with packets sealed and opened by underseal.
//!
//! Two names change their crate, and nothing else of a program that uses quinn:
//!
//! ```
//! // before: use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
//! use underseal_quic::quinn::{QuicClientConfig, QuicServerConfig};
//! ```
//!
//! Handshakes, certificates, tickets and 0-RTT stay rustls', with whatever provider. Behind
//! [`provider`](crate::provider()) rustls makes the keys of packets and of headers, apart; here they are made
//! from the secrets that rustls logs, together, so that one call seals a packet and protects its header.
//! What an application downcasts is what it is with quinn: `handshake_data` is quinn's
//! [`HandshakeData`](quinn_proto::crypto::rustls::HandshakeData), `peer_identity` a
//! `Vec<CertificateDer>`.
//!
//! Tokens, and what resets a connection without its state, have keys of the endpoint and not of a
//! connection: quinn makes them. The drafts of version 1 that quinn still speaks keep quinn's packets.

mod keys;
mod secrets;
mod session;

use std::sync::Arc;

use quinn_proto::crypto::rustls as quinns;
use quinn_proto::crypto::{self, Keys, UnsupportedVersion};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Side};
use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, ServerConnection, Version as TlsVersion};
use underseal_record::TAG_LEN;
use underseal_record::quic::{Version, retry_tag};

use self::secrets::KeepsSecrets;
use self::session::Session;

/// Why a configuration of rustls is not one for QUIC.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotForQuic {
    /// It offers this suite for QUIC, and the suite has another AEAD than AES-128-GCM, AES-256-GCM or
    /// ChaCha20-Poly1305.
    #[error("packets under {0:?} cannot be protected")]
    Suite(CipherSuite),
    /// rustls refuses it: it is without TLS 1.3, or allows another amount of early data than none and
    /// all.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// In the place of quinn's `QuicClientConfig`: for `quinn::ClientConfig::new`.
///
/// Who wants 0-RTT sets `enable_early_data`, as with quinn's.
pub struct QuicClientConfig {
    tls: Arc<rustls::ClientConfig>,
    /// Packets of the drafts are quinn's own, if it has a suite for them.
    drafts: Option<Arc<quinns::QuicClientConfig>>,
}

/// In the place of quinn's `QuicServerConfig`: for `quinn::ServerConfig::with_crypto`.
///
/// Who wants 0-RTT sets `max_early_data_size` to `u32::MAX`, as with quinn's.
pub struct QuicServerConfig {
    tls: Arc<rustls::ServerConfig>,
    /// As a client's.
    drafts: Option<Arc<quinns::QuicServerConfig>>,
}

/// Why a session starts.
const STARTS: &str = "one was started when the configuration was made";

impl TryFrom<Arc<rustls::ClientConfig>> for QuicClientConfig {
    type Error = NotForQuic;

    fn try_from(tls: Arc<rustls::ClientConfig>) -> Result<Self, NotForQuic> {
        Self::try_from(Arc::unwrap_or_clone(tls))
    }
}

impl TryFrom<rustls::ClientConfig> for QuicClientConfig {
    type Error = NotForQuic;

    fn try_from(mut tls: rustls::ClientConfig) -> Result<Self, NotForQuic> {
        every_suite_is_known(tls.crypto_provider())?;
        tls.key_log = Arc::new(KeepsSecrets::before(tls.key_log));
        let tls = Arc::new(tls);
        // What quinn has no error for once a connection starts.
        let nobody = ServerName::try_from("underseal.invalid").expect("a name of the DNS");
        ClientConnection::new(Arc::clone(&tls), TlsVersion::V1, nobody, Vec::new())?;
        let drafts = quinns::QuicClientConfig::try_from(Arc::clone(&tls));
        let drafts = drafts.ok().map(Arc::new);
        Ok(Self { tls, drafts })
    }
}

impl TryFrom<Arc<rustls::ServerConfig>> for QuicServerConfig {
    type Error = NotForQuic;

    fn try_from(tls: Arc<rustls::ServerConfig>) -> Result<Self, NotForQuic> {
        Self::try_from(Arc::unwrap_or_clone(tls))
    }
}

impl TryFrom<rustls::ServerConfig> for QuicServerConfig {
    type Error = NotForQuic;

    fn try_from(mut tls: rustls::ServerConfig) -> Result<Self, NotForQuic> {
        every_suite_is_known(tls.crypto_provider())?;
        tls.key_log = Arc::new(KeepsSecrets::before(tls.key_log));
        let tls = Arc::new(tls);
        ServerConnection::new(Arc::clone(&tls), TlsVersion::V1, Vec::new())?;
        let drafts = quinns::QuicServerConfig::try_from(Arc::clone(&tls));
        let drafts = drafts.ok().map(Arc::new);
        Ok(Self { tls, drafts })
    }
}

fn every_suite_is_known(provider: &CryptoProvider) -> Result<(), NotForQuic> {
    let suites = provider.cipher_suites.iter();
    let offered = suites.filter_map(|suite| suite.tls13().filter(|suite| suite.quic.is_some()));
    for suite in offered.map(|suite| suite.common.suite) {
        crate::suite::algorithm(suite).ok_or(NotForQuic::Suite(suite))?;
    }
    Ok(())
}

fn is_ours(version: u32) -> bool {
    version == Version::V1.number()
}

fn written(parameters: &TransportParameters) -> Vec<u8> {
    let mut bytes = Vec::new();
    parameters.write(&mut bytes);
    bytes
}

impl crypto::ClientConfig for QuicClientConfig {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn crypto::Session>, ConnectError> {
        if !is_ours(version) {
            let drafts = self
                .drafts
                .clone()
                .ok_or(ConnectError::UnsupportedVersion)?;
            return crypto::ClientConfig::start_session(drafts, version, server_name, params);
        }
        let name = ServerName::try_from(server_name);
        let name = name.map_err(|_| ConnectError::InvalidServerName(server_name.to_owned()))?;
        let (tls, params) = (Arc::clone(&self.tls), written(params));
        let connect = || ClientConnection::new(tls, TlsVersion::V1, name.to_owned(), params);
        let session = Session::start(|| Ok(connect()?.into()));
        Ok(Box::new(session.expect(STARTS)))
    }
}

/// Why quinn's own configuration is there.
const CHECKED: &str = "quinn asks for initial keys first, and goes no further without";

impl crypto::ServerConfig for QuicServerConfig {
    fn initial_keys(
        &self,
        version: u32,
        dst_cid: &ConnectionId,
    ) -> Result<Keys, UnsupportedVersion> {
        if is_ours(version) {
            return Ok(keys::initial(dst_cid, Side::Server));
        }
        let drafts = self.drafts.as_ref().ok_or(UnsupportedVersion)?;
        drafts.initial_keys(version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; TAG_LEN] {
        if is_ours(version) {
            return retry_tag(Version::V1, orig_dst_cid, &[packet]);
        }
        let drafts = self.drafts.as_ref().expect(CHECKED);
        drafts.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(
        self: Arc<Self>,
        version: u32,
        params: &TransportParameters,
    ) -> Box<dyn crypto::Session> {
        if !is_ours(version) {
            let drafts = self.drafts.clone().expect(CHECKED);
            return crypto::ServerConfig::start_session(drafts, version, params);
        }
        let (tls, params) = (Arc::clone(&self.tls), written(params));
        let accept = || ServerConnection::new(tls, TlsVersion::V1, params);
        let session = Session::start(|| Ok(accept()?.into()));
        Box::new(session.expect(STARTS))
    }
}
