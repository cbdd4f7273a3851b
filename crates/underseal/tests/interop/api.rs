//! Both APIs behind one trait, so that what a test does over a connection is written once.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use underseal::{ClientConnection, CommonState, KeyUpdateRequest, ServerConnection, blocking};
use underseal_testkit::{PATIENCE, SERVER_NAME};

/// Which API of underseal a test goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Blocking,
    Tokio,
}

/// An established connection through either API.
pub(crate) trait Connection: Read + Write {
    /// Updates the sending keys, and asks the peer to update its own if `request_peer`.
    fn key_update(&mut self, request_peer: bool) -> io::Result<()>;
    /// Sends close_notify.
    fn close(&mut self) -> io::Result<()>;
    /// What was agreed on.
    fn facts(&self) -> Facts;
}

/// What a handshake agreed on, as our side reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) version: Option<ProtocolVersion>,
    pub(crate) suite: Option<CipherSuite>,
    pub(crate) alpn: Option<String>,
    /// Servers only.
    pub(crate) server_name: Option<String>,
    /// The certificate that the peer proved to own.
    pub(crate) peer: Option<CertificateDer<'static>>,
    pub(crate) resumed: bool,
    /// Keying material, without a context.
    pub(crate) exported: Vec<u8>,
    /// Whether something may be bound to the channel.
    pub(crate) has_channel_binding: bool,
}

/// The label of keying material that [`Facts`] have, and its length in bytes.
pub(crate) const EXPORTER_LABEL: &str = "EXPERIMENTAL";
pub(crate) const EXPORTED_LEN: usize = 40;

impl Facts {
    fn new(state: &CommonState, server_name: Option<&str>) -> Self {
        let alpn = state.alpn_protocol();
        let output = vec![0; EXPORTED_LEN];
        let exported = state.export_keying_material(output, EXPORTER_LABEL.as_bytes(), None);
        let peer = state.peer_certificates().and_then(<[_]>::first);
        Self {
            version: state.protocol_version(),
            suite: state.negotiated_cipher_suite().map(|suite| suite.suite()),
            alpn: alpn.map(|name| String::from_utf8_lossy(name).into_owned()),
            server_name: server_name.map(str::to_owned),
            peer: peer.map(|certificate| certificate.clone().into_owned()),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            has_channel_binding: state.channel_binding().is_ok(),
            exported: exported.expect("a connection has keying material"),
        }
    }
}

/// Connects to `address` as a client.
pub(crate) fn connect(
    api: Api,
    config: &Arc<ClientConfig>,
    address: SocketAddr,
) -> io::Result<Box<dyn Connection>> {
    let name = ServerName::try_from(SERVER_NAME).expect("a valid name");
    let socket = TcpStream::connect(address)?;
    match api {
        Api::Blocking => {
            bound(&socket)?;
            Ok(Box::new(
                blocking::TlsConnector::from(config.clone()).connect(name, socket)?,
            ))
        }
        Api::Tokio => {
            let runtime = runtime()?;
            let stream = runtime.block_on(timely(async {
                let socket = asynchronous(socket)?;
                underseal::TlsConnector::from(config.clone())
                    .connect(name, socket)
                    .await
            }))?;
            Ok(Box::new(OnRuntime { runtime, stream }))
        }
    }
}

/// Servers on a port of their own, until the number of connections they were started for.
pub(crate) struct Serving<T> {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<Vec<io::Result<T>>>,
}

impl<T> Serving<T> {
    /// What the script returned for each connection, or why there was no handshake.
    pub(crate) fn finish(self) -> Vec<io::Result<T>> {
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The same for a server of one connection whose handshake succeeded.
    pub(crate) fn finish_one(self) -> T {
        let mut outcomes = self.finish();
        assert_eq!(outcomes.len(), 1, "connections");
        outcomes.remove(0).expect("the handshake succeeds")
    }
}

/// Accepts `connections` one after the other and runs `script` over each.
pub(crate) fn serve<T: Send + 'static>(
    api: Api,
    config: ServerConfig,
    connections: usize,
    mut script: impl FnMut(&mut dyn Connection) -> T + Send + 'static,
) -> Serving<T> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("the port of a bound socket");
    let config = Arc::new(config);
    let thread = thread::spawn(move || {
        let one = |_| {
            let mut connection = accept(api, config.clone(), next_socket(&listener)?)?;
            Ok(script(&mut *connection))
        };
        (0..connections).map(one).collect()
    });
    Serving { address, thread }
}

fn accept(
    api: Api,
    config: Arc<ServerConfig>,
    socket: TcpStream,
) -> io::Result<Box<dyn Connection>> {
    match api {
        Api::Blocking => {
            bound(&socket)?;
            Ok(Box::new(
                blocking::TlsAcceptor::from(config).accept(socket)?,
            ))
        }
        Api::Tokio => {
            let runtime = runtime()?;
            let stream = runtime.block_on(timely(async {
                let socket = asynchronous(socket)?;
                underseal::TlsAcceptor::from(config).accept(socket).await
            }))?;
            Ok(Box::new(OnRuntime { runtime, stream }))
        }
    }
}

/// Waits for a client, but not for ever.
fn next_socket(listener: &TcpListener) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                assert!(Instant::now() < deadline, "no client came");
                thread::sleep(Duration::from_millis(2));
            }
            accepted => {
                let (socket, _) = accepted?;
                socket.set_nonblocking(false)?;
                return Ok(socket);
            }
        }
    }
}

fn bound(socket: &TcpStream) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn asynchronous(socket: TcpStream) -> io::Result<tokio::net::TcpStream> {
    socket.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(socket)
}

async fn timely<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("the peer answers in time")
}

/// What the sessions of both sides have in common here.
trait Agreed: Deref<Target = CommonState> {
    fn requested_name(&self) -> Option<&str>;
}

impl Agreed for ServerConnection {
    fn requested_name(&self) -> Option<&str> {
        self.server_name()
    }
}

impl Agreed for ClientConnection {
    fn requested_name(&self) -> Option<&str> {
        None
    }
}

fn request(request_peer: bool) -> KeyUpdateRequest {
    if request_peer {
        KeyUpdateRequest::Requested
    } else {
        KeyUpdateRequest::NotRequested
    }
}

impl<Session: Agreed> Connection for blocking::TlsStream<TcpStream, Session> {
    fn key_update(&mut self, request_peer: bool) -> io::Result<()> {
        self.key_update(request(request_peer))
    }

    fn close(&mut self) -> io::Result<()> {
        self.shutdown()
    }

    fn facts(&self) -> Facts {
        let session = self.get_ref().1;
        Facts::new(session, session.requested_name())
    }
}

/// A tokio stream with the runtime that drives it.
struct OnRuntime<Session> {
    runtime: Runtime,
    stream: underseal::Stream<tokio::net::TcpStream, Session>,
}

impl<Session: Unpin> Read for OnRuntime<Session> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(timely(self.stream.read(buffer)))
    }
}

impl<Session: Unpin> Write for OnRuntime<Session> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(timely(self.stream.write(buffer)))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.block_on(timely(self.stream.flush()))
    }
}

impl<Session: Agreed + Unpin> Connection for OnRuntime<Session> {
    fn key_update(&mut self, request_peer: bool) -> io::Result<()> {
        self.runtime
            .block_on(timely(self.stream.key_update(request(request_peer))))
    }

    fn close(&mut self) -> io::Result<()> {
        self.runtime.block_on(timely(self.stream.shutdown()))
    }

    fn facts(&self) -> Facts {
        let session = self.stream.get_ref().1;
        Facts::new(session, session.requested_name())
    }
}
