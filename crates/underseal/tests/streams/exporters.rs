//! Keying material of a stream, equal to its peer's.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use underseal::rustls::{self, ClientConfig, KeyLog, ServerConfig};
use underseal::{
    CommonState, KeyUpdateRequest, Parts, TlsAcceptor, TlsConnector, TlsStream, client, server,
};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::pairs::{both, name};

type Peer = tokio_rustls::TlsStream<DuplexStream>;

const LABEL: &[u8] = b"EXPERIMENTAL underseal";
const BINDING: &[u8] = b"EXPORTER-Channel-Binding";

struct Configs {
    client: ClientConfig,
    server: ServerConfig,
}

fn configs(suite: Suite) -> Configs {
    let certificates = Certificates::new(KeyType::Ecdsa);
    Configs {
        client: certificates.client_config(suite),
        server: certificates.server_config(suite),
    }
}

/// Which side is underseal's.
#[derive(Clone, Copy, Debug)]
enum Side {
    Client,
    Server,
}

/// A connection between underseal and tokio-rustls.
async fn connect(
    side: Side,
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> (TlsStream<DuplexStream>, Peer) {
    let (left, right) = duplex(1 << 16);
    let (client, server) = (Arc::clone(client), Arc::clone(server));
    match side {
        Side::Client => {
            let connector = TlsConnector::from(client);
            let acceptor = tokio_rustls::TlsAcceptor::from(server);
            let (ours, theirs) =
                both(connector.connect(name(), left), acceptor.accept(right)).await;
            (ours.unwrap().into(), theirs.unwrap().into())
        }
        Side::Server => {
            let connector = tokio_rustls::TlsConnector::from(client);
            let acceptor = TlsAcceptor::from(server);
            let (theirs, ours) =
                both(connector.connect(name(), left), acceptor.accept(right)).await;
            (ours.unwrap().into(), theirs.unwrap().into())
        }
    }
}

fn theirs(peer: &Peer, len: usize, label: &[u8], context: Option<&[u8]>) -> Vec<u8> {
    let output = vec![0; len];
    let exported = match peer {
        Peer::Client(stream) => stream
            .get_ref()
            .1
            .export_keying_material(output, label, context),
        Peer::Server(stream) => stream
            .get_ref()
            .1
            .export_keying_material(output, label, context),
    };
    exported.unwrap()
}

fn assert_same(ours: &CommonState, peer: &Peer, when: &str) {
    let long = [7; 300];
    for context in [None, Some(&b""[..]), Some(b"context"), Some(&long)] {
        for len in [1, 32, 33, 1_000] {
            let exported = ours
                .export_keying_material(vec![0; len], LABEL, context)
                .unwrap();
            assert_eq!(
                exported,
                theirs(peer, len, LABEL, context),
                "{when} {context:?} {len}"
            );
        }
    }
    let binding = ours.channel_binding().unwrap();
    assert_eq!(binding[..], theirs(peer, 32, BINDING, Some(b"")), "{when}");
}

fn assert_stream_same(stream: &TlsStream<DuplexStream>, peer: &Peer, when: &str) {
    assert_same(stream.get_ref().1, peer, when);
    let theirs = theirs(peer, 20, LABEL, None);
    let by_stream = match stream {
        TlsStream::Client(stream) => stream.export_keying_material([0; 20], LABEL, None),
        TlsStream::Server(stream) => stream.export_keying_material([0; 20], LABEL, None),
    };
    assert_eq!(by_stream.unwrap()[..], theirs);
    let by_either = stream.export_keying_material([0; 20], LABEL, None);
    assert_eq!(by_either.unwrap()[..], theirs);
    let binding = stream.get_ref().1.channel_binding();
    assert_eq!(stream.channel_binding(), binding);
}

/// As parts, then as bytes.
fn moved(stream: TlsStream<DuplexStream>) -> TlsStream<DuplexStream> {
    match stream {
        TlsStream::Client(stream) => {
            let stream = client::TlsStream::from_parts(stream.into_parts().unwrap()).unwrap();
            let (io, bytes) = stream.into_parts().unwrap().into_bytes();
            let parts = Parts::from_bytes(io, &bytes).unwrap();
            client::TlsStream::from_parts(parts).unwrap().into()
        }
        TlsStream::Server(stream) => {
            let stream = server::TlsStream::from_parts(stream.into_parts().unwrap()).unwrap();
            let (io, bytes) = stream.into_parts().unwrap().into_bytes();
            let parts = Parts::from_bytes(io, &bytes).unwrap();
            server::TlsStream::from_parts(parts).unwrap().into()
        }
    }
}

async fn update_keys(stream: &mut TlsStream<DuplexStream>, peer: &mut Peer) {
    stream
        .key_update(KeyUpdateRequest::Requested)
        .await
        .unwrap();
    stream.write_all(b"ping").await.unwrap();
    stream.flush().await.unwrap();
    let mut four = [0; 4];
    peer.read_exact(&mut four).await.unwrap();
    peer.write_all(b"pong").await.unwrap();
    peer.flush().await.unwrap();
    stream.read_exact(&mut four).await.unwrap();
    assert_eq!(&four, b"pong");
    let counters = stream.counters();
    assert_eq!((counters.tx_key_updates, counters.rx_key_updates), (1, 1));
}

/// Over both versions and all suites, on both sides: at first, after key updates, after a move,
/// and of a resumed connection.
#[tokio::test(start_paused = true)]
async fn keying_material_is_the_peers() {
    for suite in Suite::ALL {
        for side in [Side::Client, Side::Server] {
            let Configs { client, server } = configs(suite);
            let (client, server) = (Arc::new(client), Arc::new(server));
            for which in ["full", "resumed"] {
                let (mut stream, mut peer) = connect(side, &client, &server).await;
                let when = format!("{suite:?} {side:?} {which}");
                let kind = stream.get_ref().1.handshake_kind();
                assert_eq!(
                    kind == Some(rustls::HandshakeKind::Resumed),
                    which == "resumed"
                );
                assert_stream_same(&stream, &peer, &when);
                if suite.is_tls13() {
                    update_keys(&mut stream, &mut peer).await;
                    assert_stream_same(&stream, &peer, &format!("{when}, updated"));
                }
                let mut stream = moved(stream);
                assert_stream_same(&stream, &peer, &format!("{when}, moved"));
                // The tickets of the server are read with this.
                let (written, read) = both(
                    async { peer.write_all(b"x").await.and(peer.flush().await) },
                    stream.read_u8(),
                )
                .await;
                written.unwrap();
                assert_eq!(read.unwrap(), b'x');
                stream.write_all(b"y").await.unwrap();
                stream.flush().await.unwrap();
                assert_eq!(peer.read_u8().await.unwrap(), b'y');
            }
        }
    }
}

/// Cut into the smallest records, the ServerHello is read all the same.
#[tokio::test(start_paused = true)]
async fn keying_material_is_the_peers_however_the_hello_is_cut() {
    for suite in Suite::EACH_VERSION {
        for side in [Side::Client, Side::Server] {
            let Configs {
                mut client,
                mut server,
            } = configs(suite);
            (client.max_fragment_size, server.max_fragment_size) = (Some(32), Some(32));
            let (stream, peer) = connect(side, &Arc::new(client), &Arc::new(server)).await;
            assert_stream_same(&stream, &peer, &format!("{suite:?} {side:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_exported_is_an_error() {
    for suite in Suite::EACH_VERSION {
        let Configs { client, server } = configs(suite);
        let (stream, _peer) = connect(Side::Server, &Arc::new(client), &Arc::new(server)).await;
        let is_refused = |output: &mut [u8], label: &[u8], context| {
            let exported = stream.export_keying_material(output, label, context);
            exported.is_err_and(|error| matches!(error, rustls::Error::General(_)))
        };
        assert!(is_refused(&mut [], LABEL, None));
        let tls13 = suite.is_tls13();
        assert_eq!(is_refused(&mut [0; 255 * 32 + 1], LABEL, None), tls13);
        assert_eq!(is_refused(&mut [0; 1 << 17], LABEL, None), tls13);
        assert!(!is_refused(
            &mut [0; 255 * 32],
            &[b'x'; 249],
            Some(&[0; 65_535])
        ));
        assert_eq!(is_refused(&mut [0; 32], &[b'x'; 250], None), tls13);
        assert_eq!(is_refused(&mut [0; 32], LABEL, Some(&[0; 65_536])), !tls13);
    }
}

/// The lines that a log was given, which may have said that it wants none.
#[derive(Debug)]
struct Lines {
    wants: fn(&str) -> bool,
    labels: Mutex<Vec<String>>,
}

impl KeyLog for Lines {
    fn log(&self, label: &str, _client_random: &[u8], _secret: &[u8]) {
        self.labels.lock().unwrap().push(label.to_owned());
    }

    fn will_log(&self, label: &str) -> bool {
        (self.wants)(label)
    }
}

/// What stands before an application's log takes nothing from it and adds nothing.
#[tokio::test(start_paused = true)]
async fn the_key_log_of_the_configuration_gets_the_lines_that_rustls_gives() {
    let wishes: [fn(&str) -> bool; 3] =
        [|_| true, |_| false, |label| label.starts_with("EXPORTER")];
    for suite in Suite::EACH_VERSION {
        for wants in wishes {
            let mut labels = Vec::new();
            // Whoever is underseal logs what the other would.
            for side in [Side::Client, Side::Server] {
                let lines = || {
                    Arc::new(Lines {
                        wants,
                        labels: Mutex::default(),
                    })
                };
                let (of_client, of_server) = (lines(), lines());
                let Configs {
                    mut client,
                    mut server,
                } = configs(suite);
                client.key_log = Arc::clone(&of_client) as _;
                server.key_log = Arc::clone(&of_server) as _;
                connect(side, &Arc::new(client), &Arc::new(server)).await;
                labels
                    .push([of_client, of_server].map(|lines| lines.labels.lock().unwrap().clone()));
            }
            assert_eq!(labels[0], labels[1], "{suite:?}");
        }
    }
}

/// A transport that panics where the client answers, as that of a task may.
struct Panics<IO>(IO);

impl<IO: std::io::Read> std::io::Read for Panics<IO> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl<IO: std::io::Write> std::io::Write for Panics<IO> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        // The ClientHello is a handshake record, the answer begins with a change_cipher_spec.
        assert_eq!(buf[0], 22, "the transport panics");
        self.0.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// The thread lives on, and with it what it knows of a handshake: that must not be its secrets.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_panics_leaves_nothing_to_the_next_of_its_thread() {
    let Configs { client, server } = configs(Suite::Tls13Aes128);
    let (left, right) = underseal_testkit::pair(1 << 16);
    let acceptor = underseal::blocking::TlsAcceptor::from(Arc::new(server));
    let accept = std::thread::spawn(move || acceptor.accept(right).map(drop).unwrap_err());
    let connector = underseal::blocking::TlsConnector::from(Arc::new(client));
    let panics = || connector.connect(name(), Panics(left)).map(drop);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
    accept.join().unwrap();

    let Configs { client, server } = configs(Suite::Tls12Aes128);
    let (client, server) = (Arc::new(client), Arc::new(server));
    for side in [Side::Client, Side::Server] {
        let (ours, peer) = connect(side, &client, &server).await;
        assert_stream_same(&ours, &peer, "after a panic");
    }
}
