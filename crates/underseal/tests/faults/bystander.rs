//! A healthy connection on the thread of the one that is attacked: the streams of a thread share
//! their buffers.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use underseal::{ServerConnection, blocking};
use underseal_testkit::record_peer::APPLICATION_DATA;
use underseal_testkit::{Certificates, Pipe, RecordPeer, Suite, pair};

pub(crate) struct Bystander {
    stream: blocking::TlsStream<Pipe, ServerConnection>,
    peer: RecordPeer<Pipe>,
}

impl Bystander {
    pub(crate) fn new(certificates: &Certificates, suite: Suite) -> Self {
        let (left, right) = pair(1 << 20);
        let client = certificates.client_config(suite);
        let peer = thread::spawn(move || RecordPeer::client(right, client));
        let acceptor = blocking::TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let stream = acceptor.accept(left).unwrap();
        let peer = peer.join().unwrap();
        let mut bystander = Self { stream, peer };
        bystander.is_untouched();
        bystander
    }

    /// Carries data both ways, more than a buffer holds.
    pub(crate) fn is_untouched(&mut self) {
        let sent: Vec<u8> = (0..400_000u32).map(|n| (n % 253) as u8).collect();
        for chunk in sent.chunks(10_000) {
            self.peer.send(APPLICATION_DATA, chunk);
        }
        let mut received = vec![0; sent.len()];
        self.stream.read_exact(&mut received).unwrap();
        assert!(received == sent, "another connection received other bytes");

        self.stream.write_all(&sent).unwrap();
        let mut received = Vec::new();
        while received.len() < sent.len() {
            match self.peer.receive() {
                Some((APPLICATION_DATA, data)) => received.extend(data),
                Some((content_type, _)) => assert_eq!(content_type, 22, "a ticket at most"),
                None => panic!("another connection ended"),
            }
        }
        assert!(received == sent, "another connection sent other bytes");
    }
}
