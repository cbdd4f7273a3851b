//! The tables of tests, and what many of them do over a connection.

use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::api::{Connection, Facts};

/// Makes the tests of a case: one for each API and each suite in the list.
macro_rules! cases {
    ($case:ident: all) => {
        $crate::case::cases!($case: tls13, tls12);
    };
    ($case:ident: $($version:ident),+) => {
        mod $case {
            $($crate::case::cases!(@$version $case);)+
        }
    };
    (@tls13 $case:ident) => {
        $crate::case::cases!(@each $case
            blocking_tls13_aes128 Blocking Tls13Aes128, tokio_tls13_aes128 Tokio Tls13Aes128,
            blocking_tls13_aes256 Blocking Tls13Aes256, tokio_tls13_aes256 Tokio Tls13Aes256,
            blocking_tls13_chacha Blocking Tls13ChaCha20, tokio_tls13_chacha Tokio Tls13ChaCha20);
    };
    (@tls12 $case:ident) => {
        $crate::case::cases!(@each $case
            blocking_tls12_aes128 Blocking Tls12Aes128, tokio_tls12_aes128 Tokio Tls12Aes128,
            blocking_tls12_aes256 Blocking Tls12Aes256, tokio_tls12_aes256 Tokio Tls12Aes256,
            blocking_tls12_chacha Blocking Tls12ChaCha20, tokio_tls12_chacha Tokio Tls12ChaCha20);
    };
    (@each $case:ident $($test:ident $api:ident $suite:ident),+) => {
        $(#[test]
        fn $test() {
            let case = $crate::case::Case::new(::underseal_testkit::Suite::$suite);
            super::$case($crate::api::Api::$api, &case);
        })+
    };
}
pub(crate) use cases;

/// What a case is run with: a suite, and certificates made for it.
pub(crate) struct Case {
    pub(crate) suite: Suite,
    pub(crate) certificates: Certificates,
}

impl Case {
    pub(crate) fn new(suite: Suite) -> Self {
        Self {
            suite,
            certificates: Certificates::new(KeyType::Ecdsa),
        }
    }

    /// Our server's configuration.
    pub(crate) fn server(&self) -> ServerConfig {
        self.certificates.server_config(self.suite)
    }

    /// Our client's configuration.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::new(self.certificates.client_config(self.suite))
    }

    /// The certificate the client has, ours or a peer.
    pub(crate) fn client_certificate(&self) -> CertificateDer<'static> {
        self.certificates.client_identity().0.remove(0)
    }

    /// The name OpenSSL has for the suite that is to be negotiated.
    pub(crate) fn openssl_suite(&self) -> String {
        self.suite.openssl_name(self.certificates.key_type())
    }

    /// Checks that the version and suite of the case were negotiated: that the peer did not lead us
    /// to another one.
    pub(crate) fn check(&self, facts: &Facts) {
        assert_eq!(facts.version, Some(self.suite.version()));
        let suite = self.suite.negotiated_with(self.certificates.key_type());
        assert_eq!(facts.suite, Some(suite));
    }
}

/// More than a mebibyte that no record boundary divides; not the same at any two places.
pub(crate) fn payload() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..(1 << 20) + 12_345).map(|_| next()).collect()
}

/// What a server saw of a connection.
pub(crate) struct Echoed {
    pub(crate) facts: Facts,
    pub(crate) bytes: usize,
    /// How the peer ended: `Ok` after close_notify.
    pub(crate) end: io::Result<()>,
}

/// Returns to the peer whatever it sends until it ends, then says goodbye.
pub(crate) fn echo(connection: &mut dyn Connection) -> Echoed {
    let mut bytes = 0;
    let mut buffer = vec![0; 40_000];
    let end = loop {
        match connection.read(&mut buffer) {
            Ok(0) => break connection.close(),
            Ok(read) => {
                bytes += read;
                let written = connection.write_all(&buffer[..read]);
                written
                    .and_then(|()| connection.flush())
                    .expect("the peer reads on");
            }
            Err(error) => break Err(error),
        }
    };
    Echoed {
        facts: connection.facts(),
        bytes,
        end,
    }
}

/// Sends `payload` in pieces and reads each back from a peer that echoes.
pub(crate) fn exchange(connection: &mut dyn Connection, payload: &[u8]) {
    for piece in payload.chunks(65_537) {
        connection.write_all(piece).expect("the peer reads");
        connection.flush().expect("the peer reads");
        let mut back = vec![0; piece.len()];
        connection.read_exact(&mut back).expect("the peer answers");
        assert!(back == piece, "the echo differs");
    }
}

/// Sends `line` and reads `answer` back.
pub(crate) fn ask(connection: &mut dyn Connection, line: &str, answer: &str) {
    connection
        .write_all(line.as_bytes())
        .expect("the peer reads");
    connection.flush().expect("the peer reads");
    expect(connection, answer);
}

/// Reads `answer`.
pub(crate) fn expect(connection: &mut dyn Connection, answer: &str) {
    let mut back = vec![0; answer.len()];
    connection.read_exact(&mut back).expect("the peer answers");
    assert_eq!(String::from_utf8_lossy(&back), answer);
}

/// Reads to the end of what the peer sends: the bytes, and how it ended.
pub(crate) fn read_to_end(connection: &mut dyn Connection) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 30_000];
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => return (bytes, Ok(())),
            Ok(read) => bytes.extend(&buffer[..read]),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

/// Checks that `end` is the end of a stream that was cut off.
pub(crate) fn is_truncated(end: io::Result<()>) {
    let error = end.expect_err("a stream without close_notify is cut off");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
}

/// Checks that `error` is the peer's alert of that name, in the RFC's spelling.
pub(crate) fn is_alert(error: &io::Error, alert: &str) {
    // rustls spells it in its own way while it makes the handshake.
    let words = |text: &str| text.replace('_', "").to_lowercase();
    assert!(words(&error.to_string()).contains(&words(alert)), "{error}");
}
