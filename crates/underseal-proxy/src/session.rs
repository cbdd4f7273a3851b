//! What is known of a client's connection before it says anything.

use std::net::{IpAddr, SocketAddr};

use underseal_policy::{Connection, Peer, Token, Transport};

use super::forwarded::{FIELD, Forwarded, spelled};
use super::principal::Principal;

/// A connection of a client.
pub struct Session {
    /// The client, as the PROXY protocol says if that is required.
    pub(crate) remote: SocketAddr,
    /// Where it connected to, as the PROXY protocol says if that is required.
    pub(crate) local: SocketAddr,
    /// Whether those are the client's: who speaks for it may not tell them.
    pub(crate) is_told: bool,
    /// What carries it.
    pub(crate) transport: Transport,
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
    /// A connection of which nothing else is known yet.
    pub(crate) fn new(remote: SocketAddr, local: SocketAddr, transport: Transport) -> Self {
        Self {
            remote,
            local,
            is_told: true,
            transport,
            tls: None,
            suite: None,
            sni: None,
            source: Principal::default(),
            destination: Principal::default(),
            logged: Box::default(),
            forwarded: Box::default(),
        }
    }

    /// Where the client connected to; `None` if who speaks for it does not tell.
    pub fn local(&self) -> Option<SocketAddr> {
        self.is_told.then_some(self.local)
    }

    /// The server name that it asked for in its handshake.
    pub fn server_name(&self) -> Option<&str> {
        self.sni.as_deref()
    }

    /// The connection as policies see it.
    pub(crate) fn connection(&self) -> Connection<'_> {
        let told = |address: SocketAddr| self.is_told.then(|| address.ip().to_canonical());
        Connection {
            source: Peer {
                principal: self.source.fact(),
                ip: told(self.remote),
                labels: None,
            },
            destination: Peer {
                principal: self.destination.fact(),
                // A socket for datagrams of all addresses does not say which of them one was sent to.
                ip: told(self.local).filter(|ip| !ip.is_unspecified()),
                labels: None,
            },
            // No port is known to policies as zero.
            port: self.local().map_or(0, |local| local.port()),
            transport: self.transport,
            sni: self.sni.as_deref().into(),
            // What proxies in front tell, each request tells anew.
            remote_ip: self.ip(),
            token: Token::Unknown,
        }
    }

    /// The client's address, if it is told.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.is_told.then(|| self.remote.ip().to_canonical())
    }

    /// What [`Session::forwarded`] holds.
    pub(crate) fn describe_forwarded(&self, told: Forwarded) -> Box<[(&'static str, Box<str>)]> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut fields: Vec<(_, Box<str>)> = match told {
            Forwarded::Off => Vec::new(),
            Forwarded::Set | Forwarded::Append => {
                vec![
                    (FIELD, spelled(self.ip())),
                    ("X-Forwarded-Proto", scheme.into()),
                ]
            }
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_a_socket_does_not_tell_is_not_known_to_policies() {
        let (remote, local) = (([192, 0, 2, 1], 5), ([0, 0, 0, 0], 5684));
        let mut session = Session::new(remote.into(), local.into(), Transport::Udp);
        assert_eq!(session.connection().destination.ip, None);
        session.local = ([192, 0, 2, 2], 5684).into();
        assert!(session.connection().destination.ip.is_some());
        assert_eq!(session.connection().port, 5684);
        session.is_told = false;
        assert_eq!(session.connection().source.ip, None);
        assert_eq!(session.connection().destination.ip, None);
        assert_eq!(session.connection().port, 0);
        let said = session.describe_forwarded(Forwarded::Set);
        assert_eq!(said[0], ("X-Forwarded-For", "unknown".into()));
    }
}
