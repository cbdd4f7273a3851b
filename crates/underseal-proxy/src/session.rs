//! What is known of a client's connection before it says anything.

use std::fmt::Write as _;
use std::net::SocketAddr;

use underseal_policy::{Connection, Peer, Token};

/// A connection of a client.
pub(crate) struct Session {
    /// The client, as the PROXY protocol says if that is required.
    pub(crate) remote: SocketAddr,
    /// Where it connected to, as the PROXY protocol says if that is required.
    pub(crate) local: SocketAddr,
    /// `None` without TLS.
    pub(crate) tls: Option<&'static str>,
    pub(crate) suite: Option<&'static str>,
    pub(crate) sni: Option<Box<str>>,
    /// The SPIFFE ID that the client's certificate proved; for egress, our own, because it is the
    /// workload behind us that opened the connection.
    pub(crate) source: Option<Box<str>>,
    /// The SPIFFE ID of our own certificate, for ingress.
    pub(crate) destination: Option<Box<str>>,
    /// The part of each log line that says all this.
    pub(crate) logged: Box<[u8]>,
    /// The fields of each request of HTTP/1.1 that say whose it is and how it came, which only we
    /// may say.
    pub(crate) forwarded: Box<[u8]>,
}

impl Session {
    /// The connection as policies see it.
    pub(crate) fn connection(&self) -> Connection<'_> {
        Connection {
            source: Peer {
                principal: self.source.as_deref().into(),
                ip: Some(self.remote.ip().to_canonical()),
                labels: None,
            },
            destination: Peer {
                principal: self.destination.as_deref().into(),
                ip: Some(self.local.ip().to_canonical()),
                labels: None,
            },
            port: self.local.port(),
            sni: self.sni.as_deref().into(),
            token: Token::Unknown,
        }
    }

    /// The fields of a request that [`Session::forwarded`] holds.
    pub(crate) fn describe_forwarded(&self) -> Box<[u8]> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let client = self.remote.ip().to_canonical();
        let mut fields = format!("X-Forwarded-For: {client}\r\nX-Forwarded-Proto: {scheme}\r\n");
        if let Some(principal) = self.proven() {
            // Writing to a String cannot fail.
            let _ = write!(fields, "X-Underseal-Principal: {principal}\r\n");
        }
        fields.into_bytes().into()
    }

    /// The principal that the client proved.
    pub(crate) fn proven(&self) -> Option<&str> {
        // Without TLS nobody proved anything: what is there is our own.
        self.tls.and(self.source.as_deref())
    }
}
