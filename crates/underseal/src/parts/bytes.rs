//! Parts as bytes, for another process.
//!
//! A private format of one version: both processes run the same underseal. Integers are big
//! endian; byte strings carry their length before them.

use rustls::pki_types::CertificateDer;
use rustls::{ProtocolVersion as RustlsVersion, SupportedCipherSuite};
use underseal_record::{
    Algorithm, Limits, Padding, ProtocolVersion, SeqNo, TrafficKeys, TrafficSecret,
};
use zeroize::Zeroizing;

use super::Parts;
use crate::handshake::Tickets;
use crate::session::{ClientConnection, CommonState, ServerConnection};

const MAGIC: &[u8; 8] = b"undrsl\x00\x01";
const CLIENT: u8 = 0;
const SERVER: u8 = 1;

/// Bytes that are not the parts of a stream of this version and side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the parts of a stream: {0}")]
pub struct InvalidParts(&'static str);

/// What a session adds to the parts: which side it is, and what only that side knows.
pub trait Movable: sealed::Sealed + Sized {
    #[doc(hidden)]
    const SIDE: u8;
    #[doc(hidden)]
    fn common(&self) -> &CommonState;
    #[doc(hidden)]
    fn own(&self) -> Vec<u8>;
    #[doc(hidden)]
    fn rebuild(common: CommonState, own: &[u8]) -> Result<Self, InvalidParts>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ClientConnection {}
    impl Sealed for super::ServerConnection {}
}

impl Movable for ClientConnection {
    const SIDE: u8 = CLIENT;

    fn common(&self) -> &CommonState {
        &self.common
    }

    fn own(&self) -> Vec<u8> {
        vec![u8::from(self.early_data_accepted)]
    }

    fn rebuild(common: CommonState, own: &[u8]) -> Result<Self, InvalidParts> {
        Ok(Self {
            common,
            early_data_accepted: own == [1],
        })
    }
}

impl Movable for ServerConnection {
    const SIDE: u8 = SERVER;

    fn common(&self) -> &CommonState {
        &self.common
    }

    fn own(&self) -> Vec<u8> {
        self.server_name
            .as_deref()
            .unwrap_or("")
            .as_bytes()
            .to_vec()
    }

    fn rebuild(common: CommonState, own: &[u8]) -> Result<Self, InvalidParts> {
        let name = std::str::from_utf8(own).map_err(|_| InvalidParts("server name"))?;
        Ok(Self {
            common,
            server_name: (!name.is_empty()).then(|| name.into()),
            early_data: None,
        })
    }
}

impl<IO, Session: Movable> Parts<IO, Session> {
    /// Everything but the stream below, **secret keys included**, for another process of this
    /// machine. The stream below travels as a file descriptor beside it (`SCM_RIGHTS`).
    ///
    /// Consumes the parts and gives the stream below back: from here on the keys belong to
    /// whoever reads these bytes. The moved stream does all that this one did but one thing: a
    /// client's session store stays behind, so tickets that arrive later are dropped.
    pub fn into_bytes(self) -> (IO, Zeroizing<Vec<u8>>) {
        let common = self.session.common();
        let mut out = Writer::default();
        out.0.extend_from_slice(MAGIC);
        out.0.push(Session::SIDE);
        out.keys(&self.tx);
        out.keys(&self.rx);
        for secret in [&self.tx_secret, &self.rx_secret] {
            out.bytes(secret.as_ref().map_or(&[], TrafficSecret::dangerous_bytes));
        }
        out.0
            .push(u8::from(self.tx_closed) | u8::from(self.rx_closed) << 1);
        out.number(self.max_plaintext as u64);
        out.padding(self.padding);
        out.number(self.limits.soft);
        out.number(self.limits.hard);
        out.number(u64::from(u16::from(common.suite.suite())));
        out.bytes(&self.session.own());
        out.bytes(common.alpn_protocol().unwrap_or_default());
        let chain = common.peer_certificates().unwrap_or_default();
        out.number(chain.len() as u64);
        for certificate in chain {
            out.bytes(certificate);
        }
        for bytes in [&self.plaintext, &self.received, &self.unsent] {
            out.bytes(bytes);
        }
        (self.io, out.0)
    }

    /// Parts from what [`into_bytes`](Self::into_bytes) made, in this or another process.
    ///
    /// # Errors
    ///
    /// [`InvalidParts`] if the bytes are cut short, of another version, or of the other side, or
    /// if no rustls provider of this process has the suite.
    pub fn from_bytes(io: IO, bytes: &[u8]) -> Result<Self, InvalidParts> {
        let mut input = Reader(bytes);
        if input.take(MAGIC.len())? != MAGIC {
            return Err(InvalidParts("unknown format"));
        }
        if input.byte()? != Session::SIDE {
            return Err(InvalidParts("the other side's"));
        }
        let (tx, rx) = (input.keys()?, input.keys()?);
        let tx_secret = input.secret(tx.algorithm())?;
        let rx_secret = input.secret(rx.algorithm())?;
        let closed = input.byte()?;
        let max_plaintext = input.number()? as usize;
        let padding = input.padding()?;
        let limits = Limits {
            soft: input.number()?,
            hard: input.number()?,
        };
        let suite = suite_by_id(input.number()?).ok_or(InvalidParts("unknown suite"))?;
        let own = input.bytes()?;
        let alpn = input.bytes()?;
        let chain = input.chain()?;
        let common = CommonState {
            alpn_protocol: (!alpn.is_empty()).then(|| alpn.into()),
            peer_certificates: (!chain.is_empty()).then(|| chain.into()),
            protocol_version: match tx.version() {
                ProtocolVersion::Tls12 => RustlsVersion::TLSv1_2,
                ProtocolVersion::Tls13 => RustlsVersion::TLSv1_3,
            },
            suite,
            key_exchange_group: None,
            handshake_kind: None,
        };
        Ok(Self {
            io,
            session: Session::rebuild(common, own)?,
            tx,
            rx,
            tx_secret,
            rx_secret,
            plaintext: input.bytes()?.to_vec(),
            received: input.bytes()?.to_vec(),
            unsent: input.bytes()?.to_vec(),
            tx_closed: closed & 1 != 0,
            rx_closed: closed & 2 != 0,
            max_plaintext,
            padding,
            limits,
            tickets: match Session::SIDE {
                CLIENT => Tickets::Refused,
                _ => Tickets::Server,
            },
        })
    }
}

#[derive(Default)]
struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn keys(&mut self, keys: &TrafficKeys) {
        self.0.push(match keys.version() {
            ProtocolVersion::Tls12 => 2,
            ProtocolVersion::Tls13 => 3,
        });
        self.0.push(match keys.algorithm() {
            Algorithm::Aes128Gcm => 0,
            Algorithm::Aes256Gcm => 1,
            Algorithm::ChaCha20Poly1305 => 2,
        });
        self.bytes(keys.dangerous_key());
        self.0.extend_from_slice(keys.dangerous_iv());
        self.number(keys.seq().0);
    }

    fn padding(&mut self, padding: Padding) {
        self.number(match padding {
            Padding::Multiple(n) => u64::from(n),
            Padding::Full => u64::MAX,
            _ => 0,
        });
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], InvalidParts> {
        let (front, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(InvalidParts("cut short"))?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidParts> {
        let (front, rest) = self
            .0
            .split_first_chunk()
            .ok_or(InvalidParts("cut short"))?;
        self.0 = rest;
        Ok(*front)
    }

    fn byte(&mut self) -> Result<u8, InvalidParts> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, InvalidParts> {
        self.array().map(u64::from_be_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], InvalidParts> {
        let len = usize::try_from(self.number()?).map_err(|_| InvalidParts("cut short"))?;
        self.take(len)
    }

    fn chain(&mut self) -> Result<Vec<CertificateDer<'static>>, InvalidParts> {
        let mut chain = Vec::new();
        for _ in 0..self.number()? {
            chain.push(CertificateDer::from(self.bytes()?.to_vec()));
        }
        Ok(chain)
    }

    fn keys(&mut self) -> Result<TrafficKeys, InvalidParts> {
        let version = match self.byte()? {
            2 => ProtocolVersion::Tls12,
            3 => ProtocolVersion::Tls13,
            _ => return Err(InvalidParts("unknown version")),
        };
        let algorithm = match self.byte()? {
            0 => Algorithm::Aes128Gcm,
            1 => Algorithm::Aes256Gcm,
            2 => Algorithm::ChaCha20Poly1305,
            _ => return Err(InvalidParts("unknown algorithm")),
        };
        let key = self.bytes()?;
        let iv = self.array()?;
        let seq = SeqNo(self.number()?);
        TrafficKeys::new(version, algorithm, key, iv, seq).map_err(|_| InvalidParts("key length"))
    }

    fn secret(&mut self, algorithm: Algorithm) -> Result<Option<TrafficSecret>, InvalidParts> {
        match self.bytes()? {
            [] => Ok(None),
            bytes => TrafficSecret::new(algorithm, bytes)
                .map(Some)
                .map_err(|_| InvalidParts("secret length")),
        }
    }

    fn padding(&mut self) -> Result<Padding, InvalidParts> {
        Ok(match self.number()? {
            0 => Padding::None,
            u64::MAX => Padding::Full,
            n => Padding::Multiple(u16::try_from(n).map_err(|_| InvalidParts("padding"))?),
        })
    }
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
