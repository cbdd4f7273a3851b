//! 0-RTT that a server rejects: it skips what it cannot open, and the handshake goes on (RFC 8446
//! section 4.2.10), in however many reads it arrives.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::crypto::ring;
use underseal::record::{Algorithm, ContentType, Sealer, TrafficSecret};
use underseal::rustls::{self, ClientConfig, ClientConnection, KeyLog, ServerConfig};
use underseal_testkit::{Certificates, Faults, FaultyStream, KeyType, Pipe, Suite, pair};

use crate::pairs::{name, pattern};

const SUITE: Suite = Suite::Tls13Aes128;

/// The early data that tickets allow, and that is skipped.
const LIMIT: u32 = 16_384;

/// Bytes that sealing adds to a record, beside its header.
const SEALING: usize = 17;

/// A client, the server that it has tickets of, and others that reject the early data which such a
/// ticket allows, each for a reason of its own.
struct Configs {
    client: Arc<ClientConfig>,
    issuer: Arc<ServerConfig>,
    rejecting: [(&'static str, Arc<ServerConfig>); 3],
}

fn configs(max_fragment_size: Option<usize>) -> Configs {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut client = certificates.client_config(SUITE);
    client.enable_early_data = true;
    client.max_fragment_size = max_fragment_size;
    let server = || {
        let mut config = certificates.server_config(SUITE);
        config.max_early_data_size = LIMIT;
        config
    };
    let issuer = server();
    let mut takes_none = issuer.clone();
    takes_none.max_early_data_size = 0;
    Configs {
        client: Arc::new(client),
        issuer: Arc::new(issuer),
        rejecting: [
            ("another's ticket", Arc::new(server())),
            ("no early data", Arc::new(takes_none)),
            ("HelloRetryRequest", Arc::new(another_group(&certificates))),
        ],
    }
}

/// A server that has not the group which the client guesses.
fn another_group(certificates: &Certificates) -> ServerConfig {
    let mut provider = ring::default_provider();
    provider.kx_groups = vec![ring::kx_group::SECP384R1];
    let (chain, key) = certificates.server_identity();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.max_early_data_size = LIMIT;
    config
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Server {
    Underseal,
    Rustls,
}

type Below = FaultyStream<Pipe>;

impl Server {
    /// All that a client sends as data that is not early.
    fn receive(self, config: Arc<ServerConfig>, io: Below) -> io::Result<Vec<u8>> {
        let mut received = Vec::new();
        match self {
            Self::Underseal => {
                let mut stream = underseal::blocking::TlsAcceptor::from(config).accept(io)?;
                stream.read_to_end(&mut received)?;
                stream.shutdown()?;
            }
            Self::Rustls => {
                let server = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::StreamOwned::new(server, io);
                stream.read_to_end(&mut received)?;
                stream.conn.send_close_notify();
                stream.flush()?;
            }
        }
        Ok(received)
    }
}

/// Early data in records of so many bytes; the server is given one byte at a time if `slowly`.
struct Early<'a> {
    data: &'a [u8],
    record: usize,
    slowly: bool,
}

/// What the server received of a client that sends `early` with its ClientHello, in one segment,
/// and "late" when the handshake is done; and whether the client ended well.
fn speak(
    server: Server,
    config: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    early: &Early<'_>,
) -> (io::Result<Vec<u8>>, bool) {
    let (left, mut right) = pair(1 << 18);
    let mut client = ClientConnection::new(Arc::clone(client), name()).unwrap();
    if !early.data.is_empty() {
        let mut writer = client.early_data().expect("a ticket allows it");
        for record in early.data.chunks(early.record) {
            writer.write_all(record).unwrap();
        }
    }
    right.write_all(&taken(&mut client)).unwrap();
    let faults = Faults {
        most_bytes: early.slowly.then_some(1),
        ..Faults::default()
    };
    let below = FaultyStream::new(left).on_read(faults);
    let config = Arc::clone(config);
    let subject = thread::spawn(move || server.receive(config, below));
    let mut stream = rustls::Stream::new(&mut client, &mut right);
    let ended = stream.write_all(b"late").and_then(|()| {
        stream.conn.send_close_notify();
        stream.flush()?;
        stream.read_to_end(&mut Vec::new())
    });
    drop(right);
    (subject.join().unwrap(), ended.is_ok())
}

fn taken(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn fetch_ticket(configs: &Configs) {
    let nothing = Early {
        data: b"",
        record: 1,
        slowly: false,
    };
    let (received, _) = speak(Server::Rustls, &configs.issuer, &configs.client, &nothing);
    assert_eq!(received.unwrap(), b"late");
}

fn all_are_skipped(max_fragment_size: Option<usize>, lens: &[usize], records: &[usize]) {
    let configs = configs(max_fragment_size);
    for (reason, config) in &configs.rejecting {
        for (&len, &record) in lens
            .iter()
            .flat_map(|len| records.iter().map(move |record| (len, record)))
        {
            let data = pattern(len);
            assert!(len + len.div_ceil(record) * SEALING <= LIMIT as usize);
            for (server, slowly) in [
                (Server::Underseal, false),
                (Server::Underseal, true),
                (Server::Rustls, false),
            ] {
                let early = Early {
                    data: &data,
                    record,
                    slowly,
                };
                fetch_ticket(&configs);
                let (received, ended) = speak(server, config, &configs.client, &early);
                // rustls' own server tries again what it skipped, with all that it reads.
                if server == Server::Rustls && received.is_err() {
                    continue;
                }
                let what = format!("{server:?}, {reason}: {len} by {record}, slowly: {slowly}");
                assert!(
                    matches!(&received, Ok(data) if data == b"late"),
                    "{what}: {received:?}"
                );
                assert!(ended, "{what}");
            }
        }
    }
}

#[test]
fn a_server_skips_early_data_up_to_its_limit() {
    all_are_skipped(None, &[0, 1_500, 5_000, 14_000, 16_000], &[16_384, 1_024]);
}

/// The message that ends the skipping comes in several records, too.
#[test]
fn a_server_skips_early_data_before_a_finished_in_pieces() {
    all_are_skipped(Some(32), &[0, 1_500, 5_000], &[27]);
}

#[test]
fn a_server_refuses_more_early_data_than_its_limit() {
    let configs = configs(None);
    let data = pattern(LIMIT as usize);
    for (reason, config) in &configs.rejecting {
        for slowly in [false, true] {
            let early = Early {
                data: &data,
                record: 1_024,
                slowly,
            };
            fetch_ticket(&configs);
            let (received, ended) = speak(Server::Underseal, config, &configs.client, &early);
            assert!(received.is_err() && !ended, "{reason}");
        }
    }
}

/// Keeps the secret under which a client seals its early data.
#[derive(Debug, Default)]
struct EarlySecret(Mutex<Vec<u8>>);

impl KeyLog for EarlySecret {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if label == "CLIENT_EARLY_TRAFFIC_SECRET" {
            *self.0.lock().unwrap() = secret.to_vec();
        }
    }
}

/// A piece of a message stays with the server as what it skips would, and is none of it: a client
/// that sends no early data, and an EndOfEarlyData in pieces.
#[test]
fn an_end_of_early_data_in_pieces_is_no_early_data() {
    let mut configs = configs(None);
    let secret = Arc::new(EarlySecret::default());
    Arc::make_mut(&mut configs.client).key_log = Arc::clone(&secret) as Arc<dyn KeyLog>;
    fetch_ticket(&configs);
    for piece in [1, 2, 3] {
        for slowly in [false, true] {
            let (left, mut right) = pair(1 << 16);
            let mut client = ClientConnection::new(Arc::clone(&configs.client), name()).unwrap();
            assert!(client.early_data().is_some(), "a ticket allows it");
            right.write_all(&taken(&mut client)).unwrap();
            let faults = Faults {
                most_bytes: slowly.then_some(1),
                ..Faults::default()
            };
            let below = FaultyStream::new(left).on_read(faults);
            let config = Arc::clone(&configs.issuer);
            let subject = thread::spawn(move || Server::Underseal.receive(config, below));
            while client.is_handshaking() {
                client.read_tls(&mut right).unwrap();
                client.process_new_packets().unwrap();
            }
            assert!(client.is_early_data_accepted());
            let own = taken(&mut client);
            let rest = own
                .strip_prefix(&[23, 3, 3, 0, 21])
                .expect("EndOfEarlyData");
            let in_pieces = end_of_early_data(&secret.0.lock().unwrap(), piece);
            right
                .write_all(&[&in_pieces, &rest[21..]].concat())
                .unwrap();
            let mut stream = rustls::Stream::new(&mut client, &mut right);
            stream.write_all(b"late").unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
            assert_eq!(subject.join().unwrap().unwrap(), b"late");
        }
    }
}

fn end_of_early_data(secret: &[u8], piece: usize) -> Vec<u8> {
    let secret = TrafficSecret::new(Algorithm::Aes128Gcm, secret).unwrap();
    let mut sealer = Sealer::new(secret.keys());
    let records = [5, 0, 0, 0].chunks(piece).flat_map(|piece| {
        let mut record = vec![0; sealer.record_len(piece.len())];
        let sealed = sealer.seal(ContentType::HANDSHAKE, piece, &mut record);
        record.truncate(sealed.unwrap().written);
        record
    });
    records.collect()
}
