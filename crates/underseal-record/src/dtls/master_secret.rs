use core::fmt;

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
use aws_lc_rs::hmac;
#[cfg(feature = "ring")]
use ring::hmac;
use zeroize::{Zeroize, Zeroizing};

use crate::{Algorithm, ApiMisuse, Error, ProtocolVersion, SeqNo, TrafficKeys, stack};

/// Bytes of a master secret (RFC 5246 section 8.1).
const LEN: usize = 48;
/// The longest key block: two keys of 32 bytes and two IVs of 12.
const MAX_BLOCK: usize = 2 * (32 + 12);

/// The master secret of a (D)TLS 1.2 handshake: both directions' keys derive from it.
///
/// Boxed where it is born, overwritten on drop and never printed.
pub struct MasterSecret {
    algorithm: Algorithm,
    bytes: Box<[u8; LEN]>,
}

/// The keys of both directions, from sequence number zero.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "there are two sides")]
pub struct KeyPair {
    /// What the client seals with.
    pub client: TrafficKeys,
    /// What the server seals with.
    pub server: TrafficKeys,
}

impl MasterSecret {
    /// The master secret of the suite with this AEAD: the hash of its PRF is SHA-384 with
    /// AES-256-GCM, SHA-256 with the others (RFC 5288 section 3, RFC 7905 section 2).
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::KeyLength`] if `bytes` is not 48 bytes, [`ApiMisuse::AlgorithmLeftOut`] if this
    /// build has not the algorithm.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, Error> {
        algorithm.check()?;
        if bytes.len() != LEN {
            return Err(ApiMisuse::KeyLength.into());
        }
        let mut own = Box::new([0; LEN]);
        own.copy_from_slice(bytes);
        Ok(Self {
            algorithm,
            bytes: own,
        })
    }

    /// The keys that the handshake with these randoms agreed on (RFC 5246 section 6.3). They start
    /// at sequence number zero: sealing under them twice is the caller's fault and fatal.
    pub fn keys(&self, client_random: &[u8; 32], server_random: &[u8; 32]) -> KeyPair {
        let (key_len, salt_len) = (self.algorithm.key_len(), salt_len(self.algorithm));
        let mut block = Zeroizing::new([0; MAX_BLOCK]);
        let block = &mut block[..2 * (key_len + salt_len)];
        let seed = [&server_random[..], &client_random[..]];
        prf(
            self.algorithm,
            &self.bytes[..],
            b"key expansion",
            seed,
            block,
        );
        let (keys, salts) = block.split_at(2 * key_len);
        let side = |side: usize| {
            let mut iv = [0; 12];
            iv[..salt_len].copy_from_slice(&salts[side * salt_len..][..salt_len]);
            let fill = |own: &mut [u8]| own.copy_from_slice(&keys[side * key_len..][..key_len]);
            TrafficKeys::filled(ProtocolVersion::Tls12, self.algorithm, fill, iv, SeqNo(0))
        };
        KeyPair {
            client: side(0),
            server: side(1),
        }
    }
}

impl Drop for MasterSecret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterSecret")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Bytes of the IV that are agreed on: the others are sent with each record.
fn salt_len(algorithm: Algorithm) -> usize {
    12 - algorithm.explicit_nonce_len(ProtocolVersion::Tls12)
}

/// The pseudorandom function of TLS 1.2 (RFC 5246 section 5).
fn prf(algorithm: Algorithm, secret: &[u8], label: &[u8], seed: [&[u8]; 2], out: &mut [u8]) {
    expand(algorithm, secret, [label, seed[0], seed[1]], out);
    stack::overwrite();
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#[inline(never)]
fn expand(algorithm: Algorithm, secret: &[u8], seed: [&[u8]; 3], out: &mut [u8]) {
    let hash = match algorithm {
        Algorithm::Aes256Gcm => hmac::HMAC_SHA384,
        Algorithm::Aes128Gcm | Algorithm::ChaCha20Poly1305 | Algorithm::Aes128Ccm => {
            hmac::HMAC_SHA256
        }
    };
    let key = hmac::Key::new(hash, secret);
    let sign = |first: &[u8]| {
        let mut context = hmac::Context::with_key(&key);
        context.update(first);
        for part in seed {
            context.update(part);
        }
        context.sign()
    };
    let mut a = sign(&[]);
    for chunk in out.chunks_mut(a.as_ref().len()) {
        chunk.copy_from_slice(&sign(a.as_ref()).as_ref()[..chunk.len()]);
        a = hmac::sign(&key, a.as_ref());
    }
}

/// A build without an AEAD library has no use for keys.
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn expand(_: Algorithm, _: &[u8], _: [&[u8]; 3], _: &mut [u8]) {
    panic!("{}", crate::backend::NONE);
}

#[cfg(test)]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tests {
    use super::*;

    /// "TLS 1.2 PRF test vectors" of the TLS working group's list, for SHA-256.
    #[test]
    fn the_prf_makes_the_published_bytes() {
        let secret = b"\x9b\xbe\x43\x6b\xa9\x40\xf0\x17\xb1\x76\x52\x84\x9a\x71\xdb\x35";
        let seed = b"\xa0\xba\x9f\x93\x6c\xda\x31\x18\x27\xa6\xf7\x96\xff\xd5\x19\x8c";
        let mut out = [0; 100];
        prf(
            Algorithm::Aes128Gcm,
            secret,
            b"test label",
            [seed, b""],
            &mut out,
        );
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a\
                        6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab\
                        4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701\
                        87347b66";
        let made: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(made, expected);
    }

    #[test]
    fn a_master_secret_of_another_length_is_refused() {
        assert!(MasterSecret::new(Algorithm::Aes128Gcm, &[0; 47]).is_err());
    }
}
