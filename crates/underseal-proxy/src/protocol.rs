//! What is spoken, and who has to prove who he is.

use rustls::SupportedProtocolVersion;

/// What clients and backends speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2; each request is judged.
    Http,
    /// Bytes; the connection is judged.
    Tcp,
}

/// Whether clients have to prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// With a certificate, or there is no connection.
    Required,
    /// A client without a certificate has no principal.
    Optional,
}

/// The oldest version of TLS that is spoken, with clients and with backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinTls {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

static NEWEST: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

impl MinTls {
    /// The versions that are spoken.
    pub(crate) fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => rustls::ALL_VERSIONS,
            Self::Tls13 => &NEWEST,
        }
    }
}

/// What becomes of a path with `;` in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathParameters {
    /// It is refused.
    Reject,
    /// It is judged and forwarded as it is.
    Keep,
}
