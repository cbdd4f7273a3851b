//! Parts as bytes, for another process.
//!
//! A private format of one version: both processes run the same underseal.

use std::sync::Arc;

use rustls::client::EchStatus;
use rustls::{HandshakeKind, ProtocolVersion as RustlsVersion, SupportedCipherSuite};
use underseal_record::{Limits, MAX_PLAINTEXT, ProtocolVersion, TrafficSecret};
use zeroize::Zeroizing;

use super::codec::{Reader, Writer, checked};
use super::{MAX_PLAINTEXTS, Parts};
use crate::engine::{Carried, Counters};
use crate::exporter::Exporter;
use crate::handshake::Tickets;
use crate::offload::{Engine, Engines, Offloads};
use crate::session::{ClientConnection, CommonState, Connection, Orders, ServerConnection};

pub(super) const MAGIC: &[u8; 8] = b"undrsl\x00\x03";
const CLIENT: u8 = 0;
const SERVER: u8 = 1;

/// Bytes of all that has a length of its own, and of the lengths of what has not.
const FIXED_LEN: usize = 640;

/// Bytes that are not the parts of a stream of this version and side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the parts of a stream: {0}")]
pub struct InvalidParts(pub(super) &'static str);

/// What a session adds to the parts: which side it is, and what only that side knows.
pub trait Movable: sealed::Sealed + Sized {
    #[doc(hidden)]
    fn side(&self) -> u8;
    #[doc(hidden)]
    fn common(&self) -> &CommonState;
    #[doc(hidden)]
    fn own(&self) -> Vec<u8>;
    #[doc(hidden)]
    fn rebuild(side: u8, common: CommonState, own: &[u8]) -> Result<Self, InvalidParts>;
    #[doc(hidden)]
    fn has_side(side: u8) -> bool;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ClientConnection {}
    impl Sealed for super::ServerConnection {}
    impl Sealed for super::Connection {}
}

impl Movable for ClientConnection {
    fn side(&self) -> u8 {
        CLIENT
    }

    fn has_side(side: u8) -> bool {
        side == CLIENT
    }

    fn common(&self) -> &CommonState {
        &self.common
    }

    /// Whether early data was accepted (bit 0), and what became of ECH.
    fn own(&self) -> Vec<u8> {
        vec![u8::from(self.early_data_accepted) | ech_to_bits(self.ech_status) << 1]
    }

    fn rebuild(_: u8, common: CommonState, own: &[u8]) -> Result<Self, InvalidParts> {
        match own {
            [bits] => Ok(Self {
                common,
                early_data_accepted: bits & 1 == 1,
                ech_status: ech_from_bits(bits >> 1)?,
            }),
            _ => Err(InvalidParts("early data")),
        }
    }
}

impl Movable for ServerConnection {
    fn side(&self) -> u8 {
        SERVER
    }

    fn has_side(side: u8) -> bool {
        side == SERVER
    }

    fn common(&self) -> &CommonState {
        &self.common
    }

    /// What there is of early data that nobody took (1) and of data that came with a ticket (2); the
    /// length of the name, the name; the same of the ticket's data; early data.
    fn own(&self) -> Vec<u8> {
        let name = self.server_name.as_deref().unwrap_or("").as_bytes();
        let early_data = self.unread_early_data();
        let ticket = self.received_resumption_data();
        let flags = u8::from(early_data.is_some()) | u8::from(ticket.is_some()) << 1;
        let mut own = vec![flags];
        for bytes in [name, ticket.unwrap_or_default()] {
            own.extend((bytes.len() as u64).to_be_bytes());
            own.extend(bytes);
        }
        own.extend(early_data.unwrap_or_default());
        own
    }

    fn rebuild(_: u8, common: CommonState, own: &[u8]) -> Result<Self, InvalidParts> {
        let mut own = Reader(own);
        let flags = own.byte()?;
        let name = std::str::from_utf8(own.bytes()?).map_err(|_| InvalidParts("server name"))?;
        let optional = |flag, bytes: &[u8]| match (flags & flag, bytes) {
            (0, []) => Ok(None),
            (0, _) => Err(InvalidParts("flags of a server")),
            (_, bytes) => Ok(Some(bytes.to_vec())),
        };
        if flags > 0b11 {
            return Err(InvalidParts("flags of a server"));
        }
        let resumption_data = optional(0b10, own.bytes()?)?;
        let early_data = optional(0b01, own.0)?;
        let name = (!name.is_empty()).then(|| name.into());
        Ok(Self::new(common, name, early_data, resumption_data))
    }
}

impl Movable for Connection {
    fn side(&self) -> u8 {
        match self {
            Self::Client(session) => session.side(),
            Self::Server(session) => session.side(),
        }
    }

    fn has_side(side: u8) -> bool {
        ClientConnection::has_side(side) || ServerConnection::has_side(side)
    }

    fn common(&self) -> &CommonState {
        self
    }

    fn own(&self) -> Vec<u8> {
        match self {
            Self::Client(session) => session.own(),
            Self::Server(session) => session.own(),
        }
    }

    fn rebuild(side: u8, common: CommonState, own: &[u8]) -> Result<Self, InvalidParts> {
        match side {
            CLIENT => ClientConnection::rebuild(side, common, own).map(Self::Client),
            _ => ServerConnection::rebuild(side, common, own).map(Self::Server),
        }
    }
}

impl<IO, Session: Movable> Parts<IO, Session> {
    /// Everything but the stream below, **secret keys included**, for another process of this
    /// machine. The stream below travels as a file descriptor beside it (`SCM_RIGHTS`).
    ///
    /// Consumes the parts and gives the stream below back: from here on the keys belong to
    /// whoever reads these bytes. The moved stream does all that this one did but for two things:
    /// a client's session store stays behind, so tickets that arrive later are dropped; and the
    /// key exchange group is not known any more.
    pub fn into_bytes(self) -> (IO, Zeroizing<Vec<u8>>) {
        let common = self.session.common();
        let own = Zeroizing::new(self.session.own());
        let alpn = common.alpn_protocol().unwrap_or_default();
        let chain = common.peer_certificates().unwrap_or_default();
        let loose = [&own, alpn, &self.plaintext, &self.received, &self.unsent];
        let loose: usize = loose.iter().map(|bytes| bytes.len()).sum();
        let chain_len: usize = chain.iter().map(|certificate| 8 + certificate.len()).sum();
        let mut out = Writer::with_capacity(FIXED_LEN + loose + chain_len);
        out.plain(MAGIC);
        out.byte(self.session.side());
        out.keys(&self.tx);
        out.keys(&self.rx);
        for secret in [&self.tx_secret, &self.rx_secret] {
            out.bytes(secret.as_ref().map_or(&[], TrafficSecret::dangerous_bytes));
        }
        out.bytes(common.exporter.as_ref().map_or(&[], Exporter::bytes));
        out.byte(self.flags());
        out.number(self.max_plaintext as u64);
        out.padding(self.padding);
        out.number(self.limits.soft);
        out.number(self.limits.hard);
        write_carried(&mut out, &self.carried);
        out.number(self.orders.buffer_limit());
        // Nothing is taken apart before it has one.
        let suite = common.suite.map_or(0, |suite| u16::from(suite.suite()));
        out.number(suite.into());
        out.byte(kind_to_byte(common.handshake_kind));
        out.bytes(&own);
        out.bytes(alpn);
        out.number(chain.len() as u64);
        for certificate in chain {
            out.bytes(certificate);
        }
        for bytes in [&self.plaintext, &self.received, &self.unsent] {
            out.bytes(bytes);
        }
        (self.io, out.finish())
    }

    /// Parts from what [`into_bytes`](Self::into_bytes) made, in this or another process.
    ///
    /// # Errors
    ///
    /// [`InvalidParts`] if the bytes were changed, are cut short, have something behind them, are of
    /// another version, or of the other side, or if no rustls provider of this process has the
    /// suite. What was changed on purpose, with a checksum to fit, is not found out.
    pub fn from_bytes(io: IO, bytes: &[u8]) -> Result<Self, InvalidParts> {
        if !bytes.starts_with(MAGIC) {
            return Err(InvalidParts("unknown format"));
        }
        Self::parse(io, &checked(bytes)?[MAGIC.len()..])
    }

    /// Parts from what stands between magic and checksum.
    fn parse(io: IO, body: &[u8]) -> Result<Self, InvalidParts> {
        let mut input = Reader(body);
        let side = input.byte()?;
        if !Session::has_side(side) {
            return Err(InvalidParts("the other side's"));
        }
        let (tx, rx) = (input.keys()?, input.keys()?);
        let tx_secret = input.secret(&tx)?;
        let rx_secret = input.secret(&rx)?;
        let exporter = input.bytes()?;
        let flags = input.byte()?;
        if flags & !ALL_FLAGS != 0 {
            return Err(InvalidParts("unknown flags"));
        }
        let max_plaintext = input.number_up_to(MAX_PLAINTEXT as u64)? as usize;
        if !MAX_PLAINTEXTS.contains(&max_plaintext) {
            return Err(InvalidParts("length of records"));
        }
        let padding = input.padding()?;
        let limits = Limits {
            soft: input.number()?,
            hard: input.number()?,
        };
        let carried = read_carried(&mut input, flags)?;
        let limit = input.number()?;
        let orders = Arc::new(Orders::with_limit(limit));
        if orders.buffer_limit() != limit {
            return Err(InvalidParts("limit of the buffer"));
        }
        let suite = suite_by_id(input.number()?).ok_or(InvalidParts("unknown suite"))?;
        let handshake_kind = kind_from_byte(input.byte()?)?;
        let own = input.bytes()?;
        let alpn = input.bytes()?;
        let chain = input.chain()?;
        let common = CommonState {
            alpn_protocol: (!alpn.is_empty()).then(|| alpn.into()),
            peer_certificates: (!chain.is_empty()).then(|| chain.into()),
            protocol_version: Some(match tx.version() {
                ProtocolVersion::Tls12 => RustlsVersion::TLSv1_2,
                ProtocolVersion::Tls13 => RustlsVersion::TLSv1_3,
            }),
            suite: Some(suite),
            key_exchange_group: None,
            handshake_kind,
            orders: Arc::clone(&orders),
            exporter: match exporter {
                [] => None,
                bytes => {
                    let exporter = Exporter::from_bytes(suite, bytes);
                    Some(exporter.ok_or(InvalidParts("length of an exporter's secret"))?)
                }
            },
        };
        let parts = Self {
            io,
            session: Session::rebuild(side, common, own)?,
            tx,
            rx,
            tx_secret,
            rx_secret,
            plaintext: input.bytes()?.to_vec(),
            received: input.bytes()?.to_vec(),
            unsent: input.bytes()?.to_vec(),
            tx_closed: flags & TX_CLOSED != 0,
            rx_closed: flags & RX_CLOSED != 0,
            max_plaintext,
            padding,
            limits,
            carried,
            orders,
            is_elsewhere: flags & ELSEWHERE != 0,
            tickets: match side {
                CLIENT => Tickets::Refused,
                _ => Tickets::Server,
            },
        };
        input.finish()?;
        Ok(parts)
    }

    fn flags(&self) -> u8 {
        let by_kernel = |engine| engine == Engine::Kernel;
        [
            (self.tx_closed, TX_CLOSED),
            (self.rx_closed, RX_CLOSED),
            (by_kernel(self.carried.engines.tx), TX_BY_KERNEL),
            (by_kernel(self.carried.engines.rx), RX_BY_KERNEL),
            (self.carried.deliver_records, DELIVER_RECORDS),
            (self.is_elsewhere, ELSEWHERE),
        ]
        .into_iter()
        .filter(|(is_set, _)| *is_set)
        .fold(0, |flags, (_, flag)| flags | flag)
    }
}

const TX_CLOSED: u8 = 1;
const RX_CLOSED: u8 = 1 << 1;
const TX_BY_KERNEL: u8 = 1 << 2;
const RX_BY_KERNEL: u8 = 1 << 3;
const DELIVER_RECORDS: u8 = 1 << 4;
const ELSEWHERE: u8 = 1 << 5;
const ALL_FLAGS: u8 = (1 << 6) - 1;

fn write_carried(out: &mut Writer, carried: &Carried) {
    out.offload(carried.offloads.tx);
    out.offload(carried.offloads.rx);
    out.number(carried.counters.tx_bytes);
    out.number(carried.counters.rx_bytes);
    out.number(carried.counters.tx_key_updates.into());
    out.number(carried.counters.rx_key_updates.into());
}

fn read_carried(input: &mut Reader<'_>, flags: u8) -> Result<Carried, InvalidParts> {
    let engine = |flag| match flags & flag {
        0 => Engine::User,
        _ => Engine::Kernel,
    };
    Ok(Carried {
        engines: Engines {
            tx: engine(TX_BY_KERNEL),
            rx: engine(RX_BY_KERNEL),
        },
        offloads: Offloads {
            tx: input.offload()?,
            rx: input.offload()?,
        },
        counters: Counters {
            tx_bytes: input.number()?,
            rx_bytes: input.number()?,
            tx_key_updates: input.number_up_to(u32::MAX.into())? as u32,
            rx_key_updates: input.number_up_to(u32::MAX.into())? as u32,
        },
        deliver_records: flags & DELIVER_RECORDS != 0,
    })
}

fn ech_to_bits(status: EchStatus) -> u8 {
    match status {
        EchStatus::NotOffered => 0,
        EchStatus::Grease => 1,
        EchStatus::Offered => 2,
        EchStatus::Accepted => 3,
        EchStatus::Rejected => 4,
    }
}

fn ech_from_bits(bits: u8) -> Result<EchStatus, InvalidParts> {
    Ok(match bits {
        0 => EchStatus::NotOffered,
        1 => EchStatus::Grease,
        2 => EchStatus::Offered,
        3 => EchStatus::Accepted,
        4 => EchStatus::Rejected,
        _ => return Err(InvalidParts("unknown status of ECH")),
    })
}

fn kind_to_byte(kind: Option<HandshakeKind>) -> u8 {
    match kind {
        None => 0,
        Some(HandshakeKind::Full) => 1,
        Some(HandshakeKind::FullWithHelloRetryRequest) => 2,
        Some(HandshakeKind::Resumed) => 3,
    }
}

fn kind_from_byte(byte: u8) -> Result<Option<HandshakeKind>, InvalidParts> {
    Ok(match byte {
        0 => None,
        1 => Some(HandshakeKind::Full),
        2 => Some(HandshakeKind::FullWithHelloRetryRequest),
        3 => Some(HandshakeKind::Resumed),
        _ => return Err(InvalidParts("unknown kind of handshake")),
    })
}

/// The suite, from the process's default provider or one that is compiled in.
fn suite_by_id(id: u64) -> Option<SupportedCipherSuite> {
    let default = rustls::crypto::CryptoProvider::get_default().map(|p| p.cipher_suites.as_slice());
    let known = [
        default.unwrap_or_default(),
        #[cfg(feature = "aws_lc_rs")]
        rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES,
        #[cfg(feature = "ring")]
        rustls::crypto::ring::ALL_CIPHER_SUITES,
    ];
    known
        .concat()
        .into_iter()
        .find(|suite| u64::from(u16::from(suite.suite())) == id)
}
