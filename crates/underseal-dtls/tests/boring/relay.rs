//! Somebody between a client and a server, who does not carry everything.

use std::net::UdpSocket;
use std::thread;

use crate::sockets;

/// A client's socket and a server's; the relay between them drops what either of the two says no to.
pub(crate) fn between(
    from_client: impl FnMut(&[u8]) -> bool + Send + 'static,
    from_server: impl FnMut(&[u8]) -> bool + Send + 'static,
) -> (UdpSocket, UdpSocket) {
    let (client, to_client) = sockets();
    let (server, to_server) = sockets();
    let clone = |socket: &UdpSocket| socket.try_clone().unwrap();
    carry(clone(&to_client), clone(&to_server), from_client);
    carry(to_server, to_client, from_server);
    (client, server)
}

fn carry(from: UdpSocket, to: UdpSocket, mut passes: impl FnMut(&[u8]) -> bool + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        // A side that is gone ends it, and so does the socket's read timeout.
        while let Ok(len) = from.recv(&mut buffer) {
            if passes(&buffer[..len]) && to.send(&buffer[..len]).is_err() {
                return;
            }
        }
    });
}

/// Drops the first datagrams that begin with a record of the epoch with these last two bits.
pub(crate) fn drop_first(count: usize, epoch: u8) -> impl FnMut(&[u8]) -> bool + Send {
    let mut left = count;
    move |datagram| {
        let is_it = datagram[0] & 0xe3 == 0x20 | epoch;
        let is_dropped = is_it && left > 0;
        left -= usize::from(is_dropped);
        !is_dropped
    }
}
