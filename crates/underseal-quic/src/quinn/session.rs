//! One connection's handshake, and what quinn asks about it.

use std::any::Any;
use std::io::Cursor;
use std::mem;

use quinn_proto::crypto::rustls::HandshakeData;
use quinn_proto::crypto::{self, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::pki_types::CertificateDer;
use rustls::quic::{Connection, KeyChange};
use underseal_record::quic::{Version, retry_tag};
use underseal_record::{TAG_LEN, TrafficSecret};

use super::keys::{self, DirectionalSecret};
use super::secrets::{Pair, Secret, Secrets};

pub(super) struct Session {
    connection: Connection,
    secrets: Secrets,
    /// Of 1-RTT packets, once there are keys for them.
    application: Option<KeyPair<DirectionalSecret>>,
    has_handshake_data: bool,
}

/// Why there is a secret.
const LOGGED: &str =
    "rustls logs a secret before it has keys of it, and has keys of known suites only";

impl Session {
    /// # Errors
    ///
    /// Those of `start`, which makes rustls' connection.
    pub(super) fn start(
        start: impl FnOnce() -> Result<Connection, rustls::Error>,
    ) -> Result<Self, rustls::Error> {
        let mut secrets = Secrets::default();
        // A client that has a ticket derives the secret of its early data at once.
        let connection = secrets.watch(start)?;
        Ok(Self {
            connection,
            secrets,
            application: None,
            has_handshake_data: false,
        })
    }

    fn side(&self) -> Side {
        match self.connection {
            Connection::Client(_) => Side::Client,
            Connection::Server(_) => Side::Server,
        }
    }

    fn direction(&self, secret: Option<&Secret>) -> Option<DirectionalSecret> {
        let suite = self.connection.negotiated_cipher_suite()?.suite();
        let secret = TrafficSecret::new(crate::suite::algorithm(suite)?, secret?);
        Some(DirectionalSecret::new(secret.ok()?))
    }

    fn directions(&self, secrets: &Pair) -> KeyPair<DirectionalSecret> {
        let [client, server] = [&secrets.client, &secrets.server].map(|secret| {
            let direction = self.direction(secret.as_ref());
            direction.expect(LOGGED)
        });
        keys::of_side(self.side(), client, server)
    }

    /// The name that a client asked for.
    fn server_name(&self) -> Option<&str> {
        match &self.connection {
            Connection::Client(_) => None,
            Connection::Server(connection) => connection.server_name(),
        }
    }

    fn error(&self, error: &rustls::Error) -> TransportError {
        let (code, reason) = match self.connection.alert() {
            Some(alert) => (TransportErrorCode::crypto(alert.into()), error.to_string()),
            None => (
                TransportErrorCode::PROTOCOL_VIOLATION,
                format!("TLS error: {error}"),
            ),
        };
        TransportError {
            code,
            frame: None,
            reason,
        }
    }
}

impl crypto::Session for Session {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        keys::initial(dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        if !self.has_handshake_data {
            return None;
        }
        Some(Box::new(HandshakeData {
            protocol: self.connection.alpn_protocol().map(<[u8]>::to_vec),
            server_name: self.server_name().map(str::to_owned),
        }))
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        let chain = self.connection.peer_certificates()?;
        let chain: Vec<CertificateDer<'static>> =
            chain.iter().map(|one| one.clone().into_owned()).collect();
        Some(Box::new(chain))
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        // A secret there is with every ticket; rustls has keys where early data is offered, or taken.
        self.connection.zero_rtt_keys()?;
        let direction = self.direction(self.secrets.early.as_ref())?;
        Some((direction.header(), direction.packet()))
    }

    fn early_data_accepted(&self) -> Option<bool> {
        match &self.connection {
            Connection::Client(connection) => Some(connection.is_early_data_accepted()),
            Connection::Server(_) => None,
        }
    }

    fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        let read = self.secrets.watch(|| self.connection.read_hs(buf));
        read.map_err(|error| self.error(&error))?;
        let is_handshaking = self.is_handshaking();
        if !is_handshaking {
            // quinn has its keys, if there are any.
            self.secrets.early = None;
        }
        let is_known = self.connection.alpn_protocol().is_some()
            || self.server_name().is_some()
            || !is_handshaking;
        let is_new = is_known && !self.has_handshake_data;
        self.has_handshake_data |= is_known;
        Ok(is_new)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let Some(bytes) = self.connection.quic_transport_parameters() else {
            return Ok(None);
        };
        Ok(Some(TransportParameters::read(
            self.side(),
            &mut Cursor::new(bytes),
        )?))
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let change = self.secrets.watch(|| self.connection.write_hs(buf))?;
        match change {
            KeyChange::Handshake { .. } => {
                let secrets = mem::take(&mut self.secrets.handshake);
                Some(keys::keys(&self.directions(&secrets)))
            }
            KeyChange::OneRtt { .. } => {
                let secrets = mem::take(&mut self.secrets.application);
                let directions = self.directions(&secrets);
                Some(keys::keys(self.application.insert(directions)))
            }
        }
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let application = self.application.as_mut()?;
        application.local.update();
        application.remote.update();
        Some(keys::packets(application))
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        let Some((token, tag)) = payload.split_last_chunk::<TAG_LEN>() else {
            return false;
        };
        *tag == retry_tag(Version::V1, orig_dst_cid, &[header, token])
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        let connection = &self.connection;
        let exported = connection.export_keying_material(output, label, Some(context));
        exported.map(drop).map_err(|_| ExportKeyingMaterialError)
    }
}
