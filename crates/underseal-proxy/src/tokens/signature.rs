//! Signatures of tokens (RFC 7518 section 3, RFC 8037), verified by ring.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| Signature::of(*algorithm, key),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has tokens verified here; once is enough.
pub(super) fn install() {
    // Nobody else in this program verifies tokens: what is installed already is this.
    let _ = RING.install_default();
}

/// A key, and how it signs.
struct Signature {
    algorithm: Algorithm,
    how: How,
    key: DecodingKey,
}

enum How {
    Point(&'static dyn VerificationAlgorithm),
    Rsa(&'static RsaParameters),
}

impl Signature {
    fn of(algorithm: Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
        if algorithm.family() != key.family() {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        let how = match algorithm {
            Algorithm::ES256 => How::Point(&signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => How::Point(&signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => How::Point(&signature::ED25519),
            Algorithm::RS256 => How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => How::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => How::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => How::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
        };
        Ok(Box::new(Self {
            algorithm,
            how,
            key: key.clone(),
        }))
    }
}

impl Verifier<Vec<u8>> for Signature {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match (&self.how, self.key.kind()) {
            (How::Point(how), DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(*how, key).verify(message, signature)
            }
            (How::Rsa(how), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(how, message, signature)
            }
            _ => Err(ring::error::Unspecified),
        };
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Signature {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
