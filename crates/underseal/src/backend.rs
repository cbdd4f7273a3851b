//! Which AEAD library seals and opens, and how to override the choice.

use std::sync::Once;

use underseal_record::{Algorithm, Backend};

/// The environment variable that overrides the choice for the whole process: `ring` or
/// `aws-lc-rs`.
pub const BACKEND_VARIABLE: &str = "UNDERSEAL_AEAD";

/// The AEAD library that new connections of this process use for `algorithm`: the fastest on this
/// CPU, unless [`BACKEND_VARIABLE`] or [`Backend::set_preferred`] says otherwise.
pub fn aead_backend(algorithm: Algorithm) -> Backend {
    apply_environment();
    Backend::preferred(algorithm)
}

/// Reads [`BACKEND_VARIABLE`], once per process.
pub(crate) fn apply_environment() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Ok(name) = std::env::var(BACKEND_VARIABLE) else {
            return;
        };
        match name.parse::<Backend>() {
            Ok(backend) => {
                if let Err(set) = backend.set_preferred() {
                    tracing::warn!("{BACKEND_VARIABLE}={name} ignored, `{set}` is already set");
                }
            }
            Err(error) => tracing::warn!("{BACKEND_VARIABLE}={name} ignored: {error}"),
        }
    });
}
