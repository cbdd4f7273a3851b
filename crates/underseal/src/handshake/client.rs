use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
#[cfg(feature = "tokio")]
use rustls::CommonState as RustlsState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, TransmitTlsData, UnbufferedStatus};

use super::ech;
use super::keys::{algorithm, check_provider};
use super::prepared::Prepared;
use super::secrets::{KeepsSecrets, SecretsScope, Seen};
use super::server::{agreed, common_state};
use super::{Flight, Handshake, Tickets, Unbuffered};
#[cfg(feature = "early-data")]
use crate::CommonState;
use crate::handover::{Established, Finished};
use crate::session::Orders;
use crate::transport::Transport;
use crate::{ClientConnection, Error};

/// What a record adds to its plaintext in TLS 1.3, header included.
const OVERHEAD: usize = 5 + 1 + 16;

impl Unbuffered for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ClientConnectionData> {
        self.process_tls_records(incoming)
    }

    fn is_handshaking(&self) -> bool {
        (**self).is_handshaking()
    }

    fn wants_write(&self) -> bool {
        (**self).wants_write()
    }
}

/// A configuration like `config` whose secrets underseal may take over, always the same one. The
/// session store and everything else behind it is shared.
pub(crate) fn prepare_client(config: &Arc<ClientConfig>) -> Arc<ClientConfig> {
    static PREPARED: Prepared<ClientConfig> = Prepared::new();
    PREPARED.of(config, |config| {
        let mut config = config.clone();
        config.enable_secret_extraction = true;
        config.key_log = Arc::new(KeepsSecrets::of_client(config.key_log));
        config
    })
}

/// A client's handshake.
pub(crate) struct ClientHandshake {
    connection: UnbufferedClientConnection,
    flight: Flight,
    seen: Seen,
    orders: Arc<Orders>,
    max_fragment_size: Option<usize>,
    early: EarlyData,
}

/// 0-RTT data that the client wants to send.
#[derive(Default)]
struct EarlyData {
    data: Vec<u8>,
    /// How much of it went out with the ClientHello.
    sent: usize,
    /// How much went out besides that its owner sends again by itself, if it is refused.
    sent_by_owner: usize,
    /// Whether the flight that takes it along is past: what follows tells whether it was accepted.
    offered: bool,
    accepted: bool,
}

impl ClientHandshake {
    /// `config` comes from [`prepare_client`].
    pub(crate) fn new(
        mut config: Arc<ClientConfig>,
        name: ServerName<'static>,
        alpn: Option<Vec<Vec<u8>>>,
        early_data: Vec<u8>,
    ) -> Result<Self, Error> {
        if !early_data.is_empty() && !config.enable_early_data {
            Arc::make_mut(&mut config).enable_early_data = true;
        }
        check_provider(config.crypto_provider())?;
        let max_fragment_size = config.max_fragment_size;
        let connection = match alpn {
            Some(alpn) => UnbufferedClientConnection::new_with_alpn(config, name, alpn),
            None => UnbufferedClientConnection::new(config, name),
        }?;
        Ok(Self {
            connection,
            flight: Flight::default(),
            seen: Seen::default(),
            orders: Arc::default(),
            max_fragment_size,
            early: EarlyData {
                data: early_data,
                ..EarlyData::default()
            },
        })
    }

    /// What rustls knows so far.
    #[cfg(feature = "tokio")]
    pub(crate) fn common(&self) -> &RustlsState {
        &self.connection
    }

    /// What the stream is to do.
    #[cfg(feature = "tokio")]
    pub(crate) fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Whether early data may be sent: there is a session that allows it, and nothing was sent yet.
    #[cfg(feature = "tokio")]
    pub(crate) fn may_send_early_data(&mut self) -> bool {
        let mut may_send = false;
        if !self.early.offered {
            self.flight.with_first(&mut self.connection, |_, transmit| {
                may_send = transmit.may_encrypt_early_data().is_some();
            });
        }
        may_send
    }

    /// Seals as much of `data` as early data as the server is known to take; returns how much that
    /// was. It is sent with the ClientHello; if it is refused, that is its owner's business.
    #[cfg(feature = "tokio")]
    pub(crate) fn seal_early_data(&mut self, data: &[u8]) -> usize {
        let mut sealed = 0;
        if !self.early.offered {
            self.flight
                .with_first(&mut self.connection, |outgoing, transmit| {
                    sealed = seal_early(outgoing, transmit, data);
                });
        }
        self.early.sent_by_owner += sealed;
        sealed
    }

    /// The same, to be sent again by itself if it is refused.
    #[cfg(feature = "early-data")]
    pub(crate) fn seal_and_keep_early_data(&mut self, data: &[u8]) -> usize {
        let sealed = self.seal_early_data(data);
        self.early.sent_by_owner -= sealed;
        self.early.sent += sealed;
        self.early.data.extend(&data[..sealed]);
        sealed
    }

    /// Bytes of early data that are kept.
    #[cfg(feature = "early-data")]
    pub(crate) fn early_len(&self) -> usize {
        self.early.data.len()
    }

    /// What the session is while the handshake lasts.
    #[cfg(feature = "early-data")]
    pub(crate) fn session(&self) -> ClientConnection {
        ClientConnection {
            common: CommonState::handshaking(Arc::clone(&self.orders)),
            early_data_accepted: false,
            ech_status: ech::offered(self.flight.client_hello.found()),
        }
    }
}

impl Handshake for ClientHandshake {
    type Session = ClientConnection;

    fn drive(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        let _scope = SecretsScope::begin();
        let early = &mut self.early;
        let result = self
            .flight
            .complete(transport, &mut self.connection, |outgoing, state| {
                if let ConnectionState::TransmitTlsData(mut transmit) = state {
                    early.transmit(outgoing, &mut transmit);
                    transmit.done();
                }
                Ok(())
            });
        self.seen.collect();
        result
    }

    /// Hands a finished handshake over. Early data that the server did not take is returned, to be
    /// written as ordinary data.
    fn finish(mut self: Box<Self>) -> Result<Established<ClientConnection>, Error> {
        let accepted = self.early.accepted;
        let unsent = match accepted {
            true => self.early.data[self.early.sent..].to_vec(),
            false => self.early.data,
        };
        let ech_status = ech::status(self.flight.client_hello.found(), self.seen.client_random());
        let hello = self.flight.server_hello.found();
        let exporter = self.seen.exporter(hello);
        let suite = agreed(&self.connection)?;
        let common = common_state(&self.connection, suite, exporter, self.orders);
        let next = self.seen.of_client(algorithm(suite.suite())?)?;
        let (keys, kernel) = self.connection.dangerous_into_kernel_connection()?;
        let finished = Finished {
            version: suite.version().version,
            keys,
            next,
            tickets: Tickets::Store(Box::new(kernel)),
            orders: Arc::clone(&common.orders),
            flight: self.flight,
            max_fragment_size: self.max_fragment_size,
        };
        Ok(Established {
            connection: finished.into_connection()?,
            session: ClientConnection {
                common,
                early_data_accepted: accepted,
                ech_status,
            },
            unsent,
        })
    }
}

impl EarlyData {
    /// Called for every flight before it is sent: the first takes the early data along, a later
    /// one shows whether it was accepted.
    fn transmit(
        &mut self,
        outgoing: &mut Vec<u8>,
        transmit: &mut TransmitTlsData<'_, ClientConnectionData>,
    ) {
        if self.offered {
            let has_sent = self.sent + self.sent_by_owner > 0;
            self.accepted |= has_sent && starts_with_end_of_early_data(outgoing);
            return;
        }
        self.offered = true;
        self.sent += seal_early(outgoing, transmit, &self.data[self.sent..]);
    }
}

/// Seals as much of `data` as may be sent early; returns how much that was.
fn seal_early(
    outgoing: &mut Vec<u8>,
    transmit: &mut TransmitTlsData<'_, ClientConnectionData>,
    data: &[u8],
) -> usize {
    let mut sealed = 0;
    let Some(mut writer) = transmit.may_encrypt_early_data() else {
        return 0;
    };
    for chunk in data.chunks(1024) {
        let start = outgoing.len();
        outgoing.resize(start + chunk.len() + 40 * OVERHEAD, 0);
        let written = writer.encrypt(chunk, &mut outgoing[start..]).unwrap_or(0);
        outgoing.truncate(start + written);
        let taken = plaintext_len(&outgoing[start..]);
        sealed += taken;
        if taken < chunk.len() {
            break;
        }
    }
    sealed
}

/// Plaintext in a run of whole TLS 1.3 records without padding.
fn plaintext_len(mut records: &[u8]) -> usize {
    let mut total = 0;
    while let Some(&[_, _, _, a, b]) = records.first_chunk::<5>() {
        let len = 5 + usize::from(u16::from_be_bytes([a, b]));
        let Some(rest) = records.get(len..) else {
            break;
        };
        total += len.saturating_sub(OVERHEAD);
        records = rest;
    }
    total
}

/// A client sends EndOfEarlyData (four bytes, in a record of its own) if and only if the server
/// accepted early data (RFC 8446 section 4.5). rustls' unbuffered API says so nowhere else.
fn starts_with_end_of_early_data(outgoing: &[u8]) -> bool {
    const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];
    let outgoing = outgoing
        .strip_prefix(&CHANGE_CIPHER_SPEC)
        .unwrap_or(outgoing);
    let len = (4 + 1 + 16u16).to_be_bytes();
    outgoing.starts_with(&[23, 3, 3, len[0], len[1]])
}
