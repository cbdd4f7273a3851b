//! The sockets that connections come in by: one per worker, all on the same address.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};

use crate::Error;

/// Connections the kernel completes ahead of `accept`; it cuts this down to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// How many workers there are: as many as asked for, or one per CPU.
pub fn count(asked: Option<u16>) -> usize {
    asked.map_or_else(
        || thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    )
}

/// Binds `count` listeners to `listen`. The kernel spreads connections over them, so a worker
/// never has to wake another one.
///
/// # Errors
/// [`Error::Address`] and [`Error::Listen`]: the address is malformed, unknown, in use or not
/// permitted.
pub fn bind(listen: &str, count: usize) -> Result<(Vec<TcpListener>, SocketAddr), Error> {
    let (sockets, address) = bind_all(listen, count, TCP)?;
    let listeners = sockets.into_iter().map(TcpListener::from).collect();
    Ok((listeners, address))
}

/// Binds `count` UDP sockets to `listen`. The kernel spreads clients over them by their addresses.
///
/// # Errors
/// As [`bind`].
pub fn bind_udp(listen: &str, count: usize) -> Result<(Vec<UdpSocket>, SocketAddr), Error> {
    let (sockets, address) = bind_all(listen, count, UDP)?;
    let sockets = sockets.into_iter().map(UdpSocket::from).collect();
    Ok((sockets, address))
}

/// Binds sockets of one kind.
fn bind_all(listen: &str, count: usize, kind: Kind) -> Result<(Vec<Socket>, SocketAddr), Error> {
    let wanted = resolve(listen)?;
    let refused = |error| Error::Listen {
        address: wanted,
        error,
    };
    // The first socket binds without SO_REUSEPORT: with it, the address of another server of the
    // same user would be shared in silence instead of reported as in use.
    let first = (kind.make)(wanted).map_err(refused)?;
    first.bind(&wanted.into()).map_err(refused)?;
    first.set_reuse_port(true).map_err(refused)?;
    let address = bound_to(&first).map_err(refused)?;
    (kind.listen)(&first).map_err(refused)?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = (kind.make)(address).map_err(refused)?;
        next.set_reuse_port(true).map_err(refused)?;
        next.bind(&address.into()).map_err(refused)?;
        (kind.listen)(&next).map_err(refused)?;
        sockets.push(next);
    }
    Ok((sockets, address))
}

fn resolve(listen: &str) -> Result<SocketAddr, Error> {
    let refused = |why| Error::Address {
        address: listen.to_owned(),
        why,
    };
    let mut addresses = listen
        .to_socket_addrs()
        .map_err(|error| refused(error.to_string()))?;
    addresses
        .next()
        .ok_or_else(|| refused("the name has no address".to_owned()))
}

/// How a socket of one kind is made, and what it does once it is bound.
#[derive(Clone, Copy)]
struct Kind {
    make: fn(SocketAddr) -> io::Result<Socket>,
    listen: fn(&Socket) -> io::Result<()>,
}

const TCP: Kind = Kind {
    make: tcp,
    listen: |socket| socket.listen(BACKLOG),
};

const UDP: Kind = Kind {
    make: udp,
    listen: |_| Ok(()),
};

/// Without SO_REUSEADDR: to UDP it means that an address may be taken from whoever has it.
fn udp(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Options set here are inherited by accepted sockets, which saves a system call for each.
fn tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bound_to(socket: &Socket) -> io::Result<SocketAddr> {
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("not an IP address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listeners_share_one_free_port() {
        let (listeners, address) = bind("127.0.0.1:0", 3).expect("bind");
        assert_eq!(listeners.len(), 3);
        assert_ne!(address.port(), 0);
        for listener in &listeners {
            assert_eq!(listener.local_addr().expect("address"), address);
        }
    }

    #[test]
    fn a_port_in_use_is_reported_even_if_it_could_be_shared() {
        let (_held, address) = bind("127.0.0.1:0", 2).expect("bind");
        let error = bind(&address.to_string(), 2).expect_err("in use");
        let expected = format!("cannot listen on {address}: Address already in use");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }

    #[test]
    fn udp_sockets_share_one_port_that_nobody_else_has() {
        let (sockets, address) = bind_udp("127.0.0.1:0", 3).expect("bind");
        for socket in &sockets {
            assert_eq!(socket.local_addr().expect("address"), address);
        }
        bind_udp(&address.to_string(), 2).expect_err("in use");
    }

    #[test]
    fn accepted_sockets_inherit_nodelay() {
        let (listeners, address) = bind("127.0.0.1:0", 1).expect("bind");
        listeners[0].set_nonblocking(false).expect("blocking");
        let _client = std::net::TcpStream::connect(address).expect("connect");
        let (accepted, _) = listeners[0].accept().expect("accept");
        assert!(accepted.nodelay().expect("option"));
    }

    #[test]
    fn addresses_that_make_no_sense_are_refused() {
        for bad in ["", "8443", "127.0.0.1", "127.0.0.1:port", "[::1:1"] {
            assert!(bind(bad, 1).is_err(), "{bad}");
        }
    }
}
