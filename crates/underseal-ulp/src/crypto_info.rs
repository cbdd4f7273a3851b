//! The keys that a program gives, and is given: `struct tls12_crypto_info_*` of
//! `include/uapi/linux/tls.h`, with the kernel's answers to what it does not take.

use rustix::io::Errno;
use underseal_record::{Algorithm, ProtocolVersion, SeqNo, TrafficKeys};
use zeroize::Zeroizing;

/// Bytes before the IV: version and cipher.
const PREFIX: usize = 4;
const SEQ_LEN: usize = 8;
/// Bytes of a nonce: salt and IV together.
const NONCE_LEN: usize = 12;
/// Bytes of the nonce that a record of TLS 1.2 AES-GCM carries: its IV.
pub(crate) const EXPLICIT_LEN: usize = 8;

/// Version and cipher, and, if they were asked for, the keys: what `getsockopt` writes.
pub struct CryptoInfo(Zeroizing<Vec<u8>>);

/// Where the parts of one cipher's struct lie.
struct Layout {
    algorithm: Algorithm,
    salt_len: usize,
}

impl Layout {
    fn of(cipher: u16) -> Option<Self> {
        let (algorithm, salt_len) = match cipher {
            51 => (Algorithm::Aes128Gcm, 4),
            52 => (Algorithm::Aes256Gcm, 4),
            54 => (Algorithm::ChaCha20Poly1305, 0),
            _ => return None,
        };
        Some(Self {
            algorithm,
            salt_len,
        })
    }

    fn of_algorithm(algorithm: Algorithm) -> (u16, Self) {
        let (cipher, salt_len) = match algorithm {
            Algorithm::Aes128Gcm => (51, 4),
            Algorithm::Aes256Gcm => (52, 4),
            Algorithm::ChaCha20Poly1305 => (54, 0),
            Algorithm::Aes128Ccm => (53, 4),
        };
        let layout = Self {
            algorithm,
            salt_len,
        };
        (cipher, layout)
    }

    fn iv_len(&self) -> usize {
        NONCE_LEN - self.salt_len
    }

    fn len(&self) -> usize {
        PREFIX + NONCE_LEN + self.algorithm.key_len() + SEQ_LEN
    }
}

/// The explicit nonce of the next record, where records carry one.
pub(crate) fn explicit_nonce(keys: &TrafficKeys) -> Option<[u8; EXPLICIT_LEN]> {
    if keys.algorithm().explicit_nonce_len(keys.version()) == 0 {
        return None;
    }
    let mut nonce = *keys.dangerous_iv().last_chunk()?;
    add_number(&mut nonce, keys.seq());
    Some(nonce)
}

/// From the IV to a record's explicit nonce, or back.
fn add_number(nonce: &mut [u8; EXPLICIT_LEN], number: SeqNo) {
    for (byte, number) in nonce.iter_mut().zip(number.0.to_be_bytes()) {
        *byte ^= number;
    }
}

/// Reads the keys of `setsockopt(SOL_TLS, TLS_TX)` and `TLS_RX`. The IV of TLS 1.2 AES-GCM is the explicit nonce of the
/// next record, as in the kernel.
///
/// # Errors
///
/// `EINVAL` as the kernel gives it: fewer than four bytes, an unknown version or cipher, a length that
/// is not exactly the cipher's; and for the ciphers that the kernel has and we do not.
pub fn parse(bytes: &[u8]) -> Result<TrafficKeys, Errno> {
    let prefix = bytes.first_chunk::<PREFIX>().ok_or(Errno::INVAL)?;
    let [a, b, c, d] = *prefix;
    let version = match u16::from_ne_bytes([a, b]) {
        0x0303 => ProtocolVersion::Tls12,
        0x0304 => ProtocolVersion::Tls13,
        _ => return Err(Errno::INVAL),
    };
    let layout = Layout::of(u16::from_ne_bytes([c, d])).ok_or(Errno::INVAL)?;
    if bytes.len() != layout.len() {
        return Err(Errno::INVAL);
    }
    let (iv, rest) = bytes[PREFIX..].split_at(layout.iv_len());
    let (key, rest) = rest.split_at(layout.algorithm.key_len());
    let (salt, seq) = rest.split_at(layout.salt_len);
    let mut nonce = Zeroizing::new([0; NONCE_LEN]);
    nonce[..layout.salt_len].copy_from_slice(salt);
    nonce[layout.salt_len..].copy_from_slice(iv);
    let seq = seq.first_chunk::<SEQ_LEN>().ok_or(Errno::INVAL)?;
    let seq = SeqNo(u64::from_be_bytes(*seq));
    if layout.algorithm.explicit_nonce_len(version) > 0
        && let Some(nonce) = nonce.last_chunk_mut()
    {
        add_number(nonce, seq);
    }
    TrafficKeys::new(version, layout.algorithm, key, *nonce, seq).map_err(|_| Errno::INVAL)
}

/// A version as on the wire.
pub fn wire_version(version: ProtocolVersion) -> u16 {
    match version {
        ProtocolVersion::Tls12 => 0x0303,
        ProtocolVersion::Tls13 => 0x0304,
    }
}

/// The kernel's number of a cipher.
pub fn cipher(algorithm: Algorithm) -> u16 {
    Layout::of_algorithm(algorithm).0
}

impl CryptoInfo {
    /// What `getsockopt(SOL_TLS, TLS_TX)` answers to somebody with room for `room` bytes: version and
    /// cipher for four, and for exactly the cipher's struct the keys with the number of the next record.
    ///
    /// # Errors
    ///
    /// `EINVAL` for any other room, as in the kernel.
    pub fn of(keys: &TrafficKeys, room: usize) -> Result<Self, Errno> {
        let (cipher, layout) = Layout::of_algorithm(keys.algorithm());
        let version = wire_version(keys.version());
        let mut bytes = Zeroizing::new(Vec::with_capacity(layout.len()));
        bytes.extend(version.to_ne_bytes());
        bytes.extend(cipher.to_ne_bytes());
        if room == PREFIX {
            return Ok(Self(bytes));
        }
        if room != layout.len() {
            return Err(Errno::INVAL);
        }
        let seq = keys.seq().0;
        let nonce = keys.dangerous_iv();
        let (salt, iv) = nonce.split_at(layout.salt_len);
        match explicit_nonce(keys) {
            Some(nonce) => bytes.extend(nonce),
            None => bytes.extend_from_slice(iv),
        }
        bytes.extend_from_slice(keys.dangerous_key());
        bytes.extend_from_slice(salt);
        bytes.extend(seq.to_be_bytes());
        Ok(Self(bytes))
    }

    /// Says another explicit nonce of the next record, if it says any.
    pub(crate) fn set_explicit_nonce(&mut self, nonce: [u8; EXPLICIT_LEN]) {
        if let Some(place) = self.0.get_mut(PREFIX..PREFIX + EXPLICIT_LEN) {
            place.copy_from_slice(&nonce);
        }
    }

    /// The bytes, as they are written to the caller.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for CryptoInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CryptoInfo").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;

    use crate::{Lent, Transmit, Wire};

    /// A struct whose bytes all differ, with the sequence number 7.
    fn info(version: u16, cipher: u16, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..).take(len).collect();
        bytes[..2].copy_from_slice(&version.to_ne_bytes());
        bytes[2..4].copy_from_slice(&cipher.to_ne_bytes());
        bytes[len - 8..].copy_from_slice(&7_u64.to_be_bytes());
        bytes
    }

    #[test]
    fn what_a_program_gives_is_what_it_is_given() {
        for (version, cipher, len) in [0x0303, 0x0304].into_iter().flat_map(|version| {
            [(51, 40), (52, 56), (54, 56)].map(|(cipher, len)| (version, cipher, len))
        }) {
            let given = info(version, cipher, len);
            let keys = parse(&given).unwrap();
            assert_eq!(keys.seq(), SeqNo(7));
            let back = CryptoInfo::of(&keys, len).unwrap();
            assert_eq!(back.as_bytes(), given);
            let short = CryptoInfo::of(&keys, 4).unwrap();
            assert_eq!(short.as_bytes(), &given[..4]);
            assert_eq!(CryptoInfo::of(&keys, len + 1).err(), Some(Errno::INVAL));
            let transmit = Transmit::new(keys);
            assert_eq!(transmit.crypto_info(len).unwrap().as_bytes(), given);
            assert_eq!(transmit.crypto_info(4).unwrap().as_bytes(), &given[..4]);
        }
    }

    /// Takes everything.
    struct All(Vec<u8>);

    impl Wire for All {
        fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn send_pieces(&mut self, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
            pieces.iter().map(|piece| self.send(piece)).sum()
        }
    }

    #[test]
    fn explicit_nonces_start_where_nobody_has_been() {
        let mut transmit = Transmit::new(parse(&info(0x0303, 51, 40)).unwrap());
        let mut wire = All(Vec::new());
        let sent = transmit.send(&mut &b"x"[..], 1, &mut wire, &mut Lent::new());
        assert_eq!(sent, Ok(1));
        assert_eq!(wire.0[5..13], [4, 5, 6, 8, 0, 0, 0, 7]);
        let back = transmit.crypto_info(40).unwrap();
        assert_eq!(back.as_bytes()[4..12], [4, 5, 6, 8, 0, 0, 0, 8]);
        assert_eq!(back.as_bytes()[28..32], [28, 29, 30, 31], "the salt stays");
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        let refused = |bytes: &[u8]| assert_eq!(parse(bytes).err(), Some(Errno::INVAL));
        refused(&[]);
        refused(&[3, 3, 51]);
        refused(&info(0x0302, 51, 40));
        refused(&info(0x0304, 50, 40));
        for unknown in [53, 55, 56, 57] {
            refused(&info(0x0304, unknown, 40));
        }
        refused(&info(0x0304, 51, 39));
        refused(&info(0x0304, 51, 41));
        refused(&info(0x0304, 52, 40));
    }

    #[test]
    fn keys_are_not_printed() {
        let keys = parse(&info(0x0304, 51, 40)).unwrap();
        let info = CryptoInfo::of(&keys, 40).unwrap();
        assert_eq!(format!("{info:?}"), "CryptoInfo { .. }");
    }
}
