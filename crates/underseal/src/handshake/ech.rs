//! What became of ECH, which rustls' unbuffered connection does not tell.

use rustls::client::EchStatus;

use super::hello::HelloFacts;
use crate::exporter::RANDOM_LEN;

/// What the ClientHello alone tells: one with GREASE cannot be told from one that offers ECH.
#[cfg(feature = "early-data")]
pub(super) fn offered(hello: Option<HelloFacts>) -> EchStatus {
    match hello.is_some_and(|hello| hello.encrypted_client_hello) {
        true => EchStatus::Offered,
        false => EchStatus::NotOffered,
    }
}

/// What a complete handshake tells. One that the server refused ECH in does not become complete. One
/// that it accepted it in goes on with the inner hello, whose random is another than that of the
/// hello that was sent, and is the one that rustls tells its key log.
pub(super) fn status(
    hello: Option<HelloFacts>,
    logged_random: Option<[u8; RANDOM_LEN]>,
) -> EchStatus {
    let Some(hello) = hello.filter(|hello| hello.encrypted_client_hello) else {
        return EchStatus::NotOffered;
    };
    match logged_random {
        Some(inner) if inner != hello.random => EchStatus::Accepted,
        _ => EchStatus::Grease,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_random_in_the_key_log_means_that_ech_was_accepted() {
        let hello = |encrypted_client_hello| {
            Some(HelloFacts {
                random: [1; RANDOM_LEN],
                extended_master_secret: true,
                early_data: false,
                encrypted_client_hello,
            })
        };
        let (same, other) = (Some([1; RANDOM_LEN]), Some([2; RANDOM_LEN]));
        assert_eq!(status(hello(true), other), EchStatus::Accepted);
        assert_eq!(status(hello(true), same), EchStatus::Grease);
        assert_eq!(status(hello(true), None), EchStatus::Grease);
        assert_eq!(status(hello(false), same), EchStatus::NotOffered);
        assert_eq!(status(None, same), EchStatus::NotOffered);
    }
}
