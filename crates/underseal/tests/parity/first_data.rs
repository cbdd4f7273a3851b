//! Data that comes with the last flight of the handshake, and was received with it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;

use underseal::blocking::{TlsConnector, TlsStream};
use underseal_testkit::RecordPeer;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{name, pattern, sockets};
use crate::endings::CLOSE_NOTIFY;

/// A socket that sends nothing before its other end has to say something, or it is told to.
struct Held {
    socket: TcpStream,
    bytes: Vec<u8>,
}

impl Held {
    fn release(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        self.socket.write_all(&bytes)
    }
}

impl Read for Held {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.release()?;
        self.socket.read(buffer)
    }
}

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The last flight is the client's under TLS 1.3 and the server's under TLS 1.2.
pub(crate) fn data_behind_the_last_flight_is_delivered_first(case: Case) {
    let (ours, theirs) = sockets();
    let configs = case.configs();
    let peer = thread::spawn(move || {
        let held = Held {
            socket: theirs,
            bytes: Vec::new(),
        };
        let mut peer = if case.suite.is_tls13() {
            RecordPeer::client(held, (*configs.client).clone())
        } else {
            RecordPeer::server(held, (*configs.server).clone())
        };
        for chunk in pattern(40_000).chunks(15_000) {
            peer.send(APPLICATION_DATA, chunk);
        }
        peer.io().release().unwrap();
        peer
    });
    if case.suite.is_tls13() {
        let stream = case.acceptor().accept(ours).unwrap();
        reads_it_all(case, stream, peer.join().unwrap());
    } else {
        let connector = TlsConnector::from(case.configs().client).offload(case.offloads());
        let stream = connector.connect(name(), ours).unwrap();
        reads_it_all(case, stream, peer.join().unwrap());
    }
}

/// What came early, and what comes when the engine has changed.
fn reads_it_all<Session>(
    case: Case,
    mut stream: TlsStream<TcpStream, Session>,
    mut peer: RecordPeer<Held>,
) {
    assert_eq!(stream.engines().tx, case.engines.tx);
    let mut received = vec![0; 40_000];
    for piece in received.chunks_mut(7_000) {
        stream.read_exact(piece).unwrap();
    }
    assert!(received == pattern(40_000));
    peer.send(APPLICATION_DATA, b"later");
    peer.send(ALERT, &CLOSE_NOTIFY);
    peer.io().release().unwrap();
    let mut later = Vec::new();
    stream.read_to_end(&mut later).unwrap();
    assert_eq!(later, b"later");
    assert_eq!(stream.engines(), case.engines);
    stream.write_all(b"answer").unwrap();
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"answer".to_vec(), true));
}
