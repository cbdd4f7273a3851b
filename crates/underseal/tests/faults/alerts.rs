//! Handshakes that a server gives up: the client is told why, whatever the server had queued or had
//! not read.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::{AlertDescription as Alert, ClientConfig, ClientConnection, ServerConfig};
use underseal::Error;
use underseal_testkit::{Certificates, Faults, FaultyStream, KeyType, Suite};

use crate::greetings::Server;
use crate::subject::{name, sockets};

/// What a client of rustls makes of a server that refuses it, and what the server says.
fn refused(server: Server, config: ServerConfig, client: ClientConfig) -> (rustls::Error, Error) {
    let (ours, mut theirs) = sockets();
    let subject = thread::spawn(move || server.refuses(Arc::new(config), ours));
    let mut client = ClientConnection::new(Arc::new(client), name()).unwrap();
    let told = finish(&mut client, &mut theirs);
    let error = subject.join().unwrap().expect("the server refuses");
    let said = Error::of(&error);
    (told, said.unwrap_or_else(|| panic!("{error} is not typed")))
}

/// Drives `client` until it fails.
fn finish(client: &mut ClientConnection, io: &mut (impl Read + Write)) -> rustls::Error {
    let mut stream = rustls::Stream::new(client, io);
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(reason) => rustls::Error::clone(reason),
        None => panic!("{error} instead of an alert"),
    }
}

const SERVERS: [Server; 3] = [Server::Blocking, Server::Tokio, Server::Lazy];

/// RFC 7301 section 3.2. Under TLS 1.3 the server finds out after it queued its ServerHello.
#[test]
fn a_client_without_a_protocol_in_common_is_told_so() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        for server in SERVERS {
            let mut config = certificates.server_config(suite);
            config.alpn_protocols = vec![b"h2".to_vec()];
            let mut client = certificates.client_config(suite);
            client.alpn_protocols = vec![b"foo".to_vec()];
            let (told, said) = refused(server, config, client);
            let what = format!("{server:?} {suite:?}");
            let alert = rustls::Error::AlertReceived(Alert::NoApplicationProtocol);
            assert_eq!(told, alert, "{what}");
            let reason = rustls::Error::NoApplicationProtocol.to_string();
            assert!(said.to_string().contains(&reason), "{what}: {said}");
        }
    }
}

#[test]
fn a_client_without_a_signature_scheme_in_common_is_told_so() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut provider = ring::default_provider();
    let all = provider.signature_verification_algorithms;
    let rsa = all.mapping.iter().filter(|(scheme, _)| {
        let name = format!("{scheme:?}");
        name.starts_with("RSA_PSS")
    });
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all: all.all,
        mapping: Box::leak(rsa.copied().collect()),
    };
    for server in SERVERS {
        let client = only_tls13(provider.clone(), &certificates);
        let config = certificates.server_config(Suite::Tls13Aes128);
        let (told, _) = refused(server, config, client);
        let alert = rustls::Error::AlertReceived(Alert::HandshakeFailure);
        assert_eq!(told, alert, "{server:?}");
    }
}

fn only_tls13(provider: CryptoProvider, certificates: &Certificates) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(certificates.roots())
        .with_no_client_auth()
}

/// A handshake with early data of which one bit behind the ClientHello is flipped on its way to the
/// server: what the client is told is what rustls' buffered server tells it.
#[test]
fn a_bit_changed_in_a_handshake_with_early_data_is_answered_as_rustls_does() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let suite = Suite::Tls13Aes128;
    for accepts in [true, false] {
        let mut config = certificates.server_config(suite);
        config.max_early_data_size = 1000;
        let mut client = certificates.client_config(suite);
        client.enable_early_data = true;
        let (config, client) = (Arc::new(config), Arc::new(client));
        // It knows the tickets, and takes no early data.
        let mut refusing = ServerConfig::clone(&config);
        refusing.max_early_data_size = 0;
        let refusing = Arc::new(refusing);
        let under_attack = if accepts { &config } else { &refusing };
        // Up to the end of the client's Finished. Who reads what follows, rustls or the engine, is
        // a matter of time, and they call a bad header by different alerts.
        let [change_cipher_spec, early_data, finished] = [6, 5 + 300 + 17, 5 + 36 + 17];
        let end_of_early_data = if accepts { 5 + 4 + 17 } else { 0 };
        let flight = change_cipher_spec + early_data + end_of_early_data + finished;
        for at in (0..flight).step_by(9) {
            let [theirs, ours] = [Server::TokioRustls, Server::Tokio].map(|server| {
                speak_early(Server::Tokio, &config, &client, None);
                speak_early(server, under_attack, &client, Some(at))
            });
            assert_eq!(ours, theirs, "byte {at}, early data accepted: {accepts}");
        }
    }
}

/// How a connection with early data ends for the client, after some data each way. `flip_at` counts
/// from the end of the ClientHello.
fn speak_early(
    server: Server,
    config: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    flip_at: Option<u64>,
) -> String {
    let (ours, theirs) = sockets();
    let config = Arc::clone(config);
    // What the server closes stays open until the client is done, so that nothing is reset.
    let open = ours.try_clone().unwrap();
    let subject = thread::spawn(move || {
        let _ = server.greets(config, ours);
        let _ = open.shutdown(Shutdown::Write);
        open
    });
    let mut client = ClientConnection::new(Arc::clone(client), name()).unwrap();
    if let Some(mut early) = client.early_data() {
        early.write_all(&[b'e'; 300]).unwrap();
    }
    let mut first = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut first).unwrap();
    }
    let hello = 5 + u64::from(u16::from_be_bytes([first[3], first[4]]));
    let shut = theirs.try_clone().unwrap();
    let mut theirs = FaultyStream::new(theirs).on_write(Faults {
        flip_at: flip_at.map(|at| hello + at).into_iter().collect(),
        ..Faults::default()
    });
    theirs.write_all(&first).unwrap();
    let mut stream = rustls::Stream::new(&mut client, &mut theirs);
    let mut received = Vec::new();
    let sent = stream.write_all(b"late").and_then(|()| stream.flush());
    // A server that waits for more of a record that a flipped length made longer.
    shut.shutdown(Shutdown::Write).unwrap();
    let read = stream.read_to_end(&mut received);
    let _ = subject.join().unwrap();
    format!("{sent:?} {read:?} {}", String::from_utf8_lossy(&received))
}

/// A ClientHello that is longer than any may be, or that comes in such small pieces that it is not
/// kept.
#[test]
fn a_client_hello_above_the_limit_is_answered() {
    let announced = |len: u32| [&[1][..], &len.to_be_bytes()[1..]].concat();
    let in_records = |len: u32, piece: usize| {
        let mut message = announced(len);
        message.resize(4 + len as usize, 0);
        let records = message.chunks(piece).flat_map(|piece| {
            let len = u16::try_from(piece.len()).unwrap().to_be_bytes();
            [&[22, 3, 1, len[0], len[1]], piece].concat()
        });
        records.collect::<Vec<_>>()
    };
    let greetings = [
        ("64 KiB in large pieces", in_records(0xffff, 0x4000)),
        ("above 64 KiB", in_records(0x1_0100, 0x4000)),
        ("above 128 KiB", in_records(0x2_8000, 0x4000)),
        ("64 KiB in small pieces", in_records(0xffff, 7)),
        ("20 KiB in single bytes", in_records(20_000, 1)),
    ];
    for (what, greeting) in greetings {
        for server in SERVERS {
            let (ended, bytes) = greet_slowly(server, &greeting, Duration::ZERO);
            assert!(ended.is_ok(), "{server:?}, {what}: {ended:?}");
            assert_eq!(bytes, [21, 3, 3, 0, 2, 2, 50], "{server:?}, {what}");
        }
    }
}

/// The server closes while more is on its way: what it said arrives all the same, and the
/// connection is not reset.
#[test]
fn bytes_behind_what_is_refused_do_not_cost_the_alert() {
    let greeting = [&[22, 3, 1, 0, 5, 20, 0, 0, 1, 0][..], &[0x55; 100_000]].concat();
    for server in SERVERS {
        let (ended, bytes) = greet_slowly(server, &greeting, Duration::from_millis(2));
        assert!(ended.is_ok(), "{server:?}: {ended:?}");
        assert_eq!(bytes, [21, 3, 3, 0, 2, 2, 10], "{server:?}");
    }
}

/// Sends `greeting` in pieces with a pause between them, and reads only then.
fn greet_slowly(
    server: Server,
    greeting: &[u8],
    pause: Duration,
) -> (std::io::Result<()>, Vec<u8>) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let config = Arc::new(certificates.server_config(Suite::Tls13Aes128));
    let (ours, mut theirs) = sockets();
    let subject = thread::spawn(move || server.refuses(config, ours));
    let mut sent = Ok(());
    for piece in greeting.chunks(10_000) {
        sent = sent.and_then(|()| theirs.write_all(piece));
        thread::sleep(pause);
    }
    let mut bytes = Vec::new();
    let read = read_answer(&mut theirs, &mut bytes);
    drop(theirs);
    let error = subject.join().unwrap().expect("the server refuses");
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    (sent.and(read), bytes)
}

fn read_answer(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    socket.read_to_end(bytes).map(drop)
}
