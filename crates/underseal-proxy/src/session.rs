//! What is known of a client's connection before it says anything.

use std::net::SocketAddr;

use underseal_policy::{Connection, Peer, Token};

use super::principal::Principal;

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
    pub(crate) source: Principal,
    /// The SPIFFE ID of our own certificate, for ingress.
    pub(crate) destination: Principal,
    /// The part of each log line that says all this.
    pub(crate) logged: Box<[u8]>,
    /// The fields of each request that say whose it is and how it came, which only we may say.
    pub(crate) forwarded: Box<[(&'static str, Box<str>)]>,
}

impl Session {
    /// The connection as policies see it.
    pub(crate) fn connection(&self) -> Connection<'_> {
        Connection {
            source: Peer {
                principal: self.source.fact(),
                ip: Some(self.remote.ip().to_canonical()),
                labels: None,
            },
            destination: Peer {
                principal: self.destination.fact(),
                ip: Some(self.local.ip().to_canonical()),
                labels: None,
            },
            port: self.local.port(),
            sni: self.sni.as_deref().into(),
            token: Token::Unknown,
        }
    }

    /// What [`Session::forwarded`] holds.
    pub(crate) fn describe_forwarded(&self) -> Box<[(&'static str, Box<str>)]> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let client = self.remote.ip().to_canonical().to_string();
        let mut fields: Vec<(_, Box<str>)> = vec![
            ("X-Forwarded-For", client.into()),
            ("X-Forwarded-Proto", scheme.into()),
        ];
        if let Some(principal) = self.proven() {
            fields.push(("X-Underseal-Principal", principal.into()));
        }
        fields.into()
    }

    /// The principal that the client proved.
    pub(crate) fn proven(&self) -> Option<&str> {
        // Without TLS nobody proved anything: what is there is our own.
        self.tls.and(self.source.fact().known())
    }
}
