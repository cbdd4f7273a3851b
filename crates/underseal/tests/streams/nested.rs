//! Hooks of an application's that make a handshake of their own, on the thread that drives another.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use underseal::blocking::{TlsAcceptor, TlsConnector};
use underseal::rustls::server::ProducesTickets;
use underseal::rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned,
};
use underseal_testkit::{Certificates, KeyType, Suite, pair};

use crate::pairs::name;

const LABEL: &[u8] = b"EXPERIMENTAL underseal";

/// Keying material, of this side and of its peer.
type Exported = [[u8; 32]; 2];

/// Asks a key server over TLS before it seals a ticket.
#[derive(Debug)]
struct AsksFirst {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    exported: Arc<Mutex<Vec<Exported>>>,
}

impl ProducesTickets for AsksFirst {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        3600
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        let (ours, theirs) = pair(1 << 16);
        let server = Arc::clone(&self.server);
        let peer = thread::spawn(move || {
            let connection = ServerConnection::new(server).unwrap();
            let mut stream = StreamOwned::new(connection, theirs);
            stream.read_exact(&mut [0; 3]).unwrap();
            stream
                .conn
                .export_keying_material([0; 32], LABEL, None)
                .unwrap()
        });
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let mut stream = connector.connect(name(), ours).unwrap();
        stream.write_all(b"key").unwrap();
        let exported = stream.export_keying_material([0; 32], LABEL, None).unwrap();
        let both = [exported, peer.join().unwrap()];
        self.exported.lock().unwrap().push(both);
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

#[test]
fn a_handshake_within_another_takes_nothing_of_it() {
    for inner in Suite::ALL {
        let certificates = Certificates::new(KeyType::Ecdsa);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut server = certificates.server_config(Suite::Tls13Aes128);
        server.ticketer = Arc::new(AsksFirst {
            client: Arc::new(certificates.client_config(inner)),
            server: Arc::new(certificates.server_config(inner)),
            exported: Arc::clone(&asked),
        });
        let client = Arc::new(certificates.client_config(Suite::Tls13Aes128));
        let (ours, theirs) = pair(1 << 16);
        let peer = thread::spawn(move || {
            let connection = ClientConnection::new(client, name()).unwrap();
            let mut stream = StreamOwned::new(connection, theirs);
            stream.read_exact(&mut [0; 5]).unwrap();
            stream.conn.refresh_traffic_keys().unwrap();
            stream.write_all(b"world").unwrap();
            stream
                .conn
                .export_keying_material([0; 32], LABEL, None)
                .unwrap()
        });
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(ours).unwrap();
        stream.write_all(b"hello").unwrap();
        // Behind an update of the peer's key, which needs the first secret.
        stream.read_exact(&mut [0; 5]).unwrap();
        let outer = stream.export_keying_material([0; 32], LABEL, None).unwrap();
        assert_eq!(outer, peer.join().unwrap(), "{inner:?}");
        let asked = asked.lock().unwrap();
        assert!(!asked.is_empty(), "no ticket was made");
        for [ours, theirs] in asked.iter() {
            assert_eq!(ours, theirs, "{inner:?}");
        }
    }
}
