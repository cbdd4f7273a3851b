use core::fmt;
use core::str::FromStr;
use std::sync::OnceLock;

use crate::Algorithm;

/// The library that computes the AEAD, of those that this build has.
///
/// One process uses one backend per algorithm: [`Backend::preferred`] chooses it by what the CPU
/// can do, [`Backend::set_preferred`] overrides the choice, and [`crate::Sealer::with_backend`]
/// takes one for a single key. AES-128-CCM (the feature `ccm`) is of neither: the crate `ccm` computes
/// it, whichever is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// [ring](https://docs.rs/ring): fastest on x86-64 with VAES but without AVX-512.
    #[cfg(feature = "ring")]
    Ring,
    /// [aws-lc-rs](https://docs.rs/aws-lc-rs): fastest with AVX-512.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
    /// A build without either: it seals and opens nothing.
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    #[doc(hidden)]
    Absent,
}

static OVERRIDE: OnceLock<Backend> = OnceLock::new();

/// Why there is no backend.
pub(crate) const NONE: &str = "underseal-record was built without `ring` and without `aws-lc-rs`";

impl Backend {
    /// How many backends this build has.
    pub const COUNT: usize = cfg!(feature = "ring") as usize + cfg!(feature = "aws-lc-rs") as usize;

    /// Every backend of this build, for loops in tests and probes.
    pub const ALL: [Self; Self::COUNT] = [
        #[cfg(feature = "ring")]
        Self::Ring,
        #[cfg(feature = "aws-lc-rs")]
        Self::AwsLcRs,
    ];

    /// The backend that new keys of this process use for `algorithm`.
    ///
    /// # Panics
    ///
    /// If this build has none, as [`fastest`](Self::fastest) does.
    pub fn preferred(algorithm: Algorithm) -> Self {
        match OVERRIDE.get() {
            Some(chosen) => *chosen,
            None => Self::fastest(algorithm),
        }
    }

    /// The backend measured to be fastest for `algorithm` on a CPU like this one.
    ///
    /// With AVX-512 and VAES aws-lc-rs has AES-GCM code that ring lacks (1.2 times as fast at
    /// 16 KiB on Zen 4, though 1.2 times slower at 1 KiB); without AVX-512 ring's VAES code has no
    /// counterpart in aws-lc-rs (1.8 times as fast on Zen 3). For ChaCha20-Poly1305 they are within
    /// two percent of each other.
    ///
    /// # Panics
    ///
    /// If this build has neither the feature `ring` nor `aws-lc-rs`: [`Self::ALL`] is empty then.
    pub fn fastest(algorithm: Algorithm) -> Self {
        fastest(algorithm).expect(NONE)
    }

    /// Makes every later [`preferred`](Self::preferred) answer `self`, whatever the CPU.
    ///
    /// # Errors
    ///
    /// The backend already set, if there is one: a process decides once.
    pub fn set_preferred(self) -> Result<(), Self> {
        match OVERRIDE.get_or_init(|| self) {
            set if *set == self => Ok(()),
            set => Err(*set),
        }
    }

    /// The name used by options and messages: `ring` or `aws-lc-rs`.
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "ring")]
            Self::Ring => "ring",
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => "aws-lc-rs",
            #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
            Self::Absent => "none",
        }
    }
}

#[cfg(all(feature = "ring", feature = "aws-lc-rs"))]
fn fastest(algorithm: Algorithm) -> Option<Backend> {
    static WIDE_VECTORS: OnceLock<bool> = OnceLock::new();
    Some(match algorithm {
        Algorithm::ChaCha20Poly1305 => Backend::Ring,
        _ if *WIDE_VECTORS.get_or_init(has_wide_vector_aes) => Backend::AwsLcRs,
        _ => Backend::Ring,
    })
}

/// There is no choice.
#[cfg(not(all(feature = "ring", feature = "aws-lc-rs")))]
fn fastest(_: Algorithm) -> Option<Backend> {
    Backend::ALL.first().copied()
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, UnknownBackend> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.name() == name)
            .ok_or(UnknownBackend)
    }
}

/// A backend was named that does not exist, or that this build does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown AEAD backend, expected `ring` or `aws-lc-rs`, of those that this build has")]
pub struct UnknownBackend;

#[cfg(all(feature = "ring", feature = "aws-lc-rs", target_arch = "x86_64"))]
fn has_wide_vector_aes() -> bool {
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("vaes")
        && std::is_x86_feature_detected!("vpclmulqdq")
}

#[cfg(all(feature = "ring", feature = "aws-lc-rs", not(target_arch = "x86_64")))]
fn has_wide_vector_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for backend in Backend::ALL {
            assert_eq!(backend.name().parse(), Ok(backend));
        }
        assert_eq!("openssl".parse::<Backend>(), Err(UnknownBackend));
    }
}
