//! What the library writes by itself passes through streams that keep what they are given, and does
//! not wait for a peer that waits, too.

use std::future::ready;
use std::io::{self, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, duplex};
use underseal::record::{AlertDescription, ContentType};
use underseal::{Error, KeyUpdateRequest, TlsAcceptor, TlsConnector, blocking};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};
use underseal_testkit::{Certificates, KeyType, PATIENCE, Suite, pair};

use crate::pairs::{accept_over, both, name, pattern};

const SUITE: Suite = Suite::Tls13Aes128;

fn configs() -> (TlsAcceptor, TlsConnector) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut server = certificates.server_config(SUITE);
    server.max_early_data_size = 16_384;
    let client = certificates.client_config(SUITE);
    (
        TlsAcceptor::from(Arc::new(server)),
        TlsConnector::from(Arc::new(client)),
    )
}

/// A handshake, a key update that is answered while nobody writes, and data both ways.
async fn talk<L, R>(left: impl Future<Output = L>, right: impl Future<Output = R>)
where
    L: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let (acceptor, connector) = configs();
    let serve = async {
        let mut stream = acceptor.accept(left.await).await.unwrap();
        let mut received = [0; 4];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"ping");
        // Nothing is written here but the answer to the client's key update.
        assert_eq!(stream.read(&mut received).await.unwrap(), 0);
        stream.shutdown().await.unwrap();
        stream
    };
    let ask = async {
        let mut stream = connector.connect(name(), right.await).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        stream
            .key_update(KeyUpdateRequest::Requested)
            .await
            .unwrap();
        // The answer comes by itself.
        while stream.counters().rx_key_updates == 0 {
            let read = tokio::time::timeout(PATIENCE / 100, stream.read_u8()).await;
            assert!(read.is_err(), "nothing is written but the answer");
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        stream
    };
    // Neither is dropped before the other has closed, too.
    both(serve, ask).await;
}

#[tokio::test(start_paused = true)]
async fn buffered_streams_are_flushed() {
    let (left, right) = duplex(1 << 16);
    talk(ready(BufStream::new(left)), ready(BufStream::new(right))).await;
}

/// TLS in TLS, over pipes that hold less than one record of either.
#[tokio::test(start_paused = true)]
async fn streams_in_streams_are_flushed() {
    let (acceptor, connector) = configs();
    let (left, right) = duplex(64);
    let accept = async { acceptor.accept(left).await.unwrap() };
    let connect = async { connector.connect(name(), right).await.unwrap() };
    talk(accept, connect).await;
}

/// A socket that keeps what it is given until it is flushed.
struct Buffered(TcpStream, BufWriter<TcpStream>);

impl Buffered {
    fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let writer = BufWriter::with_capacity(1 << 20, socket.try_clone().unwrap());
        Self(socket, writer)
    }
}

impl Read for Buffered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Buffered {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.1.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

#[test]
fn blocking_streams_over_buffers_are_flushed() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut server = certificates.server_config(SUITE);
    // Nothing but the answer comes behind the handshake.
    server.send_tls13_tickets = 0;
    let acceptor = blocking::TlsAcceptor::from(Arc::new(server));
    let connector = blocking::TlsConnector::from(Arc::new(certificates.client_config(SUITE)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    let client = thread::spawn(move || {
        let mut stream = connector
            .connect_early(name(), Buffered::new(theirs), b"first".to_vec())
            .unwrap();
        stream.key_update(KeyUpdateRequest::Requested).unwrap();
        // The server answers while it waits for data, and writes nothing else.
        assert_eq!(stream.get_ref().0.0.peek(&mut [0]).unwrap(), 1);
        stream.shutdown().unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        stream.counters().rx_key_updates
    });
    let mut stream = acceptor.accept(Buffered::new(ours)).unwrap();
    let mut first = [0; 5];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first");
    assert_eq!(stream.read(&mut first).unwrap(), 0);
    stream.shutdown().unwrap();
    assert_eq!(client.join().unwrap(), 1);
}

/// 0-RTT that the server takes, or does not, over pipes that hold next to nothing.
async fn early(capacity: usize, len: usize, resumes: bool) {
    let (acceptor, connector) = configs();
    for round in 0..=usize::from(resumes) {
        let (left, right) = duplex(capacity);
        let serve = async {
            let mut stream = acceptor.accept(left).await.unwrap();
            let early = stream.get_mut().1.take_early_data().unwrap_or_default();
            let mut received = vec![0; len - early.len()];
            stream.read_exact(&mut received).await.unwrap();
            stream.write_all(b"answer").await.unwrap();
            stream.flush().await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            [early, received].concat()
        };
        let ask = async {
            let connect = connector.connect_early(name(), right, pattern(len));
            let mut stream = connect.await.unwrap();
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"answer");
            stream.shutdown().await.unwrap();
            stream.get_ref().1.is_early_data_accepted()
        };
        let (received, accepted) = both(serve, ask).await;
        assert!(received == pattern(len));
        assert_eq!(accepted, round == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn early_data_is_flushed_before_a_connection_resolves() {
    early(1_000, 20_000, false).await;
}

/// Whichever side is polled first, and wherever a record is cut.
#[tokio::test(start_paused = true)]
async fn early_data_over_narrow_pipes_waits_for_nobody() {
    for capacity in 90..140 {
        early(capacity, 5_000, true).await;
        early(capacity, 16_000, true).await;
    }
}

/// A stream that keeps what it is given until it is flushed, and loses it if it never is.
struct Keeping<S> {
    below: S,
    kept: Vec<u8>,
}

impl<S> Keeping<S> {
    fn new(below: S) -> Self {
        let kept = Vec::new();
        Self { below, kept }
    }
}

impl<S: Read> Read for Keeping<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.below.read(buf)
    }
}

impl<S: Write> Write for Keeping<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.kept.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.below.write_all(&std::mem::take(&mut self.kept))?;
        self.below.flush()
    }
}

/// Whoever is told of the failure may drop the stream.
#[test]
fn an_alert_is_flushed_before_a_failure_is_reported() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = accept_over(suite, 1 << 16, Keeping::new);
        let mut bad = peer.record(APPLICATION_DATA, b"bad");
        *bad.last_mut().unwrap() ^= 1;
        peer.send_bytes(&bad);
        stream.read(&mut [0]).unwrap_err();
        drop(stream);
        let alert = AlertDescription::BAD_RECORD_MAC;
        assert_eq!(peer.receive_alert(), Some(alert.0), "{suite:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_alert_of_a_task_is_flushed_before_a_failure_is_reported() {
    let (acceptor, connector) = configs();
    let (left, right) = duplex(1 << 16);
    let (server, client) = both(
        acceptor.accept(BufStream::new(left)),
        connector.connect(name(), right),
    )
    .await;
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    // Nobody asked for it.
    client
        .send_record(ContentType(99), &b"?"[..])
        .await
        .unwrap();
    server.read_u8().await.unwrap_err();
    drop(server);
    let error = client.read_u8().await.unwrap_err();
    let expected = AlertDescription::UNEXPECTED_MESSAGE;
    assert!(
        matches!(Error::of(&error), Some(Error::AlertReceived(alert)) if alert == expected),
        "{error}"
    );
}

/// What is no greeting is answered, too.
#[tokio::test(start_paused = true)]
async fn an_alert_of_a_handshake_is_flushed_before_a_failure_is_reported() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let request = b"GET / HTTP/1.1\r\n\r\n";
    let acceptor = blocking::TlsAcceptor::from(Arc::new(certificates.server_config(SUITE)));
    let (left, mut right) = pair(1 << 16);
    right.write_all(request).unwrap();
    acceptor.accept(Keeping::new(left)).map(drop).unwrap_err();
    let mut answer = Vec::new();
    right.read_to_end(&mut answer).unwrap();
    assert_eq!((answer.first(), answer.len()), (Some(&ALERT), 7));

    let (left, mut right) = duplex(1 << 16);
    right.write_all(request).await.unwrap();
    let accepted = configs().0.accept(BufStream::new(left)).await;
    accepted.map(drop).unwrap_err();
    let mut answer = Vec::new();
    right.read_to_end(&mut answer).await.unwrap();
    assert_eq!((answer.first(), answer.len()), (Some(&ALERT), 7));
}
