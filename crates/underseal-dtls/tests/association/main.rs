//! What an association does with datagrams of every kind, over sockets of the loopback interface.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod alerts;
mod batches;
mod blocking;
mod dtls13;
mod end;
mod forged;
mod icmp;
mod programs;
mod several;
mod tasks;

use std::net::UdpSocket;

use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{Error, Parts};
use underseal_record::dtls::{EpochKeys, Opener, ReplayWindow, Sealer};
use underseal_record::{Algorithm, ContentType, ProtocolVersion, SeqNo, TrafficKeys};
use underseal_testkit::PATIENCE;

fn keys(side: u8) -> EpochKeys {
    let key = [side; 16];
    let (version, algorithm) = (ProtocolVersion::Tls12, Algorithm::Aes128Gcm);
    let keys = TrafficKeys::new(version, algorithm, &key, [9; 12], SeqNo(0)).unwrap();
    EpochKeys::new(keys, 1).unwrap()
}

/// The parts of one of two sides, 0 and 1.
fn parts(side: u8) -> Parts {
    Parts::new(keys(side), keys(1 - side), ReplayWindow::default())
}

/// Two sockets that only hear each other.
fn sockets() -> (UdpSocket, UdpSocket) {
    let [near, far] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (near, far)
}

/// A peer that seals what it likes.
struct Wire {
    socket: UdpSocket,
    sealer: Sealer,
    opener: Opener,
}

impl Wire {
    fn seal(&mut self, content_type: ContentType, body: &[u8]) -> Vec<u8> {
        let mut out = vec![0; body.len() + self.sealer.overhead()];
        self.sealer.seal(content_type, body, &mut out).unwrap();
        out
    }

    fn data(&mut self, text: &str) -> Vec<u8> {
        self.seal(ContentType::APPLICATION_DATA, text.as_bytes())
    }

    fn send(&self, datagram: &[u8]) {
        self.socket.send(datagram).unwrap();
    }

    /// The next record that the socket under test sends.
    fn receive(&mut self) -> (ContentType, Vec<u8>) {
        let mut datagram = vec![0; 1 << 16];
        let len = self.socket.recv(&mut datagram).unwrap();
        let opened = self.opener.open(&mut datagram[..len]).opened.unwrap();
        (opened.content_type, datagram[opened.plaintext].to_vec())
    }
}

/// A socket, and the wire on its other side.
fn socket_and_wire() -> (DtlsSocket, Wire) {
    let (near, far) = sockets();
    let wire = Wire {
        socket: far,
        sealer: Sealer::new(keys(1)),
        opener: Opener::new(keys(0), ReplayWindow::default()),
    };
    (DtlsSocket::from_parts(near, parts(0)).unwrap(), wire)
}

fn recv(socket: &DtlsSocket) -> Result<String, Error> {
    let mut buffer = [0; 2048];
    let len = socket.recv(&mut buffer)?;
    Ok(String::from_utf8(buffer[..len].to_vec()).unwrap())
}
