//! Keying material for the application (RFC 5705; RFC 8446 section 7.5).
//!
//! rustls derives it as long as it has the connection, which is until the handshake is complete.
//! From then on the stream does, from the secret that rustls told its key log, by the suite's own
//! functions. A key update does not change it.

use rustls::crypto::hash::Hash;
use rustls::crypto::tls13::{HkdfExpander, OkmBlock};
use rustls::{Error, SupportedCipherSuite, Tls13CipherSuite};
use zeroize::Zeroizing;

/// Bytes of a hello's random.
pub(crate) const RANDOM_LEN: usize = 32;

/// Bytes of a master secret of TLS 1.2.
const MASTER_SECRET_LEN: usize = 48;

/// What keying material is derived from. In one allocation: under TLS 1.3 the exporter's secret;
/// under TLS 1.2 whether the master secret is an extended one, the master secret, and both randoms.
#[derive(Clone)]
pub(crate) struct Exporter(Zeroizing<Box<[u8]>>);

impl Exporter {
    pub(crate) fn tls13(secret: &[u8]) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    pub(crate) fn tls12(
        extended_master_secret: bool,
        master_secret: &[u8],
        client_random: &[u8],
        server_random: &[u8],
    ) -> Self {
        let flag = [u8::from(extended_master_secret)];
        let all = [&flag, master_secret, client_random, server_random];
        Self(Zeroizing::new(all.concat().into()))
    }

    /// What [`bytes`](Self::bytes) of a connection with this suite said.
    pub(crate) fn from_bytes(suite: SupportedCipherSuite, bytes: &[u8]) -> Option<Self> {
        let is_one = match suite.tls13() {
            Some(suite) => bytes.len() == suite.common.hash_provider.output_len(),
            None => matches!(bytes, [0 | 1, secrets @ ..]
                if secrets.len() == MASTER_SECRET_LEN + 2 * RANDOM_LEN),
        };
        is_one.then(|| Self(Zeroizing::new(bytes.into())))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Fills `output`.
    pub(crate) fn export(
        &self,
        suite: SupportedCipherSuite,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        if output.is_empty() {
            return Err(general("export_keying_material with zero-length output"));
        }
        match suite.tls13() {
            Some(suite) => self.export_tls13(suite, output, label, context),
            None => self.export_tls12(suite, output, label, context),
        }
    }

    /// No context is the same as an empty one.
    fn export_tls13(
        &self,
        suite: &Tls13CipherSuite,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        let hash = suite.common.hash_provider;
        let hkdf = suite.hkdf_provider;
        let hash_len = hash.output_len();
        let expander = hkdf.expander_for_okm(&OkmBlock::new(&self.0));
        let info = HkdfLabel::new(hash_len, label, hash, &[])?;
        let secret: OkmBlock = expander.expand_block(&info.parts());
        let expander = hkdf.expander_for_okm(&secret);
        let info = HkdfLabel::new(output.len(), b"exporter", hash, context.unwrap_or_default())?;
        expand(&*expander, &info, output)
    }

    /// No context is not the same as an empty one.
    #[cfg(feature = "tls12")]
    fn export_tls12(
        &self,
        suite: SupportedCipherSuite,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        let SupportedCipherSuite::Tls12(suite) = suite else {
            return Err(Error::HandshakeNotComplete);
        };
        let (master_secret, randoms) = self.0[1..].split_at(MASTER_SECRET_LEN);
        let mut seed = randoms.to_vec();
        if let Some(context) = context {
            let len = u16::try_from(context.len())
                .map_err(|_| general("a context of more than 65535 bytes"))?;
            seed.extend(len.to_be_bytes());
            seed.extend(context);
        }
        suite
            .prf_provider
            .for_secret(output, master_secret, label, &seed);
        Ok(())
    }

    /// This build makes no such handshake.
    #[cfg(not(feature = "tls12"))]
    fn export_tls12(
        &self,
        _suite: SupportedCipherSuite,
        _output: &mut [u8],
        _label: &[u8],
        _context: Option<&[u8]>,
    ) -> Result<(), Error> {
        Err(Error::HandshakeNotComplete)
    }

    /// The channel binding `tls-exporter` (RFC 9266).
    pub(crate) fn channel_binding(&self, suite: SupportedCipherSuite) -> Result<[u8; 32], Error> {
        if suite.tls13().is_none() && self.0.first() == Some(&0) {
            // Section 3: another connection may have the same.
            return Err(general("channel binding without an extended master secret"));
        }
        let mut output = [0; 32];
        self.export(suite, &mut output, b"EXPORTER-Channel-Binding", Some(&[]))?;
        Ok(output)
    }
}

/// The input of HKDF-Expand-Label (RFC 8446 section 7.1).
struct HkdfLabel<'a> {
    output_len: [u8; 2],
    label_len: [u8; 1],
    label: &'a [u8],
    context_len: [u8; 1],
    context: rustls::crypto::hash::Output,
}

const PREFIX: &[u8] = b"tls13 ";

impl<'a> HkdfLabel<'a> {
    fn new(
        output_len: usize,
        label: &'a [u8],
        hash: &dyn Hash,
        context: &[u8],
    ) -> Result<Self, Error> {
        let output_len = u16::try_from(output_len).map_err(|_| general("exporting too much"))?;
        let label_len = u8::try_from(PREFIX.len() + label.len())
            .map_err(|_| general("a label of more than 249 bytes"))?;
        let context = hash.hash(context);
        Ok(Self {
            output_len: output_len.to_be_bytes(),
            label_len: [label_len],
            label,
            // No hash is longer.
            context_len: [context.as_ref().len() as u8],
            context,
        })
    }

    fn parts(&self) -> [&[u8]; 6] {
        [
            &self.output_len,
            &self.label_len,
            PREFIX,
            self.label,
            &self.context_len,
            self.context.as_ref(),
        ]
    }
}

fn expand(
    expander: &dyn HkdfExpander,
    info: &HkdfLabel<'_>,
    output: &mut [u8],
) -> Result<(), Error> {
    expander
        .expand_slice(&info.parts(), output)
        .map_err(|_| general("exporting too much"))
}

fn general(why: &str) -> Error {
    Error::General(why.to_owned())
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter")
    }
}
