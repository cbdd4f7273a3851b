mod either;
mod orders;

use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::exporter::Exporter;
use rustls::client::EchStatus;
use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion, SupportedCipherSuite};

pub use either::Connection;
pub(crate) use orders::Orders;

/// What the handshake agreed on, as `rustls::CommonState` tells it.
///
/// A session does no I/O. What is asked of it, close_notify or new keys, its stream does with its next
/// write, flush or shutdown.
#[derive(Clone, Debug)]
pub struct CommonState {
    pub(crate) alpn_protocol: Option<Box<[u8]>>,
    pub(crate) peer_certificates: Option<Box<[CertificateDer<'static>]>>,
    /// `None` before the handshake is done, as is the suite.
    pub(crate) protocol_version: Option<ProtocolVersion>,
    pub(crate) suite: Option<SupportedCipherSuite>,
    pub(crate) key_exchange_group: Option<&'static dyn SupportedKxGroup>,
    pub(crate) handshake_kind: Option<HandshakeKind>,
    pub(crate) exporter: Option<Exporter>,
    pub(crate) orders: Arc<Orders>,
}

impl CommonState {
    /// Of a connection whose handshake is not done.
    #[cfg(feature = "early-data")]
    pub(crate) fn handshaking(orders: Arc<Orders>) -> Self {
        Self {
            alpn_protocol: None,
            peer_certificates: None,
            protocol_version: None,
            suite: None,
            key_exchange_group: None,
            handshake_kind: None,
            exporter: None,
            orders,
        }
    }

    /// The application protocol that both sides agreed on.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.alpn_protocol.as_deref()
    }

    /// The peer's certificates, its own first: a server's always, a client's with mutual TLS.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.peer_certificates.as_deref()
    }

    /// The TLS version.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.protocol_version
    }

    /// The cipher suite.
    pub fn negotiated_cipher_suite(&self) -> Option<SupportedCipherSuite> {
        self.suite
    }

    /// The key exchange group; `None` for a TLS 1.2 resumption, and for a stream rebuilt from
    /// bytes.
    pub fn negotiated_key_exchange_group(&self) -> Option<&'static dyn SupportedKxGroup> {
        self.key_exchange_group
    }

    /// Whether the handshake was full or resumed.
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.handshake_kind
    }

    /// Fills `output` with key material that both sides derive from the connection's secrets, by
    /// `label` and `context`, and returns it (RFC 5705; RFC 8446 section 7.5). Key updates do not
    /// change it, nor does it matter whether the stream has moved. TLS 1.2 takes no context and an
    /// empty one for two, TLS 1.3 for the same.
    ///
    /// # Errors
    ///
    /// [`rustls::Error::General`] where nothing or too much is asked for (255 times the length of
    /// the suite's hash, under TLS 1.3), the label has more than 249 bytes (TLS 1.3), or the context
    /// more than 65 535 (TLS 1.2; rustls panics there). [`rustls::Error::HandshakeNotComplete`]
    /// where the secret is not known: of a TLS 1.2 connection whose ServerHello was not understood.
    #[doc(alias = "exporter")]
    pub fn export_keying_material<T: AsMut<[u8]>>(
        &self,
        mut output: T,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<T, rustls::Error> {
        let (exporter, suite) = self.exporter()?;
        exporter.export(suite, output.as_mut(), label, context)?;
        Ok(output)
    }

    /// The channel binding `tls-exporter` of RFC 9266, by which a protocol above TLS (SCRAM, for
    /// example) makes sure that nobody sits between its two ends.
    ///
    /// # Errors
    ///
    /// [`rustls::Error::General`] under TLS 1.2 without an extended master secret (RFC 7627), where
    /// it binds to nothing. Otherwise as
    /// [`export_keying_material`](Self::export_keying_material).
    #[doc(alias = "tls-exporter")]
    pub fn channel_binding(&self) -> Result<[u8; 32], rustls::Error> {
        let (exporter, suite) = self.exporter()?;
        exporter.channel_binding(suite)
    }

    fn exporter(&self) -> Result<(&Exporter, SupportedCipherSuite), rustls::Error> {
        let exporter = self.exporter.as_ref().zip(self.suite);
        exporter.ok_or(rustls::Error::HandshakeNotComplete)
    }

    /// Whether the stream would read from the peer: all that was received has been read, and the peer
    /// has not closed. It is looked up by `get_ref` and `get_mut` of the stream.
    pub fn wants_read(&self) -> bool {
        self.orders.wants_read()
    }

    /// Whether something waits to be sent: `flush` sends it. It is looked up by `get_ref` and
    /// `get_mut` of the stream.
    pub fn wants_write(&self) -> bool {
        self.orders.wants_write()
    }

    /// Has the stream send close_notify with its next write, flush or shutdown: the last thing that
    /// it sends. `shutdown` of the stream does it at once.
    pub fn send_close_notify(&mut self) {
        self.orders.send_close_notify();
    }

    /// Has the stream update its key with its next write, flush or shutdown, and ask the peer for the
    /// same. `key_update` of the stream does it at once, and says whether it could: kernels before
    /// Linux 6.14 cannot.
    ///
    /// # Errors
    ///
    /// [`rustls::Error::HandshakeNotComplete`] under TLS 1.2, as rustls has it.
    pub fn refresh_traffic_keys(&mut self) -> Result<(), rustls::Error> {
        if self.protocol_version != Some(ProtocolVersion::TLSv1_3) {
            return Err(rustls::Error::HandshakeNotComplete);
        }
        self.orders.update_key();
        Ok(())
    }

    /// Bounds the bytes that the stream keeps while the socket is full, from its next write or flush
    /// on. It counts in whole records, of which one is always taken; the stream's own bound (see
    /// [`Stream`](crate::Stream), memory) cannot be raised, so `None` only takes back what was
    /// asked for. A direction that the kernel seals waits in the socket's own buffer instead.
    pub fn set_buffer_limit(&mut self, limit: Option<usize>) {
        self.orders.set_buffer_limit(limit);
    }

    /// Whether the handshake is still to be done: of a stream that was made for early data alone
    /// (`TlsConnector::early_data`).
    pub fn is_handshaking(&self) -> bool {
        self.suite.is_none()
    }
}

/// The server's side of an established connection. Of the application's data it prints the length.
#[derive(Clone)]
pub struct ServerConnection {
    pub(crate) common: CommonState,
    pub(crate) server_name: Option<Box<str>>,
    received: Option<Box<Received>>,
}

/// What few clients send, and so no idle connection has room for.
#[derive(Clone)]
struct Received {
    /// What was read of it goes from the front: the rest keeps its place, in one piece.
    early_data: Option<VecDeque<u8>>,
    resumption_data: Option<Vec<u8>>,
}

impl ServerConnection {
    pub(crate) fn new(
        common: CommonState,
        server_name: Option<Box<str>>,
        early_data: Option<Vec<u8>>,
        resumption_data: Option<Vec<u8>>,
    ) -> Self {
        let is_any = early_data.is_some() || resumption_data.is_some();
        let received = is_any.then(|| {
            Box::new(Received {
                early_data: early_data.map(VecDeque::from),
                resumption_data,
            })
        });
        Self {
            common,
            server_name,
            received,
        }
    }

    /// The host name that the client asked for (SNI).
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Takes the 0-RTT data that the client sent before the handshake was complete, if
    /// `ServerConfig::max_early_data_size` allowed any.
    ///
    /// **Early data can be replayed**: an attacker who recorded it can send it again to this or
    /// another server that shares the tickets. Act on it only where doing so twice is harmless
    /// (RFC 8446 section 8). It is therefore kept apart from what the stream reads.
    pub fn take_early_data(&mut self) -> Option<Vec<u8>> {
        self.received.as_mut()?.early_data.take().map(Vec::from)
    }

    /// The same to be read piece by piece: `None` if there is none, or it was taken.
    pub fn early_data(&mut self) -> Option<ReadEarlyData<'_>> {
        let early_data = self.received.as_mut()?.early_data.as_mut();
        early_data.map(ReadEarlyData)
    }

    /// Early data that nobody took or read.
    pub(crate) fn unread_early_data(&self) -> Option<&[u8]> {
        let early_data = self.received.as_ref()?.early_data.as_ref()?;
        Some(early_data.as_slices().0)
    }

    /// What the server had put into the session that was resumed
    /// ([`set_resumption_data`](crate::server::Handshaking::set_resumption_data)); `None` if the
    /// handshake was a full one.
    pub fn received_resumption_data(&self) -> Option<&[u8]> {
        self.received.as_ref()?.resumption_data.as_deref()
    }
}

impl std::fmt::Debug for ServerConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len = |data: Option<&[u8]>| data.map(<[u8]>::len);
        f.debug_struct("ServerConnection")
            .field("common", &self.common)
            .field("server_name", &self.server_name)
            .field("early_data", &len(self.unread_early_data()))
            .field("resumption_data", &len(self.received_resumption_data()))
            .finish()
    }
}

/// Reads the 0-RTT data that a client sent; see [`ServerConnection::take_early_data`].
pub struct ReadEarlyData<'a>(&'a mut VecDeque<u8>);

impl std::fmt::Debug for ReadEarlyData<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReadEarlyData").field(&self.0.len()).finish()
    }
}

impl io::Read for ReadEarlyData<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(out)?;
        if self.0.is_empty() {
            // The connection may live for long.
            *self.0 = VecDeque::new();
        }
        Ok(n)
    }
}

impl Deref for ServerConnection {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        &self.common
    }
}

impl DerefMut for ServerConnection {
    fn deref_mut(&mut self) -> &mut CommonState {
        &mut self.common
    }
}

/// The client's side of an established connection.
#[derive(Clone, Debug)]
pub struct ClientConnection {
    pub(crate) common: CommonState,
    pub(crate) early_data_accepted: bool,
    pub(crate) ech_status: EchStatus,
}

impl ClientConnection {
    /// Whether the server took the 0-RTT data. If not, it was sent again after the handshake (but for
    /// what the closure of `connect_with` wrote). False before the handshake is done.
    pub fn is_early_data_accepted(&self) -> bool {
        self.early_data_accepted
    }

    /// What became of Encrypted Client Hello (RFC 9849). A server that refuses it fails the handshake.
    /// Before the handshake is done (of a stream that was made for early data) GREASE is `Offered` too.
    pub fn ech_status(&self) -> EchStatus {
        self.ech_status
    }
}

impl Deref for ClientConnection {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        &self.common
    }
}

impl DerefMut for ClientConnection {
    fn deref_mut(&mut self) -> &mut CommonState {
        &mut self.common
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn early_data_that_is_read_byte_by_byte_is_not_moved_for_each() {
        let mut data = VecDeque::from(vec![7; 1_000]);
        let place = |data: &ReadEarlyData<'_>| data.0.as_slices().0.as_ptr().addr();
        let mut early = ReadEarlyData(&mut data);
        let start = place(&early);
        for n in 1..1_000 {
            early.read_exact(&mut [0]).expect("a byte");
            assert_eq!(place(&early), start + n, "behind {n} bytes");
        }
        early.read_exact(&mut [0]).expect("the last byte");
        assert_eq!(early.read(&mut [0]).expect("the end"), 0);
        assert_eq!(data.capacity(), 0, "nothing is kept");
    }
}
