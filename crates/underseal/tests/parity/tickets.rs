//! Tickets that come after the handshake, as control records of an established stream.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use underseal::blocking;
use underseal::rustls::HandshakeKind;
use underseal::rustls::client::Resumption;

use crate::case::Case;
use crate::connect::{name, sockets};

/// The client's stream takes the ticket while it reads data; the server's sends on behind it.
pub(crate) fn a_ticket_after_the_handshake_resumes_the_next_connection(case: Case) {
    let mut client = (*case.configs().client).clone();
    client.resumption = Resumption::in_memory_sessions(4);
    let client = Arc::new(client);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (ours, theirs) = sockets();
        let server = thread::spawn(move || {
            let mut stream = case.accept(theirs);
            stream.write_all(b"behind the ticket").unwrap();
            stream.shutdown().unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            stream.get_ref().1.handshake_kind()
        });
        let connector = blocking::TlsConnector::from(Arc::clone(&client));
        let connector = connector.offload(case.offloads());
        let mut stream = connector.connect(name(), ours).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"behind the ticket");
        assert_eq!(stream.engines(), case.engines);
        stream.shutdown().unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
        assert_eq!(server.join().unwrap(), Some(kind));
    }
}
