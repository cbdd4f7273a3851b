use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};
use underseal_record::{Algorithm, SeqNo, TrafficKeys};

use crate::{Error, PeerMisbehaved};

/// What is left of rustls after the handshake: the traffic secrets of both directions and, for a
/// client, the session store that tickets go to.
pub(crate) enum Kernel {
    Client(Box<KernelConnection<ClientConnectionData>>),
    Server(Box<KernelConnection<ServerConnectionData>>),
    /// The stream was rebuilt from parts that came from another process: records go on, but the
    /// secrets that the next keys derive from stayed behind.
    Detached {
        is_client: bool,
    },
}

impl Kernel {
    pub(crate) fn is_client(&self) -> bool {
        match self {
            Self::Client(_) => true,
            Self::Server(_) => false,
            Self::Detached { is_client } => *is_client,
        }
    }

    /// Whether the keys of this connection can be updated: TLS 1.3, and the secrets are here.
    pub(crate) fn can_rekey(&self) -> bool {
        let version = match self {
            Self::Client(kernel) => kernel.protocol_version(),
            Self::Server(kernel) => kernel.protocol_version(),
            Self::Detached { .. } => return false,
        };
        version == ProtocolVersion::TLSv1_3
    }

    /// The next keys of the sending direction.
    pub(crate) fn update_tx(&mut self) -> Result<TrafficKeys, Error> {
        let secrets = match self {
            Self::Client(kernel) => kernel.update_tx_secret(),
            Self::Server(kernel) => kernel.update_tx_secret(),
            Self::Detached { .. } => return Err(DETACHED),
        };
        traffic_keys(ProtocolVersion::TLSv1_3, secrets?)
    }

    /// The next keys of the receiving direction.
    pub(crate) fn update_rx(&mut self) -> Result<TrafficKeys, Error> {
        let secrets = match self {
            Self::Client(kernel) => kernel.update_rx_secret(),
            Self::Server(kernel) => kernel.update_rx_secret(),
            Self::Detached { .. } => return Err(DETACHED),
        };
        traffic_keys(ProtocolVersion::TLSv1_3, secrets?)
    }

    /// Stores a session ticket that the server sent after the handshake.
    pub(crate) fn take_ticket(&mut self, body: &[u8]) -> Result<(), Error> {
        match self {
            Self::Client(kernel) => kernel
                .handle_new_session_ticket(body)
                .map_err(|_| PeerMisbehaved::InvalidTicket.into()),
            // A ticket is an offer; without a store there is nothing to keep it in.
            Self::Server(_) | Self::Detached { .. } => Ok(()),
        }
    }
}

const DETACHED: Error = Error::Unsupported("key update after a move to another process");

/// rustls' secrets as record keys.
pub(crate) fn traffic_keys(
    version: ProtocolVersion,
    (seq, secrets): (u64, ConnectionTrafficSecrets),
) -> Result<TrafficKeys, Error> {
    let version = match version {
        ProtocolVersion::TLSv1_2 => underseal_record::ProtocolVersion::Tls12,
        ProtocolVersion::TLSv1_3 => underseal_record::ProtocolVersion::Tls13,
        _ => return Err(Error::Unsupported("protocol version")),
    };
    let (algorithm, key, iv) = match &secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Algorithm::Aes128Gcm, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Algorithm::Aes256Gcm, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
            (Algorithm::ChaCha20Poly1305, key, iv)
        }
        _ => return Err(Error::Unsupported("cipher suite")),
    };
    let mut full_iv = [0; 12];
    let iv = iv.as_ref();
    if iv.len() != full_iv.len() {
        return Err(Error::Unsupported("length of the initialisation vector"));
    }
    full_iv.copy_from_slice(iv);
    let keys = TrafficKeys::new(version, algorithm, key.as_ref(), full_iv, SeqNo(seq))?;
    Ok(keys)
}
