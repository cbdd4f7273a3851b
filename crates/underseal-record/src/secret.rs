use core::fmt;

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
use aws_lc_rs::hkdf;
#[cfg(feature = "ring")]
use ring::hkdf;
use zeroize::Zeroize;

use crate::{Algorithm, ApiMisuse, Error, ProtocolVersion, SeqNo, TrafficKeys, stack};

/// Whose labels they are.
#[derive(Clone, Copy)]
enum Labels {
    Tls13,
    Dtls13,
}

impl Labels {
    /// What stands before each (RFC 8446 section 7.1; RFC 9147 section 5.9, without a space).
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    const fn prefix(self) -> &'static [u8; 6] {
        match self {
            Self::Tls13 => b"tls13 ",
            Self::Dtls13 => b"dtls13",
        }
    }
}

/// A TLS 1.3 application traffic secret: what the keys of one direction, and the secret of its
/// next keys, derive from (RFC 8446 section 7.2).
///
/// Boxed where it is born, overwritten on drop and never printed. Knowing it means to be able to read (or forge) the
/// direction from here on, whatever key updates follow.
pub struct TrafficSecret {
    algorithm: Algorithm,
    #[cfg_attr(
        not(any(feature = "ring", feature = "aws-lc-rs")),
        expect(dead_code, reason = "a build without an AEAD library derives nothing")
    )]
    labels: Labels,
    /// As many as the hash has: every connection has two of these.
    bytes: Box<[u8]>,
}

impl TrafficSecret {
    /// A secret of the suite with this AEAD: its hash is SHA-384 with AES-256-GCM, SHA-256 with
    /// the others (RFC 8446 appendix B.4).
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::KeyLength`] if `bytes` is not one output of that hash,
    /// [`ApiMisuse::AlgorithmLeftOut`] if this build has not the algorithm.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, Error> {
        Self::with_labels(Labels::Tls13, algorithm, bytes)
    }

    /// As [`new`](Self::new), a secret of DTLS 1.3.
    pub(crate) fn of_dtls(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, Error> {
        Self::with_labels(Labels::Dtls13, algorithm, bytes)
    }

    fn with_labels(labels: Labels, algorithm: Algorithm, bytes: &[u8]) -> Result<Self, Error> {
        algorithm.check()?;
        if bytes.len() != hash_len(algorithm) {
            return Err(ApiMisuse::KeyLength.into());
        }
        Ok(Self {
            algorithm,
            labels,
            bytes: bytes.into(),
        })
    }

    /// Becomes the next secret, as both sides do at a KeyUpdate. The one before is overwritten:
    /// what was sent under it stays secret even if this one becomes known.
    pub fn update(&mut self) {
        self.update_under(b"traffic upd");
    }

    /// As [`update`](Self::update), with the label of another protocol.
    pub(crate) fn update_under(&mut self, label: &[u8]) {
        let mut next = zeros(self.algorithm);
        self.expand_label(label, &mut next);
        self.bytes.zeroize();
        self.bytes = next;
    }

    /// The keys of this secret, from sequence number zero (RFC 8446 section 7.3). Sealing under
    /// them twice is the caller's fault and fatal: derive them once, when the secret changes.
    pub fn keys(&self) -> TrafficKeys {
        self.keys_under(b"key", b"iv")
    }

    /// As [`keys`](Self::keys), with the labels of another protocol.
    pub(crate) fn keys_under(&self, key_label: &[u8], iv_label: &[u8]) -> TrafficKeys {
        let keys = self.expand_keys(key_label, iv_label);
        // As behind `expand_label`, once for both.
        stack::overwrite();
        keys
    }

    /// Whether `keys` derive from this secret, at any sequence number. The IV tells it: no two
    /// secrets have the same but by a chance of 2^-96.
    pub fn derives(&self, keys: &TrafficKeys) -> bool {
        let mut iv = [0; 12];
        self.expand_label(b"iv", &mut iv);
        keys.version == ProtocolVersion::Tls13 && keys.algorithm == self.algorithm && keys.iv == iv
    }

    /// In a frame of its own, which is below the caller's.
    #[inline(never)]
    fn expand_keys(&self, key_label: &[u8], iv_label: &[u8]) -> TrafficKeys {
        let mut iv = [0; 12];
        self.expand(iv_label, &mut iv);
        TrafficKeys::filled(
            ProtocolVersion::Tls13,
            self.algorithm,
            |key| self.expand(key_label, key),
            iv,
            SeqNo(0),
        )
    }

    /// Calls `use_key` with one more key of this secret's algorithm, which is overwritten behind it.
    pub(crate) fn with_expanded<T>(&self, label: &[u8], use_key: impl FnOnce(&[u8]) -> T) -> T {
        let mut key = [0; 32];
        let len = self.algorithm.key_len();
        self.expand_label(label, &mut key[..len]);
        let made = use_key(&key[..len]);
        key.zeroize();
        made
    }

    /// The algorithm of the keys that derive from it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The secret that SHA-256 extracts from `input` and expands with `label`, of AES-128-GCM: that of
    /// QUIC's Initial packets, and no secret to anybody who knows the input.
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    pub(crate) fn extracted(salt: &[u8], input: &[u8], label: &[u8]) -> Self {
        let algorithm = Algorithm::Aes128Gcm;
        let (labels, mut own) = (Labels::Tls13, zeros(algorithm));
        let prk = hkdf::Salt::new(hash(algorithm), salt).extract(input);
        expand_label_of(&prk, labels, label, &mut own);
        stack::overwrite();
        Self {
            algorithm,
            labels,
            bytes: own,
        }
    }

    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    pub(crate) fn extracted(_salt: &[u8], _input: &[u8], _label: &[u8]) -> Self {
        panic!("{}", crate::backend::NONE);
    }

    /// The secret itself: for handing the connection to another process.
    pub fn dangerous_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
    fn expand_label(&self, label: &[u8], out: &mut [u8]) {
        self.expand(label, out);
        // ring has put what it made on the stack before it copied it here.
        stack::overwrite();
    }

    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    #[inline(never)]
    fn expand(&self, label: &[u8], out: &mut [u8]) {
        let prk = hkdf::Prk::new_less_safe(hash(self.algorithm), self.dangerous_bytes());
        expand_label_of(&prk, self.labels, label, out);
    }

    /// A build without an AEAD library has no use for keys.
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    fn expand(&self, _label: &[u8], _out: &mut [u8]) {
        panic!("{}", crate::backend::NONE);
    }
}

impl Drop for TrafficSecret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for TrafficSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficSecret")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
fn expand_label_of(prk: &hkdf::Prk, labels: Labels, label: &[u8], out: &mut [u8]) {
    let prefix = labels.prefix();
    let len = (out.len() as u16).to_be_bytes();
    let label_len = [(prefix.len() + label.len()) as u8];
    let info: [&[u8]; 5] = [&len, &label_len, prefix, label, &[0]];
    prk.expand(&info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("no label asks for more than one output of the hash");
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
struct Length(usize);

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A place for a secret.
fn zeros(algorithm: Algorithm) -> Box<[u8]> {
    vec![0; hash_len(algorithm)].into()
}

const fn hash_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Aes256Gcm => 48,
        Algorithm::Aes128Gcm | Algorithm::ChaCha20Poly1305 | Algorithm::Aes128Ccm => 32,
    }
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
fn hash(algorithm: Algorithm) -> hkdf::Algorithm {
    match algorithm {
        Algorithm::Aes256Gcm => hkdf::HKDF_SHA384,
        Algorithm::Aes128Gcm | Algorithm::ChaCha20Poly1305 | Algorithm::Aes128Ccm => {
            hkdf::HKDF_SHA256
        }
    }
}

#[cfg(test)]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    /// RFC 8448 section 3, "derive write traffic keys for application data".
    #[test]
    fn keys_are_those_of_rfc_8448() {
        let cases = [
            (
                "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
                "17422dda596ed5d9acd890e3c63f5051",
                "5b78923dee08579033e523d9",
            ),
            (
                "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
                "9f02283b6c9c07efc26bb9f2ac92e356",
                "cf782b88dd83549aadf1e984",
            ),
        ];
        for (secret, key, iv) in cases {
            let keys = TrafficSecret::new(Algorithm::Aes128Gcm, &hex(secret))
                .unwrap()
                .keys();
            assert_eq!(keys.dangerous_key(), hex(key));
            assert_eq!(keys.dangerous_iv()[..], hex(iv));
        }
    }

    #[test]
    fn a_secret_knows_its_keys_and_no_others() {
        for algorithm in Algorithm::ALL {
            let bytes = vec![7; hash_len(algorithm)];
            let mut secret = TrafficSecret::new(algorithm, &bytes).unwrap();
            let before = secret.keys();
            assert!(secret.derives(&before));
            secret.update();
            assert!(!secret.derives(&before));
            assert!(secret.derives(&secret.keys()));
        }
    }

    #[test]
    fn an_update_changes_every_byte_that_matters() {
        for algorithm in Algorithm::ALL {
            let bytes = vec![7; hash_len(algorithm)];
            let mut secret = TrafficSecret::new(algorithm, &bytes).unwrap();
            let before = secret.keys();
            secret.update();
            assert_ne!(secret.dangerous_bytes(), bytes);
            assert_ne!(secret.keys().dangerous_key(), before.dangerous_key());
            assert_ne!(secret.keys().dangerous_iv(), before.dangerous_iv());
        }
    }

    #[test]
    fn a_secret_of_the_wrong_hash_is_refused() {
        assert!(TrafficSecret::new(Algorithm::Aes256Gcm, &[0; 32]).is_err());
        assert!(TrafficSecret::new(Algorithm::Aes128Gcm, &[0; 48]).is_err());
    }
}
