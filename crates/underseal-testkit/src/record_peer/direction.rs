//! Record protection of one direction, after RFC 8446 sections 5 and 7, RFC 5246 section 6.2.3.3,
//! RFC 5288 and RFC 7905.

use std::collections::HashSet;

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;
use rustls::ConnectionTrafficSecrets;

use super::APPLICATION_DATA;

/// Keys of one direction.
pub(super) struct DirectionalKeys {
    algorithm: &'static aead::Algorithm,
    key: LessSafeKey,
    iv: [u8; 12],
    pub(super) seq: u64,
    secret: Option<Vec<u8>>,
    /// Explicit nonces of the records that were opened: one that comes again gives the key away.
    explicit_nonces: HashSet<[u8; 8]>,
}

impl DirectionalKeys {
    pub(super) fn new(
        (seq, secrets): (u64, ConnectionTrafficSecrets),
        secret: Option<Vec<u8>>,
    ) -> Self {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&aead::CHACHA20_POLY1305, key, iv)
            }
            _ => panic!("a suite of another kind"),
        };
        Self {
            algorithm,
            key: expand(algorithm, key.as_ref()),
            iv: iv.as_ref().try_into().expect("a whole IV"),
            seq,
            secret,
            explicit_nonces: HashSet::new(),
        }
    }

    /// RFC 8446 sections 7.2 and 7.3.
    pub(super) fn update(&mut self) {
        let secret = self.secret.take().expect("TLS 1.3 has traffic secrets");
        let next = expand_label(&secret, "traffic upd", secret.len());
        let key = expand_label(&next, "key", self.algorithm.key_len());
        self.key = expand(self.algorithm, &key);
        let iv = expand_label(&next, "iv", 12);
        self.iv = iv.try_into().expect("as long as asked for");
        self.seq = 0;
        self.secret = Some(next);
    }

    /// The nonce of the next record, whose number is then used up.
    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, seq) in nonce[4..].iter_mut().zip(self.seq.to_be_bytes()) {
            *byte ^= seq;
        }
        self.seq += 1;
        nonce
    }

    fn explicit_nonce_len(&self) -> usize {
        if self.algorithm == &aead::CHACHA20_POLY1305 {
            0
        } else {
            8
        }
    }

    pub(super) fn seal13(&mut self, inner: &[u8]) -> Vec<u8> {
        let header = header(APPLICATION_DATA, inner.len() + 16);
        let nonce = self.nonce();
        [header.to_vec(), self.seal(nonce, &header, inner)].concat()
    }

    pub(super) fn seal12(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        let seq = self.seq.to_be_bytes();
        let aad = [&seq[..], &header(content_type, payload.len())].concat();
        let nonce = self.nonce();
        let explicit = &nonce[12 - self.explicit_nonce_len()..];
        let sealed = [explicit, &self.seal(nonce, &aad, payload)].concat();
        [&header(content_type, sealed.len())[..], &sealed].concat()
    }

    fn seal(&self, nonce: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = plaintext.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed)
            .expect("a record is short enough");
        sealed
    }

    pub(super) fn open13(&mut self, mut record: Vec<u8>) -> (u8, Vec<u8>) {
        let mut body = record.split_off(5);
        let nonce = Nonce::assume_unique_for_key(self.nonce());
        let inner = self.key.open_in_place(nonce, Aad::from(record), &mut body);
        let inner = inner.expect("the record authenticates");
        let last = inner.iter().rposition(|byte| *byte != 0);
        let last = last.expect("the record has a type");
        (inner[last], inner[..last].to_vec())
    }

    pub(super) fn open12(&mut self, mut record: Vec<u8>) -> (u8, Vec<u8>) {
        let explicit_len = self.explicit_nonce_len();
        let mut body = record.split_off(5 + explicit_len);
        let seq = self.seq.to_be_bytes();
        let mut nonce = self.nonce();
        nonce[12 - explicit_len..].copy_from_slice(&record[5..]);
        if let Ok(explicit) = record[5..].try_into() {
            let fresh = self.explicit_nonces.insert(explicit);
            assert!(fresh, "the nonce {explicit:02x?} comes twice under one key");
        }
        let aad = [&seq[..], &header(record[0], body.len() - 16)].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(aad), &mut body);
        (
            record[0],
            opened.expect("the record authenticates").to_vec(),
        )
    }
}

impl std::fmt::Debug for DirectionalKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectionalKeys")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

fn header(content_type: u8, len: usize) -> [u8; 5] {
    let [high, low] = u16::try_from(len)
        .expect("a length of 16 bits")
        .to_be_bytes();
    [content_type, 3, 3, high, low]
}

fn expand(algorithm: &'static aead::Algorithm, key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(algorithm, key).expect("a key of the right length"))
}

/// HKDF-Expand-Label of RFC 8446 section 7.1, without a context.
fn expand_label(secret: &[u8], label: &str, len: usize) -> Vec<u8> {
    struct Len(usize);
    impl hkdf::KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    let hash = match secret.len() {
        32 => hkdf::HKDF_SHA256,
        _ => hkdf::HKDF_SHA384,
    };
    let label = format!("tls13 {label}");
    let info: [&[u8]; 4] = [
        &(len as u16).to_be_bytes(),
        &[label.len() as u8],
        label.as_bytes(),
        &[0],
    ];
    let mut out = vec![0; len];
    hkdf::Prk::new_less_safe(hash, secret)
        .expand(&info, Len(len))
        .and_then(|okm| okm.fill(&mut out))
        .expect("a short output");
    out
}
