//! A peer whose records are made by the test: well-formed ones, and those that no TLS library sends.

mod direction;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use rustls::{
    ClientConfig, ClientConnection, ExtractedSecrets, KeyLog, ProtocolVersion, ServerConfig,
    ServerConnection,
};

use crate::SERVER_NAME;
use direction::DirectionalKeys;

/// `alert` records.
pub const ALERT: u8 = 21;
/// `handshake` records.
pub const HANDSHAKE: u8 = 22;
/// `application_data` records.
pub const APPLICATION_DATA: u8 = 23;

/// A KeyUpdate message; the argument is `request_update`.
#[must_use]
pub const fn key_update(request: u8) -> [u8; 5] {
    [24, 0, 0, 1, request]
}

/// One end of an established connection, without a TLS library in the way.
///
/// rustls makes the handshake; then its keys are taken over by a record layer that this crate has
/// for itself, from the text of the RFCs on `ring`, so that a test of underseal's shares no code
/// with it.
#[derive(Debug)]
pub struct RecordPeer<S> {
    io: S,
    version: ProtocolVersion,
    tx: DirectionalKeys,
    rx: DirectionalKeys,
}

impl<S: Read + Write> RecordPeer<S> {
    /// Makes the handshake as a client.
    ///
    /// # Panics
    /// When that fails.
    pub fn client(mut io: S, config: ClientConfig) -> Self {
        let log = Arc::new(Secrets::default());
        let mut config = config;
        config.enable_secret_extraction = true;
        config.key_log = log.clone();
        let name = SERVER_NAME.try_into().expect("a valid name");
        let mut connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut records = RecordByRecord::new(&mut io);
        while connection.is_handshaking() {
            connection
                .complete_io(&mut records)
                .expect("the handshake succeeds");
        }
        let version = connection.protocol_version().expect("a version");
        let secrets = connection.dangerous_extract_secrets().expect("secrets");
        let labels = ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"];
        Self::new(io, version, secrets, labels.map(|label| log.take(label)))
    }

    /// Makes the handshake as a server.
    ///
    /// # Panics
    /// When that fails.
    pub fn server(mut io: S, config: ServerConfig) -> Self {
        let log = Arc::new(Secrets::default());
        let mut config = config;
        config.enable_secret_extraction = true;
        config.key_log = log.clone();
        let mut connection = ServerConnection::new(Arc::new(config)).expect("a server");
        let mut records = RecordByRecord::new(&mut io);
        while connection.is_handshaking() {
            connection
                .complete_io(&mut records)
                .expect("the handshake succeeds");
        }
        let version = connection.protocol_version().expect("a version");
        let secrets = connection.dangerous_extract_secrets().expect("secrets");
        let labels = ["SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0"];
        Self::new(io, version, secrets, labels.map(|label| log.take(label)))
    }

    fn new(
        io: S,
        version: ProtocolVersion,
        secrets: ExtractedSecrets,
        [tx, rx]: [Option<Vec<u8>>; 2],
    ) -> Self {
        Self {
            io,
            version,
            tx: DirectionalKeys::new(secrets.tx, tx),
            rx: DirectionalKeys::new(secrets.rx, rx),
        }
    }

    /// The stream below.
    pub fn io(&mut self) -> &mut S {
        &mut self.io
    }

    /// Ends TLS without a word and gives back the stream below.
    pub fn into_io(self) -> S {
        self.io
    }

    /// Seals `payload` as the next record.
    pub fn record(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        if self.is_tls13() {
            return self.record_of(&[payload, &[content_type]].concat());
        }
        self.tx.seal12(content_type, payload)
    }

    /// Seals a TLSInnerPlaintext as it stands: plaintext, type byte, padding.
    ///
    /// # Panics
    /// Under TLS 1.2, which has none.
    pub fn record_of(&mut self, inner: &[u8]) -> Vec<u8> {
        assert!(self.is_tls13(), "TLS 1.2 has no inner plaintext");
        self.tx.seal13(inner)
    }

    /// Seals and sends a record.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn send(&mut self, content_type: u8, payload: &[u8]) {
        let record = self.record(content_type, payload);
        self.send_bytes(&record);
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// When they cannot be sent.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).expect("the other end takes bytes");
    }

    /// Receives the next record: its type and plaintext, or `None` at the end of the stream below.
    ///
    /// # Panics
    /// When it does not authenticate, only a part of one comes, or an explicit nonce of TLS 1.2
    /// comes twice.
    pub fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let record = read_record(&mut self.io).expect("the other end sends records")?;
        Some(if self.is_tls13() {
            self.rx.open13(record)
        } else {
            self.rx.open12(record)
        })
    }

    /// Receives records up to the first alert, and returns its description. `None` if the stream
    /// below ends without one.
    pub fn receive_alert(&mut self) -> Option<u8> {
        while let Some((content_type, payload)) = self.receive() {
            if content_type == ALERT {
                assert_eq!(payload.len(), 2, "an alert has two bytes");
                return Some(payload[1]);
            }
        }
        None
    }

    /// Receives application data and skips what else comes, up to close_notify, whether it came.
    pub fn receive_data(&mut self) -> (Vec<u8>, bool) {
        let mut data = Vec::new();
        loop {
            match self.receive() {
                Some((APPLICATION_DATA, payload)) => data.extend(payload),
                Some((ALERT, payload)) if payload == [1, 0] => return (data, true),
                Some((ALERT, payload)) => panic!("alert {payload:?} instead of data"),
                Some(_) => {}
                None => return (data, false),
            }
        }
    }

    /// Goes on under the next key, as after a KeyUpdate that was sent.
    pub fn update_tx(&mut self) {
        self.tx.update();
    }

    /// Goes on under the next key, as after a KeyUpdate that was received.
    pub fn update_rx(&mut self) {
        self.rx.update();
    }

    /// Records sealed under the present key.
    pub fn records_sent(&self) -> u64 {
        self.tx.seq
    }

    fn is_tls13(&self) -> bool {
        self.version == ProtocolVersion::TLSv1_3
    }
}

/// The traffic secrets that rustls logs.
#[derive(Debug, Default)]
struct Secrets(Mutex<HashMap<String, Vec<u8>>>);

impl Secrets {
    fn take(&self, label: &str) -> Option<Vec<u8>> {
        self.0.lock().expect("no holder panics").remove(label)
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        let mut secrets = self.0.lock().expect("no holder panics");
        secrets.insert(label.to_owned(), secret.to_vec());
    }
}

/// Reads one record, header included. `None` at the end of the stream.
fn read_record(io: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut record = vec![0; 5];
    if io.read(&mut record[..1])? == 0 {
        return Ok(None);
    }
    io.read_exact(&mut record[1..])?;
    record.resize(
        5 + usize::from(u16::from_be_bytes([record[3], record[4]])),
        0,
    );
    io.read_exact(&mut record[5..])?;
    Ok(Some(record))
}

/// Hands rustls one record at a time, so that it holds nothing back when its keys are taken over.
struct RecordByRecord<'a, S> {
    io: &'a mut S,
    record: Vec<u8>,
}

impl<'a, S> RecordByRecord<'a, S> {
    fn new(io: &'a mut S) -> Self {
        Self {
            io,
            record: Vec::new(),
        }
    }
}

impl<S: Read> Read for RecordByRecord<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.record.is_empty() {
            self.record = read_record(self.io)?.unwrap_or_default();
        }
        let len = self.record.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.record[..len]);
        self.record.drain(..len);
        Ok(len)
    }
}

impl<S: Write> Write for RecordByRecord<'_, S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.io.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{Certificates, KeyType, Pipe, Suite, pair};

    /// Both ends of a connection: the client is rustls', the server's records are ours.
    fn connect(
        suite: Suite,
    ) -> (
        rustls::StreamOwned<ClientConnection, Pipe>,
        RecordPeer<Pipe>,
    ) {
        let certificates = Certificates::new(KeyType::Ecdsa);
        let (left, right) = pair(1 << 16);
        let server = certificates.server_config(suite);
        let server = thread::spawn(move || RecordPeer::server(right, server));
        let config = Arc::new(certificates.client_config(suite));
        let name = SERVER_NAME.try_into().unwrap();
        let client = ClientConnection::new(config, name).unwrap();
        let mut client = rustls::StreamOwned::new(client, left);
        while client.conn.is_handshaking() {
            client.conn.complete_io(&mut client.sock).unwrap();
        }
        (client, server.join().unwrap())
    }

    #[test]
    fn records_are_those_that_rustls_reads_and_writes() {
        for suite in Suite::ALL {
            let (mut client, mut peer) = connect(suite);
            peer.send(APPLICATION_DATA, b"from the peer");
            let mut received = [0; 13];
            client.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"from the peer");
            client.write_all(b"from rustls").unwrap();
            client.conn.send_close_notify();
            client.flush().unwrap();
            assert_eq!(peer.receive_data(), (b"from rustls".to_vec(), true));
        }
    }

    #[test]
    fn key_updates_are_those_of_rustls() {
        for suite in Suite::ALL.into_iter().filter(|suite| suite.is_tls13()) {
            let (mut client, mut peer) = connect(suite);
            peer.send(HANDSHAKE, &key_update(1));
            peer.update_tx();
            peer.send(APPLICATION_DATA, b"under the next key");
            let mut received = [0; 18];
            client.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"under the next key");
            client.write_all(b"answered").unwrap();
            client.flush().unwrap();
            assert_eq!(peer.receive(), Some((HANDSHAKE, key_update(0).to_vec())));
            peer.update_rx();
            let data = Some((APPLICATION_DATA, b"answered".to_vec()));
            assert_eq!(peer.receive(), data);
        }
    }

    #[test]
    fn padded_and_broken_records_are_what_they_say() {
        let (mut client, mut peer) = connect(Suite::Tls13Aes128);
        let padded = peer.record_of(b"padded\x17\0\0\0");
        peer.send_bytes(&padded);
        let mut received = [0; 6];
        client.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"padded");
        let mut broken = peer.record(APPLICATION_DATA, b"broken");
        *broken.last_mut().unwrap() ^= 1;
        peer.send_bytes(&broken);
        assert!(client.read(&mut received).is_err());
        assert_eq!(peer.receive_alert(), Some(20));
    }
}
