//! Records that do not belong where they come, anywhere in a handshake with early data: what the
//! client is told is what rustls' buffered server tells it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::{ClientConfig, ClientConnection, ServerConfig};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::greetings::Server;
use crate::subject::{name, sockets};

/// Several times what is skipped here: rustls' buffered server tries again at each read what it
/// skipped, and counts it each time, so that it refuses with bad_record_mac what is within its limit
/// and comes in several reads. (It also ends without an alert where skipped records fill its buffer.)
const LIMIT: u32 = 3_000;

/// Behind which record of the client's the stray one comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// The ClientHello, and the change_cipher_spec behind it.
    Hello,
    ChangeCipherSpec,
    EarlyData(usize),
    /// EndOfEarlyData where early data is accepted, the ClientHello's flight where it is not.
    BeforeFinished,
    InsteadOfFinished,
    Finished,
}

const PLACES: [Place; 7] = [
    Place::Hello,
    Place::ChangeCipherSpec,
    Place::EarlyData(1),
    Place::EarlyData(2),
    Place::BeforeFinished,
    Place::InsteadOfFinished,
    Place::Finished,
];

/// What comes there.
fn strays() -> Vec<(&'static str, Vec<u8>)> {
    let record = |kind: u8, payload: &[u8]| {
        let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3, len[0], len[1]], payload].concat()
    };
    vec![
        ("data that does not open", record(23, &[0x5a; 60])),
        ("the shortest that can open", record(23, &[0x5a; 17])),
        ("too short to open", record(23, &[0x5a; 16])),
        ("a byte", record(23, &[0x5a])),
        ("no data", record(23, &[])),
        ("a long record", record(23, &[0x5a; 500])),
        (TOO_LONG, record(23, &[0x5a; 16_641])),
        ("more than is skipped", record(23, &[0x5a; 3_500])),
        (
            "a plain Finished",
            record(22, &[&[20, 0, 0, 32][..], &[0; 32]].concat()),
        ),
        ("a part of a plain message", record(22, &[20, 0])),
        (
            "a plain message of no known type",
            record(22, &[99, 0, 0, 0]),
        ),
        ("an empty handshake record", record(22, &[])),
        (
            "an encrypted record called handshake",
            record(22, &[0x5a; 60]),
        ),
        ("a plain close_notify", record(21, &[1, 0])),
        ("a plain fatal alert", record(21, &[2, 40])),
        ("a plain alert of one byte", record(21, &[2])),
        ("an empty alert", record(21, &[])),
        ("an encrypted record called alert", record(21, &[0x5a; 60])),
        ("change_cipher_spec", record(20, &[1])),
        ("change_cipher_spec of another value", record(20, &[2])),
        ("change_cipher_spec of two bytes", record(20, &[1, 1])),
        ("a heartbeat", record(24, &[1, 0, 0])),
        ("a type that is none", record(99, &[0x5a; 60])),
    ]
}

const TOO_LONG: &str = "a record that is too long";

struct Configs {
    issuer: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

#[test]
fn a_stray_record_in_a_handshake_with_early_data_is_answered_as_rustls_does() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let suite = Suite::Tls13Aes128;
    let mut issuer = certificates.server_config(suite);
    issuer.max_early_data_size = LIMIT;
    let mut client = certificates.client_config(suite);
    client.enable_early_data = true;
    let mut takes_none = issuer.clone();
    takes_none.max_early_data_size = 0;
    let another = |limit| {
        let mut config = certificates.server_config(suite);
        config.max_early_data_size = limit;
        Arc::new(config)
    };
    let configs = Configs {
        issuer: Arc::new(issuer),
        client: Arc::new(client),
    };
    let servers = [
        ("accepted", Arc::clone(&configs.issuer)),
        ("not taken", Arc::new(takes_none)),
        ("another's ticket", another(LIMIT)),
    ];
    // What is skipped counts once: underseal has no need of more.
    let tight = another(1_000);
    let mut differing = Vec::new();
    for (early_data, config) in &servers {
        for place in PLACES {
            for (what, stray) in strays() {
                let theirs = told(Server::TokioRustls, config, &configs, place, &stray);
                let config = match *early_data {
                    "another's ticket" => &tight,
                    _ => config,
                };
                let ours = told(Server::Tokio, config, &configs, place, &stray);
                // rustls finds out that a record is too long by its MAC; RFC 8446 section 5.2 asks
                // for another alert, which the engine gives once the handshake is done.
                let theirs = match (what, place) {
                    (TOO_LONG, Place::Finished) => theirs.replace("BadRecordMac", "RecordOverflow"),
                    _ => theirs,
                };
                if ours != theirs {
                    differing.push(format!(
                        "{what} at {place:?}, {early_data}: {ours}, not {theirs}"
                    ));
                }
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// How the connection ends for the client, and what it got before.
fn told(
    server: Server,
    config: &Arc<ServerConfig>,
    configs: &Configs,
    place: Place,
    stray: &[u8],
) -> String {
    speak(Server::Tokio, &configs.issuer, &configs.client, None);
    speak(server, config, &configs.client, Some((place, stray)))
}

fn speak(
    server: Server,
    config: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    stray: Option<(Place, &[u8])>,
) -> String {
    let (ours, mut theirs) = sockets();
    let config = Arc::clone(config);
    // What the server closes stays open until the client is done, so that nothing is reset.
    let open = ours.try_clone().unwrap();
    let subject = thread::spawn(move || {
        let _ = server.greets(config, ours);
        let _ = open.shutdown(Shutdown::Write);
        open
    });
    let mut client = ClientConnection::new(Arc::clone(client), name()).unwrap();
    if stray.is_some() {
        let mut early = client.early_data().expect("a ticket allows it");
        for _ in 0..2 {
            early.write_all(&[b'e'; 150]).unwrap();
        }
    }
    let first = taken(&mut client);
    let places = [
        Place::Hello,
        Place::ChangeCipherSpec,
        Place::EarlyData(1),
        Place::EarlyData(2),
    ];
    let flight = with_stray(&first, &places, stray);
    theirs.write_all(&flight).unwrap();
    let mut ended = read(&mut client, &mut theirs, |client| !client.is_handshaking());
    if ended.is_none() {
        client.writer().write_all(b"late").unwrap();
        // The server may be gone.
        let _ = theirs.write_all(&second_flight(&mut client, stray));
    }
    let _ = theirs.shutdown(Shutdown::Write);
    ended = ended.or_else(|| read(&mut client, &mut theirs, |_| false));
    let mut received = Vec::new();
    let _ = client.reader().read_to_end(&mut received);
    let _ = subject.join().unwrap();
    format!("{ended:?} {}", String::from_utf8_lossy(&received))
}

/// What the client sends once it has heard the server.
fn second_flight(client: &mut ClientConnection, stray: Option<(Place, &[u8])>) -> Vec<u8> {
    let second = taken(client);
    match (client.is_early_data_accepted(), stray) {
        (true, _) => with_stray(&second, &[Place::BeforeFinished, Place::Finished], stray),
        (false, Some((Place::BeforeFinished, stray))) => [stray, &second].concat(),
        (false, _) => with_stray(&second, &[Place::Finished], stray),
    }
}

/// The records of `flight`, with the stray one behind that of its place.
fn with_stray(flight: &[u8], places: &[Place], stray: Option<(Place, &[u8])>) -> Vec<u8> {
    let mut places = places.iter();
    let (mut rest, mut out) = (flight, Vec::new());
    while !rest.is_empty() {
        let len = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        let (record, behind) = rest.split_at(len);
        rest = behind;
        let here = places.next();
        match (here, stray) {
            (Some(Place::Finished), Some((Place::InsteadOfFinished, stray))) => out.extend(stray),
            (Some(here), Some((place, stray))) if *here == place => {
                out.extend([record, stray].concat());
            }
            _ => out.extend(record),
        }
    }
    out
}

fn taken(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Reads until `is_enough`; or how the connection ended before.
fn read(
    client: &mut ClientConnection,
    socket: &mut TcpStream,
    is_enough: impl Fn(&ClientConnection) -> bool,
) -> Option<Result<(), rustls::Error>> {
    while !is_enough(client) {
        match client.read_tls(socket) {
            Ok(0) => return Some(Ok(())),
            Ok(_) => {
                if let Err(error) = client.process_new_packets() {
                    return Some(Err(error));
                }
            }
            Err(error) => return Some(Err(rustls::Error::General(error.to_string()))),
        }
    }
    None
}
