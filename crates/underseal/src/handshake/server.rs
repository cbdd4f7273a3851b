use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use rustls::server::{
    ClientHello, ResolvesServerCert, ServerConnectionData, UnbufferedServerConnection,
};
use rustls::sign::CertifiedKey;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{CommonState as RustlsState, HandshakeKind, ServerConfig, SupportedCipherSuite};

use super::keys::{algorithm, check_provider};
use super::prepared::Prepared;
use super::rejected::RejectedEarlyData;
use super::resumption::{self, Resumption};
use super::secrets::{KeepsSecrets, SecretsScope, Seen};
use super::{Flight, Handshake, Tickets, Unbuffered};
use crate::exporter::Exporter;
use crate::handover::{Established, Finished};
use crate::session::{CommonState, Orders};
use crate::transport::Transport;
use crate::{Error, ServerConnection};

/// rustls' connection, and the early data that it rejected.
struct Server {
    rustls: UnbufferedServerConnection,
    rejected: RejectedEarlyData,
}

impl Unbuffered for Server {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ServerConnectionData> {
        let suite = self.rustls.negotiated_cipher_suite();
        let mut shown = self.rejected.copy(incoming);
        let mut status = self.rustls.process_tls_records(incoming);
        let has_seen_all = matches!(
            status.state,
            Ok(ConnectionState::TransmitTlsData(_)
                | ConnectionState::BlockedHandshake
                | ConnectionState::WriteTraffic(_))
        );
        let suite = suite.map(|suite| suite.suite());
        status.discard += self
            .rejected
            .skipped(&mut shown, status.discard, has_seen_all, suite);
        status
    }

    fn is_handshaking(&self) -> bool {
        self.rustls.is_handshaking()
    }

    fn wants_write(&self) -> bool {
        self.rustls.wants_write()
    }
}

thread_local! {
    /// The SNI of the ClientHello that rustls is processing on this thread.
    static SERVER_NAME: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Notes the SNI: rustls' unbuffered connection does not tell it, its certificate resolver is
/// asked with it.
#[derive(Debug)]
struct NotesServerName(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for NotesServerName {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = client_hello.server_name().map(Box::from);
        SERVER_NAME.with(|slot| *slot.borrow_mut() = name);
        self.0.resolve(client_hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}

/// A configuration like `config` whose secrets underseal may take over, always the same one. The
/// session store, the tickets and everything else behind it are shared.
pub(crate) fn prepare_server(config: &Arc<ServerConfig>) -> Arc<ServerConfig> {
    static PREPARED: Prepared<ServerConfig> = Prepared::new();
    PREPARED.of(config, |config| {
        let mut config = config.clone();
        config.enable_secret_extraction = true;
        config.cert_resolver = Arc::new(NotesServerName(config.cert_resolver));
        config.key_log = Arc::new(KeepsSecrets::of_server(config.key_log));
        config.session_storage = Arc::new(resumption::Sessions(config.session_storage));
        config.ticketer = Arc::new(resumption::Tickets(config.ticketer));
        config
    })
}

/// A server's handshake.
pub(crate) struct ServerHandshake {
    connection: Server,
    flight: Flight,
    seen: Seen,
    resumption: Resumption,
    orders: Arc<Orders>,
    /// 0-RTT data that the client sent.
    early_data: Vec<u8>,
    server_name: Option<Box<str>>,
    max_fragment_size: Option<usize>,
}

impl ServerHandshake {
    /// `config` comes from [`prepare_server`]; `received` was read from the client before.
    pub(crate) fn new(config: Arc<ServerConfig>, received: Vec<u8>) -> Result<Self, Error> {
        check_provider(config.crypto_provider())?;
        Ok(Self {
            max_fragment_size: config.max_fragment_size,
            connection: Server {
                rustls: UnbufferedServerConnection::new(config)?,
                rejected: RejectedEarlyData::default(),
            },
            flight: Flight {
                incoming: received,
                is_server: true,
                ..Flight::default()
            },
            seen: Seen::default(),
            resumption: Resumption::default(),
            orders: Arc::default(),
            early_data: Vec::new(),
            server_name: None,
        })
    }

    /// What rustls knows so far.
    #[cfg(feature = "tokio")]
    pub(crate) fn common(&self) -> &RustlsState {
        &self.connection.rustls
    }

    /// What the stream is to do.
    #[cfg(feature = "tokio")]
    pub(crate) fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Puts `data` into the tickets of this connection.
    #[cfg(feature = "tokio")]
    pub(crate) fn set_resumption_data(&mut self, data: &[u8]) {
        self.resumption.data = data.to_vec();
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn reject_early_data(&mut self) {
        self.resumption.rejects_early_data = true;
    }
}

impl Handshake for ServerHandshake {
    type Session = ServerConnection;

    fn drive(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        let _scope = SecretsScope::begin();
        let early_data = &mut self.early_data;
        self.resumption.enter();
        let outer_name = SERVER_NAME.take();
        let result = self
            .flight
            .complete(transport, &mut self.connection, |_, state| {
                match state {
                    ConnectionState::TransmitTlsData(transmit) => transmit.done(),
                    ConnectionState::ReadEarlyData(mut data) => {
                        while let Some(record) = data.next_record() {
                            early_data.extend_from_slice(record?.payload);
                        }
                    }
                    _ => {}
                }
                Ok(())
            });
        self.resumption.leave();
        self.seen.collect();
        if let Some(name) = SERVER_NAME.replace(outer_name) {
            self.server_name = Some(name);
        }
        result
    }

    fn finish(mut self: Box<Self>) -> Result<Established<ServerConnection>, Error> {
        let exporter = self.seen.exporter(self.flight.server_hello.found());
        let suite = agreed(&self.connection.rustls)?;
        let common = common_state(&self.connection.rustls, suite, exporter, self.orders);
        let early_data = self.early_data;
        let received = self.resumption.into_received();
        let is_resumed = common.handshake_kind == Some(HandshakeKind::Resumed);
        let next = self.seen.of_server(algorithm(suite.suite())?)?;
        let (keys, _) = self.connection.rustls.dangerous_into_kernel_connection()?;
        let finished = Finished {
            version: suite.version().version,
            keys,
            next,
            tickets: Tickets::Server,
            orders: Arc::clone(&common.orders),
            flight: self.flight,
            max_fragment_size: self.max_fragment_size,
        };
        Ok(Established {
            connection: finished.into_connection()?,
            session: ServerConnection::new(
                common,
                self.server_name,
                (!early_data.is_empty()).then_some(early_data),
                received.filter(|_| is_resumed),
            ),
            unsent: Vec::new(),
        })
    }
}

/// What rustls knows of a finished handshake, before its state is consumed.
pub(super) fn common_state(
    rustls: &RustlsState,
    suite: SupportedCipherSuite,
    exporter: Option<Exporter>,
    orders: Arc<Orders>,
) -> CommonState {
    CommonState {
        alpn_protocol: rustls.alpn_protocol().map(Box::from),
        peer_certificates: rustls
            .peer_certificates()
            .map(|chain| chain.iter().map(|cert| cert.clone().into_owned()).collect()),
        protocol_version: Some(suite.version().version),
        suite: Some(suite),
        key_exchange_group: rustls.negotiated_key_exchange_group(),
        handshake_kind: rustls.handshake_kind(),
        exporter,
        orders,
    }
}

/// The suite that both sides agreed on.
pub(super) fn agreed(rustls: &RustlsState) -> Result<SupportedCipherSuite, Error> {
    let suite = rustls.negotiated_cipher_suite();
    Ok(suite.ok_or(rustls::Error::HandshakeNotComplete)?)
}
