//! Records and packets as the RFCs have them, put together with BoringSSL's HKDF, AEADs, AES and ChaCha20: what is
//! sealed here is the same, and what was changed neither opens.

use boring::aead::{AeadCtx, Algorithm as Aead};
use boring::hash::MessageDigest;
use boring::hkdf::HkdfSuite;
use boring::symm::{Cipher, encrypt};
use proptest::prelude::*;
use underseal_record::dtls::{EpochKeys, EpochSecret, Opener, ReplayWindow, Sealer};
use underseal_record::quic::{PacketOpener, PacketSealer, Version};
use underseal_record::{
    Algorithm, ContentType, ProtocolVersion, SeqNo, TrafficKeys, TrafficSecret,
};
use underseal_sys::boring::chacha20_block;

const TAG_LEN: usize = 16;
/// The epoch of data in DTLS 1.3.
const EPOCH: u16 = 3;

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Dtls12,
    Dtls13,
    Quic,
}

/// One record or packet, as proptest draws it.
#[derive(Clone, Debug)]
struct Case {
    protocol: Protocol,
    algorithm: Algorithm,
    secret: [u8; 48],
    number: u64,
    plaintext: Vec<u8>,
}

/// What of it is sent, by BoringSSL's hand.
struct Reference {
    key: AeadCtx,
    nonce: [u8; 12],
    aad: Vec<u8>,
    wire: Vec<u8>,
    /// Where the ciphertext starts.
    body_at: usize,
}

impl Case {
    fn hash(&self) -> MessageDigest {
        match self.algorithm {
            Algorithm::Aes256Gcm => MessageDigest::sha384(),
            _ => MessageDigest::sha256(),
        }
    }

    fn secret(&self) -> &[u8] {
        &self.secret[..self.hash().size()]
    }

    /// HKDF-Expand-Label (RFC 8446 section 7.1).
    fn expand(&self, prefix: &str, label: &str, len: usize) -> Vec<u8> {
        let label = format!("{prefix}{label}");
        let len_bytes = (len as u16).to_be_bytes();
        let info = [&len_bytes[..], &[label.len() as u8], label.as_bytes(), &[0]].concat();
        let mut out = vec![0; len];
        let hkdf = HkdfSuite::new(self.hash());
        hkdf.expand(self.secret(), &info, &mut out).unwrap();
        out
    }

    /// Key, IV, and the key for numbers, by their labels.
    fn keys(&self, prefix: &str, labels: [&str; 3]) -> (Vec<u8>, [u8; 12], Vec<u8>) {
        let [key, iv, number] = labels;
        let len = self.algorithm.key_len();
        let iv = self.expand(prefix, iv, 12).try_into().unwrap();
        (
            self.expand(prefix, key, len),
            iv,
            self.expand(prefix, number, len),
        )
    }

    fn aead(&self, key: &[u8]) -> AeadCtx {
        let algorithm = match self.algorithm {
            Algorithm::Aes128Gcm => Aead::aes_128_gcm(),
            Algorithm::Aes256Gcm => Aead::aes_256_gcm(),
            _ => Aead::chacha20_poly1305(),
        };
        AeadCtx::new_default_tag(&algorithm, key).unwrap()
    }

    fn mask(&self, key: &[u8], sample: &[u8]) -> Vec<u8> {
        let cipher = match self.algorithm {
            Algorithm::Aes128Gcm => Cipher::aes_128_ecb(),
            Algorithm::Aes256Gcm => Cipher::aes_256_ecb(),
            // RFC 9001 section 5.4.4, RFC 9147 section 4.2.3.
            _ => {
                let (counter, nonce) = sample.split_first_chunk().unwrap();
                let counter = u32::from_le_bytes(*counter);
                let (key, nonce) = (key.try_into().unwrap(), nonce.try_into().unwrap());
                return chacha20_block(key, nonce, counter).into();
            }
        };
        encrypt(cipher, key, None, sample).unwrap()
    }

    fn reference(&self) -> Reference {
        match self.protocol {
            Protocol::Dtls12 => self.dtls12(),
            Protocol::Dtls13 => self.dtls13(),
            Protocol::Quic => self.quic(),
        }
    }

    /// RFC 6347 section 4.1, RFC 5288 section 3, RFC 7905 section 2.
    fn dtls12(&self) -> Reference {
        let number = (1 << 48 | self.number).to_be_bytes();
        let nonce = nonce(self.iv12(), number);
        let explicit = match self.algorithm {
            Algorithm::ChaCha20Poly1305 => &[][..],
            _ => &nonce[4..],
        };
        let header = [&[23, 0xfe, 0xfd][..], &number].concat();
        let plain_len = (self.plaintext.len() as u16).to_be_bytes();
        let aad = [&number[..], &[23, 0xfe, 0xfd], &plain_len].concat();
        let body_len = explicit.len() + self.plaintext.len() + TAG_LEN;
        let header = [&header[..], &(body_len as u16).to_be_bytes(), explicit].concat();
        Reference::sealed(self.aead(self.key12()), nonce, aad, header, &self.plaintext)
    }

    fn key12(&self) -> &[u8] {
        &self.secret[..self.algorithm.key_len()]
    }

    fn iv12(&self) -> [u8; 12] {
        self.secret[32..44].try_into().unwrap()
    }

    /// RFC 9147 section 4.
    fn dtls13(&self) -> Reference {
        let (key, iv, number_key) = self.keys("dtls13", ["key", "iv", "sn"]);
        let inner = [&self.plaintext[..], &[23]].concat();
        let seq = (self.number as u16).to_be_bytes();
        let len = ((inner.len() + TAG_LEN) as u16).to_be_bytes();
        let header = [&[0x2c | EPOCH as u8][..], &seq, &len].concat();
        let nonce = nonce(iv, self.number.to_be_bytes());
        let mut sealed = Reference::sealed(self.aead(&key), nonce, header.clone(), header, &inner);
        let mask = self.mask(&number_key, &sealed.wire[5..5 + 16]);
        sealed.wire[1] ^= mask[0];
        sealed.wire[2] ^= mask[1];
        sealed
    }

    /// RFC 9001 sections 5.3 and 5.4, with a packet number of four bytes and no connection ID.
    fn quic(&self) -> Reference {
        let (key, iv, header_key) = self.keys("tls13 ", ["quic key", "quic iv", "quic hp"]);
        let header = [&[0x43][..], &(self.number as u32).to_be_bytes()].concat();
        let nonce = nonce(iv, self.number.to_be_bytes());
        let aead = self.aead(&key);
        let mut sealed = Reference::sealed(aead, nonce, header.clone(), header, &self.plaintext);
        let mask = self.mask(&header_key, &sealed.wire[5..5 + 16]);
        sealed.wire[0] ^= mask[0] & 0x1f;
        for index in 0..4 {
            sealed.wire[1 + index] ^= mask[1 + index];
        }
        sealed
    }

    fn epoch_keys(&self) -> EpochKeys {
        match self.protocol {
            Protocol::Dtls12 => {
                let (version, seq) = (ProtocolVersion::Tls12, SeqNo(0));
                let keys =
                    TrafficKeys::new(version, self.algorithm, self.key12(), self.iv12(), seq);
                EpochKeys::new(keys.unwrap(), 1).unwrap()
            }
            _ => EpochSecret::new(self.algorithm, self.secret(), EPOCH)
                .unwrap()
                .keys(),
        }
    }

    fn traffic_secret(&self) -> TrafficSecret {
        TrafficSecret::new(self.algorithm, self.secret()).unwrap()
    }

    /// What we make of it.
    fn sealed(&self) -> Vec<u8> {
        if let Protocol::Quic = self.protocol {
            let mut sealer = PacketSealer::new(Version::V1, self.traffic_secret());
            let number = (self.number as u32).to_be_bytes();
            let room = [0; TAG_LEN];
            let mut packet = [&[0x43][..], &number, &self.plaintext, &room].concat();
            sealer.seal(&mut packet, 1, self.number).unwrap();
            return packet;
        }
        let mut keys = self.epoch_keys();
        keys.skip_to(self.number).unwrap();
        let mut sealer = Sealer::new(keys);
        let mut record = vec![0; self.plaintext.len() + sealer.overhead()];
        let data = ContentType::APPLICATION_DATA;
        let len = sealer.seal(data, &self.plaintext, &mut record).unwrap();
        record.truncate(len);
        record
    }

    /// What we open of `wire`.
    fn opened(&self, wire: &[u8]) -> Option<Vec<u8>> {
        let mut wire = wire.to_vec();
        if let Protocol::Quic = self.protocol {
            let mut opener = PacketOpener::new(Version::V1, self.traffic_secret());
            let opened = opener.open(&mut wire, 1).ok()?;
            return Some(wire[opened.payload].to_vec());
        }
        let mut opener = Opener::new(self.epoch_keys(), ReplayWindow::default());
        let opened = opener.open(&mut wire).opened.ok()?;
        Some(wire[opened.plaintext].to_vec())
    }
}

impl Reference {
    fn sealed(
        mut key: AeadCtx,
        nonce: [u8; 12],
        aad: Vec<u8>,
        header: Vec<u8>,
        plaintext: &[u8],
    ) -> Self {
        let (mut body, mut tag) = (plaintext.to_vec(), [0; TAG_LEN]);
        key.seal_in_place_mut(&nonce, &mut body, &mut tag, &aad)
            .unwrap();
        Self {
            key,
            nonce,
            aad,
            body_at: header.len(),
            wire: [&header[..], &body, &tag].concat(),
        }
    }

    /// What BoringSSL opens where `body` stands in the place of its own.
    fn opened(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let (ciphertext, tag) = body.split_last_chunk::<TAG_LEN>()?;
        let mut opened = ciphertext.to_vec();
        let outcome = self
            .key
            .open_in_place_mut(&self.nonce, &mut opened, tag, &self.aad);
        outcome.ok().map(|()| opened)
    }
}

fn nonce(mut iv: [u8; 12], number: [u8; 8]) -> [u8; 12] {
    for (byte, of_number) in iv[4..].iter_mut().zip(number) {
        *byte ^= of_number;
    }
    iv
}

/// RFC 8439 section 2.3.2.
#[test]
fn boringssls_block_of_chacha20_is_that_of_the_rfc() {
    let key = std::array::from_fn(|index| index as u8);
    let nonce = [0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0];
    let expected = [
        0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71,
        0xc4,
    ];
    assert_eq!(chacha20_block(&key, &nonce, 1), expected);
}

fn case() -> impl Strategy<Value = Case> {
    let protocol = prop::sample::select(vec![Protocol::Dtls12, Protocol::Dtls13, Protocol::Quic]);
    let algorithm = prop::sample::select(Algorithm::ALL.to_vec());
    // What a receiver that has opened nothing makes out of two bytes, or of four.
    let number = 0..1_u64 << 15;
    let plaintext = prop::collection::vec(any::<u8>(), 3..1500);
    let secret = prop::array::uniform(any::<u8>());
    (protocol, algorithm, secret, number, plaintext).prop_map(
        |(protocol, algorithm, secret, number, plaintext)| Case {
            protocol,
            algorithm,
            secret,
            number,
            plaintext,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24_000))]
    #[test]
    fn what_is_sealed_and_opened_is_what_boringssl_seals_and_opens(
        case in case(),
        at in any::<prop::sample::Index>(),
        xor in 1..=u8::MAX,
    ) {
        let mut reference = case.reference();
        let wire = reference.wire.clone();
        prop_assert_eq!(&case.sealed(), &wire);
        prop_assert_eq!(case.opened(&wire), Some(case.plaintext.clone()));
        let mut changed = wire.clone();
        changed[at.index(wire.len())] ^= xor;
        prop_assert_eq!(case.opened(&changed), None);
        let body_at = reference.body_at;
        let body_changed = changed[body_at..] != wire[body_at..];
        let opened = reference.opened(&changed[body_at..]);
        prop_assert_eq!(opened.is_none(), body_changed);
    }
}
