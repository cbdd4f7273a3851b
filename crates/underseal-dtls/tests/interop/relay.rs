//! Somebody between a client and a server, who keeps what he carries.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::sockets;

/// Carries datagrams between two sockets, until they are silent for long.
pub(crate) struct Relay {
    to_client: UdpSocket,
    to_server: UdpSocket,
    carried: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Relay {
    /// A client's socket, a server's, and the relay between them; it drops what the server sends and
    /// `passes` says no to.
    pub(crate) fn between(
        mut passes: impl FnMut(&[u8]) -> bool + Send + 'static,
    ) -> (UdpSocket, UdpSocket, Self) {
        let (client, to_client) = sockets();
        let (server, to_server) = sockets();
        let carried = Arc::new(Mutex::new(Vec::new()));
        let (kept, clone) = (carried.clone(), |socket: &UdpSocket| {
            socket.try_clone().unwrap()
        });
        let (from, to) = (clone(&to_client), clone(&to_server));
        carry(from, to, move |datagram| {
            kept.lock().unwrap().push(datagram.to_vec());
            true
        });
        carry(clone(&to_server), clone(&to_client), move |datagram| {
            passes(datagram)
        });
        let relay = Self {
            to_client,
            to_server,
            carried,
        };
        (client, server, relay)
    }

    /// Sends the server once more what the client has sent.
    pub(crate) fn repeat_to_server(&self) {
        for datagram in self.carried.lock().unwrap().iter() {
            self.to_server.send(datagram).unwrap();
        }
    }

    pub(crate) fn send_to_client(&self, datagram: &[u8]) {
        self.to_client.send(datagram).unwrap();
    }

    pub(crate) fn send_to_server(&self, datagram: &[u8]) {
        self.to_server.send(datagram).unwrap();
    }
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
