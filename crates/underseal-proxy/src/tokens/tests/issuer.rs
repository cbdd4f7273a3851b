//! Somebody who issues tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://issuer.test";

/// A second that has not come yet.
fn soon() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock").as_secs() + 600
}

/// Base64url without padding (RFC 7515 section 2).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for letter in 0..=chunk.len() {
            let index = bits >> (18 - 6 * letter) & 63;
            text.push(char::from(LETTERS[index as usize]));
        }
    }
    text
}

/// An issuer with a key of P-256.
pub(crate) struct Issuer {
    pub(crate) key: EcdsaKeyPair,
    id: String,
}

impl Issuer {
    pub(crate) fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random);
        Self {
            key: key.expect("a key"),
            id: id.to_owned(),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id,
            "x": base64(&point[1..33]), "y": base64(&point[33..]),
        })
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, |message| {
            let signature = self.key.sign(&SystemRandom::new(), message);
            signature.expect("a signature").as_ref().to_vec()
        })
    }

    /// A token of this issuer that is as it should be, with these claims beside.
    pub(crate) fn token(&self, more: &Value) -> String {
        self.sign(&json!({ "alg": "ES256", "kid": self.id }), &claims(more))
    }
}

pub(crate) fn claims(more: &Value) -> Value {
    let mut claims = json!({ "iss": ISSUER, "sub": "somebody", "aud": "orders", "exp": soon() });
    for (name, value) in more.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    claims
}

pub(crate) fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let parts = [header, claims].map(|part| base64(part.to_string().as_bytes()));
    let message = parts.join(".");
    let signature = base64(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}
