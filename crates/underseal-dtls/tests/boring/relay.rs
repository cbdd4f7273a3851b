//! Somebody between a client and a server, who does not carry everything.

use std::net::UdpSocket;
use std::thread;

use crate::sockets;

/// A client's socket and a server's; the relay between them drops what either of the two says no to.
pub(crate) fn between(
    from_client: impl FnMut(&[u8]) -> bool + Send + 'static,
    from_server: impl FnMut(&[u8]) -> bool + Send + 'static,
) -> (UdpSocket, UdpSocket) {
    between_changing(passing(from_client), from_server)
}

fn passing(mut passes: impl FnMut(&[u8]) -> bool) -> impl FnMut(&[u8]) -> Option<Vec<u8>> {
    move |datagram| passes(datagram).then(|| datagram.to_vec())
}

/// As [`between`]; what the client sends becomes what `from_client` makes of it.
pub(crate) fn between_changing(
    from_client: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    from_server: impl FnMut(&[u8]) -> bool + Send + 'static,
) -> (UdpSocket, UdpSocket) {
    let (client, to_client) = sockets();
    let (server, to_server) = sockets();
    let clone = |socket: &UdpSocket| socket.try_clone().unwrap();
    carry(clone(&to_client), clone(&to_server), from_client);
    carry(to_server, to_client, passing(from_server));
    (client, server)
}

fn carry(
    from: UdpSocket,
    to: UdpSocket,
    mut change: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
) {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        // A side that is gone ends it, and so does the socket's read timeout.
        while let Ok(len) = from.recv(&mut buffer) {
            if let Some(datagram) = change(&buffer[..len])
                && to.send(&datagram).is_err()
            {
                return;
            }
        }
    });
}

/// Drops the first datagrams that begin with a record of the epoch with these last two bits.
pub(crate) fn drop_first(count: usize, epoch: u8) -> impl FnMut(&[u8]) -> bool + Send {
    let mut left = count;
    move |datagram| {
        let is_dropped = is_of(epoch, datagram) && left > 0;
        left -= usize::from(is_dropped);
        !is_dropped
    }
}

/// Joins the first datagram that begins with a record of that epoch with the one that follows.
pub(crate) fn join_first(epoch: u8) -> impl FnMut(&[u8]) -> Option<Vec<u8>> + Send {
    let (mut held, mut is_done) = (None::<Vec<u8>>, false);
    move |datagram| {
        if let Some(mut first) = held.take() {
            first.extend_from_slice(datagram);
            return Some(first);
        }
        if !is_done && is_of(epoch, datagram) {
            is_done = true;
            held = Some(datagram.to_vec());
            return None;
        }
        Some(datagram.to_vec())
    }
}

fn is_of(epoch: u8, datagram: &[u8]) -> bool {
    datagram[0] & 0xe3 == 0x20 | epoch
}
