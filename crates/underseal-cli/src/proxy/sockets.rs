//! Where clients come in: connections, or datagrams.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use underseal_proxy::Worker;
#[cfg(feature = "dtls")]
use underseal_proxy::datagrams::start as pass_datagrams;
use underseal_server::control::Workers;
use underseal_server::worker::{self, Bounds, Make};
use underseal_server::{Error, listener};

use super::arguments::{Protocol, ProxyArgs};
use crate::exit::Failure;

/// One socket per worker.
pub(super) enum Sockets {
    /// And where plain HTTP comes in that is led to TLS, if it is.
    Tcp(Vec<TcpListener>, Option<(Vec<TcpListener>, SocketAddr)>),
    Udp(Vec<UdpSocket>),
}

impl Sockets {
    /// Binds them, and says where.
    ///
    /// # Errors
    /// If that is not possible; or if this build passes no datagrams.
    pub(super) fn bind(args: &ProxyArgs, count: usize) -> Result<(Self, SocketAddr), Failure> {
        let listen = &args.listen.address;
        match args.protocol {
            Protocol::Dtls if !cfg!(feature = "dtls") => Err(unsupported()),
            Protocol::Dtls => {
                let (sockets, address) = listener::bind_udp(listen, count)?;
                Ok((Self::Udp(sockets), address))
            }
            Protocol::Http | Protocol::Tcp => {
                let (listeners, address) = listener::bind(listen, count)?;
                let redirect = redirect(args, count)?;
                Ok((Self::Tcp(listeners, redirect), address))
            }
        }
    }

    /// Where plain HTTP is led to TLS.
    pub(super) fn redirected(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, Some((_, from))) => Some(*from),
            _ => None,
        }
    }

    /// Starts a worker for each.
    ///
    /// # Errors
    /// As [`worker::start`].
    pub(super) fn serve(self, bounds: &Bounds, make: impl Make<Worker>) -> Result<Workers, Error> {
        match self {
            Self::Tcp(listeners, redirect) => {
                let redirects = redirect.into_iter().flat_map(|(listeners, _)| listeners);
                worker::start(worker::Sockets::pair(listeners, redirects), bounds, make)
            }
            Self::Udp(sockets) => pass_datagrams(sockets, bounds, make),
        }
    }
}

/// The sockets whose clients are led to TLS.
///
/// # Errors
/// If there is no HTTP to be led to, and if they cannot be bound.
fn redirect(
    args: &ProxyArgs,
    count: usize,
) -> Result<Option<(Vec<TcpListener>, SocketAddr)>, Failure> {
    let Some(from) = &args.redirect_http else {
        return Ok(None);
    };
    if !args.listen.tls || args.protocol != Protocol::Http {
        let message = "there is no HTTP over TLS to lead plain HTTP to";
        let hint = "give `--redirect-http` with a TLS listener and `--protocol http`";
        return Err(Failure::new(crate::exit::Exit::Usage, message, hint));
    }
    let bound = listener::bind(from, count);
    let bound = bound.map_err(|error| Failure::of_listener("--redirect-http", error))?;
    Ok(Some(bound))
}

fn unsupported() -> Failure {
    let message = "this build has no DTLS".to_owned();
    let hint = "build it with the feature `dtls`, which needs OpenSSL's headers";
    Failure::new(crate::exit::Exit::Usage, message, hint)
}

/// [`Sockets::bind`] has refused them.
#[cfg(not(feature = "dtls"))]
fn pass_datagrams(
    _: Vec<UdpSocket>,
    bounds: &Bounds,
    make: impl Make<Worker>,
) -> Result<Workers, Error> {
    worker::start(Vec::new(), bounds, make)
}
