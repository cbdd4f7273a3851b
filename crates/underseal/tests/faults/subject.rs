//! The stream under attack, and what it made of it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::record::{AlertDescription, PeerMisbehaved as RecordFault};
use underseal::rustls::pki_types::ServerName;
use underseal::rustls::{ClientConfig, ServerConfig};
use underseal::{Error, PeerMisbehaved, TlsAcceptor, TlsConnector, TlsStream, blocking};
use underseal_testkit::{Certificates, KeyType, PATIENCE, RecordPeer, SERVER_NAME, Suite};

use crate::bystander::Bystander;

/// Which streams are attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Blocking,
    Tokio,
}

impl Runtime {
    pub(crate) const ALL: [Self; 2] = [Self::Blocking, Self::Tokio];
}

/// Which side the stream under attack is; the peer is the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) const ALL: [Self; 2] = [Self::Client, Self::Server];
}

/// How an established stream ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// All that was delivered.
    pub(crate) data: Vec<u8>,
    /// What reading ended with: an orderly end, or an error.
    pub(crate) end: io::Result<()>,
    /// What another read after that said.
    pub(crate) again: io::Result<usize>,
    /// What a write and flush after that said.
    pub(crate) write: io::Result<()>,
}

impl Outcome {
    /// The error inside of what reading ended with.
    pub(crate) fn error(&self) -> Error {
        let error = self.end.as_ref().expect_err("an error");
        Error::of(error).unwrap_or_else(|| panic!("{error} is not underseal's"))
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.end.as_ref().expect_err("an error").kind()
    }

    /// Asserts what every failure has in common: it stays, and nothing can be written after it.
    pub(crate) fn is_dead(&self) {
        let again = self.again.as_ref().expect_err("the same error");
        let text = self.error().to_string();
        assert_eq!(Error::of(again).unwrap().to_string(), text);
        let write = self.write.as_ref().expect_err("nothing can be written");
        assert_eq!(write.kind(), ErrorKind::BrokenPipe, "{write}");
    }
}

/// Runs `fault` as the peer of a stream that reads to its end, and returns what came of both.
///
/// `fault` is called with an established connection; what it returns is returned.
pub(crate) fn attack<T>(
    runtime: Runtime,
    side: Side,
    suite: Suite,
    fault: impl FnOnce(&mut RecordPeer<TcpStream>) -> T,
) -> (Outcome, T) {
    let certificates = Arc::new(Certificates::new(KeyType::Ecdsa));
    let (ours, theirs) = sockets();
    let own = Arc::clone(&certificates);
    // Until the stream under attack exists, it is rustls that receives.
    let (exists, established) = mpsc::channel();
    // It stays open until the peer is done: closed with bytes unread, its socket would be reset,
    // and with it the alert on its way.
    let (done, wait) = mpsc::channel::<()>();
    let subject = thread::spawn(move || {
        let mut bystander = Bystander::new(&own, suite);
        let server = Arc::new(own.server_config(suite));
        let client = Arc::new(own.client_config(suite));
        let outcome = match (runtime, side) {
            (Runtime::Blocking, Side::Server) => {
                let stream = blocking::TlsAcceptor::from(server).accept(ours).unwrap();
                exists.send(()).unwrap();
                read_blocking(stream, &wait)
            }
            (Runtime::Blocking, Side::Client) => {
                let connector = blocking::TlsConnector::from(client);
                let stream = connector.connect(name(), ours).unwrap();
                exists.send(()).unwrap();
                read_blocking(stream, &wait)
            }
            (Runtime::Tokio, side) => on_tokio(async {
                let stream = establish(side, server, client, ours).await.unwrap();
                exists.send(()).unwrap();
                read_tokio(stream, &wait).await
            }),
        };
        bystander.is_untouched();
        outcome
    });
    let mut peer = match side {
        Side::Server => RecordPeer::client(theirs, certificates.client_config(suite)),
        Side::Client => RecordPeer::server(theirs, certificates.server_config(suite)),
    };
    let said = established.recv().map(|()| fault(&mut peer));
    drop(done);
    let outcome = subject.join().expect("the stream under attack panicked");
    (outcome, said.expect("the stream existed"))
}

/// As [`attack`], for a fault that the peer is told of: commits it after some data, and asserts
/// the alert, the error, that the data before it was delivered, and that the stream is dead.
pub(crate) fn is_answered(
    side: Side,
    suite: Suite,
    alert: AlertDescription,
    error: &Error,
    fault: impl Fn(&mut RecordPeer<TcpStream>),
) {
    for runtime in Runtime::ALL {
        let what = format!("{runtime:?} {side:?} {suite:?}");
        let (outcome, said) = attack(runtime, side, suite, |peer| {
            peer.send(underseal_testkit::record_peer::APPLICATION_DATA, b"before");
            fault(peer);
            peer.receive_alert()
        });
        assert_eq!(outcome.error().to_string(), error.to_string(), "{what}");
        assert_eq!(outcome.error().alert(), Some(alert), "{what}");
        assert_eq!(said, Some(alert.0), "{what}: what the peer was told");
        assert_eq!(outcome.kind(), ErrorKind::InvalidData, "{what}");
        assert_eq!(outcome.data, b"before", "{what}");
        outcome.is_dead();
    }
}

/// [`is_answered`] on both sides under both versions.
pub(crate) fn is_answered_everywhere(
    alert: AlertDescription,
    error: &Error,
    fault: impl Fn(&mut RecordPeer<TcpStream>),
) {
    for suite in Suite::EACH_VERSION {
        for side in Side::ALL {
            is_answered(side, suite, alert, error, &fault);
        }
    }
}

pub(crate) fn record_fault(fault: RecordFault) -> Error {
    Error::Record(fault.into())
}

pub(crate) fn fault(fault: PeerMisbehaved) -> Error {
    fault.into()
}

pub(crate) fn name() -> ServerName<'static> {
    SERVER_NAME.try_into().unwrap()
}

/// Two ends of a TCP connection on which nobody waits forever.
pub(crate) fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    for socket in [&ours, &theirs] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
    }
    (ours, theirs)
}

/// Runs a future on a runtime of this thread, for a bounded time.
pub(crate) fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.unwrap() })
}

pub(crate) fn to_tokio(socket: TcpStream) -> tokio::net::TcpStream {
    socket.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(socket).unwrap()
}

/// Reads that a test may take to come to an end; more are a spin.
const MOST_READS: usize = 100_000;

fn read_blocking<Session>(
    mut stream: blocking::TlsStream<TcpStream, Session>,
    wait: &mpsc::Receiver<()>,
) -> Outcome {
    let mut data = Vec::new();
    let mut buffer = [0; 5_000];
    let mut end = None;
    for _ in 0..MOST_READS {
        match stream.read(&mut buffer) {
            Ok(0) => end = Some(Ok(())),
            Ok(n) => data.extend(&buffer[..n]),
            Err(error) => end = Some(Err(error)),
        }
        if end.is_some() {
            break;
        }
    }
    let again = stream.read(&mut buffer);
    let write = stream.write_all(b"after").and_then(|()| stream.flush());
    let _ = stream.get_ref().0.shutdown(Shutdown::Write);
    let _ = wait.recv();
    Outcome {
        data,
        end: end.expect("the stream ends"),
        again,
        write,
    }
}

async fn read_tokio(
    mut stream: TlsStream<tokio::net::TcpStream>,
    wait: &mpsc::Receiver<()>,
) -> Outcome {
    let mut data = Vec::new();
    let mut buffer = [0; 5_000];
    let mut end = None;
    for _ in 0..MOST_READS {
        match stream.read(&mut buffer).await {
            Ok(0) => end = Some(Ok(())),
            Ok(n) => data.extend(&buffer[..n]),
            Err(error) => end = Some(Err(error)),
        }
        if end.is_some() {
            break;
        }
    }
    let again = stream.read(&mut buffer).await;
    let mut write = stream.write_all(b"after").await;
    if write.is_ok() {
        write = stream.flush().await;
    }
    // Of the socket, not of the stream: nothing more is sealed.
    let _ = match &mut stream {
        TlsStream::Client(stream) => stream.get_mut().0.shutdown().await,
        TlsStream::Server(stream) => stream.get_mut().0.shutdown().await,
    };
    let _ = wait.recv();
    Outcome {
        data,
        end: end.expect("the stream ends"),
        again,
        write,
    }
}

/// Makes the handshake of either side over a socket.
async fn establish(
    side: Side,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    socket: TcpStream,
) -> io::Result<TlsStream<tokio::net::TcpStream>> {
    let socket = to_tokio(socket);
    Ok(match side {
        Side::Server => TlsAcceptor::from(server).accept(socket).await?.into(),
        Side::Client => {
            let connector = TlsConnector::from(client);
            connector.connect(name(), socket).await?.into()
        }
    })
}
