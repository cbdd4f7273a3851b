//! The keys of an issuer: a JSON Web Key Set (RFC 7517), inlined or in a file.

use std::fs;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use underseal_policy::model::JwtRule;

/// Why keys cannot be used: the fault of whoever wrote them down. One line.
#[derive(Debug)]
pub(crate) struct Unusable(pub(crate) String);

/// Most keys that a token is tried with. Whoever has more names them (`kid`), and in tokens the one that signed.
pub(super) const MOST_TRIED: usize = 4;

/// How large a file of keys may be, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A public key, and what it may sign with: never more than it says itself, so that a token cannot
/// choose another way to be verified.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl Key {
    /// Whether it has the name that a token says.
    pub(super) fn is_named(&self, id: Option<&str>) -> bool {
        id.is_some() && self.id.as_deref() == id
    }

    /// Whether a token that says this of its key can be signed by this one.
    pub(super) fn may_be(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let is_named = match (id, &self.id) {
            (Some(id), Some(own)) => id == own,
            _ => true,
        };
        is_named && self.algorithms.contains(&algorithm)
    }
}

/// The file with the keys of `rule`, which `file` says.
pub(super) fn file(file: &str, rule: &JwtRule) -> Option<PathBuf> {
    let directory = Path::new(file).parent().unwrap_or(Path::new(""));
    rule.jwks_file.as_ref().map(|keys| directory.join(keys))
}

/// The keys of `rule`, which `file` says. Those that are for something else are passed over.
pub(super) fn of(file: &str, rule: &JwtRule) -> Result<Vec<Key>, Unusable> {
    let path = self::file(file, rule);
    let name = path.as_ref().map_or_else(
        || format!("{file}: jwks"),
        |path| path.display().to_string(),
    );
    let wrong = |why: &dyn std::fmt::Display| Unusable(format!("{name}: {why}"));
    let text = match (&path, &rule.jwks) {
        (Some(path), _) => read(path).map_err(|error| wrong(&error))?,
        (None, Some(text)) => text.clone(),
        (None, None) => return Err(wrong(&"there are no keys")),
    };
    let set: JwkSet = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    let keys: Vec<_> = set.keys.iter().filter_map(usable).collect();
    if keys.is_empty() {
        let why = "no key can verify tokens: those of RSA, EC with P-256 or P-384, and Ed25519 can";
        return Err(wrong(&why));
    }
    if unnamed(&keys) > MOST_TRIED {
        let why = format!("more than {MOST_TRIED} keys without `kid` could have signed a token");
        return Err(wrong(&why));
    }
    Ok(keys)
}

/// How many keys without a name have the same algorithm.
fn unnamed(keys: &[Key]) -> usize {
    let of = |algorithm: &Algorithm| {
        let is = |key: &&Key| key.id.is_none() && key.algorithms.contains(algorithm);
        keys.iter().filter(is).count()
    };
    let algorithms = keys.iter().flat_map(|key| &key.algorithms);
    algorithms.map(of).max().unwrap_or(0)
}

fn read(path: &Path) -> std::io::Result<String> {
    if fs::metadata(path)?.len() > MAX_FILE {
        return Err(std::io::Error::other("is larger than 1 MiB"));
    }
    fs::read_to_string(path)
}

fn usable(jwk: &Jwk) -> Option<Key> {
    let common = &jwk.common;
    let is_for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies = common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    // A symmetric key would let whoever verifies sign, and is nothing to be published.
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        _ => return None,
    };
    if let Some(algorithm) = common.key_algorithm {
        let own = Algorithm::try_from(algorithm).ok()?;
        algorithms.retain(|algorithm| *algorithm == own);
    }
    let is_usable = is_for_signatures && verifies && !algorithms.is_empty();
    let key = DecodingKey::from_jwk(jwk).ok().filter(|_| is_usable)?;
    Some(Key {
        id: common.key_id.clone(),
        algorithms,
        key,
    })
}
