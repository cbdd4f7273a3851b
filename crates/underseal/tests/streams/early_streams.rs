//! Streams that exist before their handshake, as tokio-rustls has them: `TlsConnector::early_data`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, duplex, split,
};
use tokio::task::JoinHandle;
use underseal::message::{Filter, Message, Peer, Verdict};
use underseal::record::Padding;
use underseal::rustls::crypto::{CryptoProvider, ring};
use underseal::rustls::server::ServerSessionMemoryCache;
use underseal::rustls::{self, ClientConfig, HandshakeKind, ServerConfig};
use underseal::{Error, KeyUpdateRequest, TlsAcceptor, TlsConnector, client};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::pairs::{both, name, pattern};

type ClientStream = client::TlsStream<DuplexStream>;

const SUITE: Suite = Suite::Tls13Aes128;

struct Bed {
    client: Arc<ClientConfig>,
    /// It gives the tickets.
    server: Arc<ServerConfig>,
    /// It knows no tickets.
    other: Arc<ServerConfig>,
    /// It knows them, and has another key exchange group than the client's first.
    retrying: Arc<ServerConfig>,
}

impl Bed {
    fn new(max_early_data_size: u32) -> Self {
        let certificates = Certificates::new(KeyType::Ecdsa);
        let mut client = certificates.client_config(SUITE);
        client.enable_early_data = true;
        let config = |kx_groups| {
            let provider = CryptoProvider {
                kx_groups,
                ..ring::default_provider()
            };
            let (chain, key) = certificates.server_identity();
            let config = ServerConfig::builder_with_provider(Arc::new(provider));
            let config = config.with_safe_default_protocol_versions().unwrap();
            let config = config.with_no_client_auth();
            let mut config = config.with_single_cert(chain, key).unwrap();
            config.max_early_data_size = max_early_data_size;
            config
        };
        let all = ring::default_provider().kx_groups;
        let server = config(all.clone());
        let mut other = config(all);
        other.session_storage = ServerSessionMemoryCache::new(10);
        let mut retrying = config(vec![ring::kx_group::SECP384R1]);
        retrying.session_storage = Arc::clone(&server.session_storage);
        Self {
            client: Arc::new(client),
            server: Arc::new(server),
            other: Arc::new(other),
            retrying: Arc::new(retrying),
        }
    }

    /// One connection, by which the client gets tickets.
    async fn ticket(&self) {
        let (left, right) = duplex(1 << 16);
        let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let connect = connector.connect(name(), right);
        let (server, client) = both(acceptor.accept(left), connect).await;
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        assert!(!client.get_ref().1.is_handshaking());
        server.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
    }

    fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.client)).early_data(true)
    }

    /// A stream whose handshake has not begun, and the other end of what is below it.
    async fn early(&self, capacity: usize) -> (ClientStream, DuplexStream) {
        self.ticket().await;
        let (left, right) = duplex(capacity);
        let stream = self.connector().connect(name(), right).await.unwrap();
        let session = stream.get_ref().1;
        assert!(session.is_handshaking() && !session.is_early_data_accepted());
        assert!(session.wants_write() && session.protocol_version().is_none());
        (stream, left)
    }
}

/// What a server reads: early, and after the handshake; it says "answer".
async fn serve(config: &Arc<ServerConfig>, io: DuplexStream) -> (Vec<u8>, Vec<u8>) {
    let acceptor = TlsAcceptor::from(Arc::clone(config));
    let mut stream = acceptor.accept(io).await.unwrap();
    let early = stream.get_mut().1.take_early_data().unwrap_or_default();
    let mut late = Vec::new();
    stream.read_to_end(&mut late).await.unwrap();
    stream.write_all(b"answer").await.unwrap();
    stream.shutdown().await.unwrap();
    (early, late)
}

async fn finish(stream: &mut ClientStream) {
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
}

#[tokio::test(start_paused = true)]
async fn what_is_written_first_is_early_data() {
    let bed = Bed::new(16_384);
    for pieces in [1, 2, 40] {
        let (mut stream, io) = bed.early(1 << 16).await;
        let data = pattern(100 * pieces);
        let ask = async {
            for piece in data.chunks(100) {
                assert_eq!(stream.write(piece).await.unwrap(), 100);
            }
            stream.flush().await.unwrap();
            let session = stream.get_ref().1;
            assert!(session.is_early_data_accepted() && !session.is_handshaking());
            assert_eq!(session.handshake_kind(), Some(HandshakeKind::Resumed));
            stream.write_all(b"late").await.unwrap();
            finish(&mut stream).await;
        };
        let ((early, late), ()) = both(serve(&bed.server, io), ask).await;
        assert!(early == data && late == b"late", "{pieces}");
    }
}

/// Without a flush too: shutdown is one.
#[tokio::test(start_paused = true)]
async fn a_shutdown_completes_the_handshake() {
    let bed = Bed::new(16_384);
    for data in [&b"early"[..], b""] {
        let (mut stream, io) = bed.early(1 << 16).await;
        let ask = async {
            stream.write_all(data).await.unwrap();
            finish(&mut stream).await;
        };
        let ((early, late), ()) = both(serve(&bed.server, io), ask).await;
        assert_eq!((&early[..], &late[..]), (data, &b""[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn early_data_that_is_refused_is_written_again() {
    let bed = Bed::new(16_384);
    for (server, kind) in [
        (&bed.other, HandshakeKind::Full),
        (&bed.retrying, HandshakeKind::FullWithHelloRetryRequest),
    ] {
        // A small pipe: it is not written at once.
        let (mut stream, io) = bed.early(1_024).await;
        let data = pattern(10_000);
        let ask = async {
            stream.write_all(&data).await.unwrap();
            stream.flush().await.unwrap();
            let session = stream.get_ref().1;
            assert!(!session.is_early_data_accepted());
            assert!(
                session.handshake_kind() == Some(kind)
                    || session.handshake_kind() == Some(HandshakeKind::Resumed)
            );
            stream.write_all(b"late").await.unwrap();
            finish(&mut stream).await;
        };
        let ((early, late), ()) = both(serve(server, io), ask).await;
        assert!(
            early.is_empty() && late == [&data[..], b"late"].concat(),
            "{kind:?}"
        );
    }
}

/// More than the server takes, and more than is held.
#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_written_after_the_handshake() {
    for (max, len) in [(3_000, 10_000), (1 << 20, 200_000)] {
        let bed = Bed::new(max);
        let (mut stream, io) = bed.early(1 << 16).await;
        let data = pattern(len);
        let ask = async {
            stream.write_all(&data).await.unwrap();
            assert!(stream.get_ref().1.is_early_data_accepted());
            finish(&mut stream).await;
        };
        let ((early, late), ()) = both(serve(&bed.server, io), ask).await;
        assert!(!early.is_empty() && early.len() <= (max as usize).min(1 << 16));
        assert!([early, late].concat() == data);
    }
}

/// Dropped before anything was sent, and in the middle of the handshake: the server can say nothing
/// then.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_before_its_handshake_leaves_an_unfinished_one() {
    let bed = Bed::new(16_384);
    for flushes in [false, true] {
        let (mut stream, io) = bed.early(1 << 16).await;
        stream.write_all(b"early").await.unwrap();
        if flushes {
            let flushed = tokio::time::timeout(Duration::from_secs(1), stream.flush()).await;
            flushed.expect_err("the server says nothing");
        }
        drop(stream);
        let acceptor = TlsAcceptor::from(Arc::clone(&bed.server));
        let error = acceptor.accept(io).await.unwrap_err();
        match flushes {
            false => assert!(matches!(Error::of(&error), Some(Error::ClosedInHandshake))),
            true => assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe),
        }
    }
}

/// A server's session is good for one connection: who recorded the early data sends it in vain.
#[tokio::test(start_paused = true)]
async fn early_data_that_is_replayed_is_not_taken() {
    let bed = Bed::new(16_384);
    let (mut stream, mut io) = bed.early(1 << 16).await;
    stream.write_all(b"early").await.unwrap();
    let flushed = tokio::time::timeout(Duration::from_secs(1), stream.flush()).await;
    flushed.expect_err("the server says nothing");
    let mut recorded = vec![0; 1 << 16];
    let n = io.read(&mut recorded).await.unwrap();
    recorded.truncate(n);
    for (round, accepted) in [true, false].into_iter().enumerate() {
        let (left, mut right) = duplex(1 << 16);
        right.write_all(&recorded).await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&bed.server));
        let accept = acceptor.accept(left);
        let answered = tokio::time::timeout(Duration::from_secs(1), accept).await;
        assert!(answered.is_err(), "{round}: it has no Finished");
        // EncryptedExtensions say that early data is accepted: the first answer is longer, as the
        // second has no pre-shared key but certificates.
        let mut answer = Vec::new();
        right.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.len() < 400, accepted, "{round}: {}", answer.len());
    }
}

/// Who reads waits for who writes, also in another task.
#[tokio::test(start_paused = true)]
async fn a_read_waits_for_the_handshake() {
    let bed = Bed::new(16_384);
    for server in [&bed.server, &bed.other] {
        let (stream, io) = bed.early(1 << 16).await;
        let (mut reader, mut writer) = split(stream);
        let read = tokio::spawn(async move {
            let mut answer = Vec::new();
            reader.read_to_end(&mut answer).await.map(|_| answer)
        });
        tokio::task::yield_now().await;
        let ask = async {
            writer.write_all(b"early").await.unwrap();
            writer.flush().await.unwrap();
            writer.write_all(b"-late").await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let ((early, late), ()) = both(serve(server, io), ask).await;
        assert_eq!([early, late].concat(), b"early-late");
        assert_eq!(read.await.unwrap().unwrap(), b"answer");
    }
}

/// A task that reads to the end, and waits already.
async fn reading(mut reader: ReadHalf<ClientStream>) -> JoinHandle<std::io::Result<Vec<u8>>> {
    let read = tokio::spawn(async move {
        let mut answer = Vec::new();
        reader.read_to_end(&mut answer).await.map(|_| answer)
    });
    tokio::task::yield_now().await;
    read
}

async fn woken<T>(task: JoinHandle<T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(60), task).await;
    done.expect("the reader was not woken").unwrap()
}

/// Who writes receives, too, as long as the server takes nothing: that is not for the reader.
#[tokio::test(start_paused = true)]
async fn a_read_waits_until_refused_early_data_is_written() {
    let bed = Bed::new(1 << 16);
    let (mut stream, io) = bed.early(1_024).await;
    // A record is taken at once, and the rest waits.
    stream.get_mut().1.set_buffer_limit(Some(1));
    let (reader, mut writer) = split(stream);
    let read = reading(reader).await;
    let data = pattern(50_000);
    let ask = async {
        writer.write_all(&data).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let ((early, late), ()) = both(serve(&bed.other, io), ask).await;
    assert!(early.is_empty() && late == data);
    assert_eq!(woken(read).await.unwrap(), b"answer");
}

/// The handshake is complete, and the server gone before it took what it had refused.
#[tokio::test(start_paused = true)]
async fn a_failure_behind_the_handshake_is_told_to_reader_and_writer() {
    let bed = Bed::new(1 << 16);
    let (mut stream, io) = bed.early(1_024).await;
    stream.get_mut().1.set_buffer_limit(Some(1));
    let (reader, mut writer) = split(stream);
    let read = reading(reader).await;
    let acceptor = TlsAcceptor::from(Arc::clone(&bed.other));
    let serve = async { drop(acceptor.accept(io).await.unwrap()) };
    let ask = async {
        writer.write_all(&pattern(50_000)).await.unwrap();
        writer.flush().await.unwrap_err()
    };
    both(serve, ask).await;
    let error = woken(read).await.unwrap_err();
    assert!(
        matches!(Error::of(&error), Some(Error::Truncated)),
        "{error}"
    );
    // What was taken is not there.
    writer.flush().await.unwrap_err();
    writer.shutdown().await.unwrap_err();
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_woken_though_others_redirect_here_since_it_waits() {
    let bed = Bed::new(16_384);
    let (mut stream, io) = bed.early(1 << 16).await;
    let reader = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&reader));
    let mut byte = [0];
    let polled = Pin::new(&mut stream).poll_read(
        &mut Context::from_waker(&waker),
        &mut ReadBuf::new(&mut byte),
    );
    assert!(polled.is_pending());
    let peer = stream.redirect_peer(1_024);
    let ask = async {
        stream.write_all(b"early").await.unwrap();
        stream.flush().await.unwrap();
        let was_woken = reader.0.load(Ordering::Relaxed);
        finish(&mut stream).await;
        was_woken
    };
    assert!(both(serve(&bed.server, io), ask).await.1);
    drop(peer);
}

/// The end that is asked for is behind all that was written, be it refused as early data.
#[tokio::test(start_paused = true)]
async fn refused_early_data_is_before_the_end_that_was_asked_for() {
    let bed = Bed::new(16_384);
    let (mut stream, io) = bed.early(1 << 16).await;
    let ask = async {
        stream.write_all(b"early").await.unwrap();
        stream.get_mut().1.send_close_notify();
        stream.flush().await.unwrap();
        finish(&mut stream).await;
    };
    let ((early, late), ()) = both(serve(&bed.other, io), ask).await;
    assert_eq!((&early[..], &late[..]), (&b""[..], &b"early"[..]));
}

/// It judges what is received.
#[tokio::test(start_paused = true)]
async fn a_program_for_what_is_received_is_not_asked_about_early_data() {
    let bed = Bed::new(16_384);
    let (mut stream, io) = bed.early(1 << 16).await;
    let passes = |_: &mut Message<'_>| Verdict::<Peer>::Pass;
    stream.attach(Filter::ingress(passes)).unwrap();
    let ask = async {
        stream.write_all(b"early").await.unwrap();
        finish(&mut stream).await;
    };
    let ((early, late), ()) = both(serve(&bed.server, io), ask).await;
    assert_eq!((&early[..], &late[..]), (&b"early"[..], &b""[..]));
}

/// Logs say how much it is.
#[tokio::test(start_paused = true)]
async fn early_data_is_not_printed() {
    let bed = Bed::new(16_384);
    let (mut stream, io) = bed.early(1 << 16).await;
    let acceptor = TlsAcceptor::from(Arc::clone(&bed.server));
    let serve = async {
        let mut stream = acceptor.accept(io).await.unwrap();
        let mut printed = format!("{stream:?}");
        let session = stream.get_mut().1;
        printed += &format!("{:?}", session.early_data().unwrap());
        assert_eq!(session.take_early_data().unwrap(), b"early");
        printed
    };
    let ask = async {
        stream.write_all(b"early").await.unwrap();
        stream.flush().await.unwrap();
    };
    let printed = both(serve, ask).await.0;
    assert!(!printed.contains("101, 97, 114"), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_fails_is_told_to_reader_and_writer() {
    let bed = Bed::new(16_384);
    let (stream, mut io) = bed.early(1 << 16).await;
    let (mut reader, mut writer) = split(stream);
    let read = tokio::spawn(async move { reader.read_u8().await.unwrap_err() });
    writer.write_all(b"early").await.unwrap();
    io.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.unwrap();
    for error in [writer.flush().await.unwrap_err(), read.await.unwrap()] {
        let alert = error.get_ref().and_then(|error| error.downcast_ref());
        let refused = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        assert_eq!(alert, Some(&refused), "{error}");
    }
    assert!(writer.write(b"x").await.is_err());
}

/// What is asked of a stream before its handshake holds after it.
#[tokio::test(start_paused = true)]
async fn settings_and_programs_go_on_after_the_handshake() {
    let bed = Bed::new(16_384);
    let (mut stream, io) = bed.early(1 << 16).await;
    stream.set_padding(Padding::Full).unwrap();
    let marks = |message: &mut Message<'_>| {
        message.push(0, b"<").unwrap();
        Verdict::<Peer>::Pass
    };
    stream.attach(Filter::egress(marks)).unwrap();
    let peer = stream.redirect_peer(1_024);
    let ask = async {
        // A program is asked: it is no early data.
        stream.write_all(b"early").await.unwrap();
        stream.flush().await.unwrap();
        assert!(!stream.get_ref().1.is_early_data_accepted());
        stream
            .key_update(KeyUpdateRequest::NotRequested)
            .await
            .unwrap();
        finish(&mut stream).await;
    };
    let ((early, late), ()) = both(serve(&bed.server, io), ask).await;
    drop(peer);
    assert_eq!((&early[..], &late[..]), (&b""[..], &b"<early"[..]));

    let (stream, _io) = bed.early(1 << 16).await;
    let error = stream.into_parts().map(drop).unwrap_err();
    assert!(matches!(
        error,
        Error::Handshake(rustls::Error::HandshakeNotComplete)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_server_of_tokio_rustls_takes_it() {
    let bed = Bed::new(16_384);
    let (mut stream, io) = bed.early(1 << 16).await;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&bed.server));
    let serve = async {
        let mut stream = acceptor.accept(io).await.unwrap();
        let mut received = Vec::new();
        let mut early = stream.get_mut().1.early_data().unwrap();
        std::io::Read::read_to_end(&mut early, &mut received).unwrap();
        stream.read_to_end(&mut received).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
        stream.shutdown().await.unwrap();
        received
    };
    let ask = async {
        stream.write_all(b"early").await.unwrap();
        finish(&mut stream).await;
        assert!(stream.get_ref().1.is_early_data_accepted());
    };
    assert_eq!(both(serve, ask).await.0, b"early");
}
