//! Established connections over TCP on the loopback.

use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::thread;

use underseal::rustls::client::Resumption;
use underseal::rustls::pki_types::ServerName;
use underseal::rustls::{ClientConfig, ServerConfig};
use underseal::{ClientConnection, Offload, ServerConnection, TlsAcceptor, TlsConnector};
use underseal::{blocking, client, server};
use underseal_testkit::{Certificates, KeyType, PATIENCE, RecordPeer, SERVER_NAME, Suite};

use crate::case::Case;

pub(crate) type Server = blocking::TlsStream<TcpStream, ServerConnection>;
pub(crate) type Client = blocking::TlsStream<TcpStream, ClientConnection>;
pub(crate) type TokioServer = server::TlsStream<tokio::net::TcpStream>;
pub(crate) type TokioClient = client::TlsStream<tokio::net::TcpStream>;
pub(crate) type Peer = RecordPeer<TcpStream>;

/// The configurations of one suite. The client resumes nothing, so that every handshake is alike.
#[derive(Clone)]
pub(crate) struct Configs {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

/// Certificates are made once for all tests: they are what takes longest in a short test.
static CONFIGS: LazyLock<HashMap<Suite, Configs>> = LazyLock::new(|| {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let configs = Suite::ALL.into_iter().map(|suite| {
        let mut client = certificates.client_config(suite);
        client.resumption = Resumption::disabled();
        let configs = Configs {
            server: Arc::new(certificates.server_config(suite)),
            client: Arc::new(client),
        };
        (suite, configs)
    });
    configs.collect()
});

/// Bytes that show where they are from, at whatever record boundary they are cut.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    static TILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        (0..64_007)
            .map(|n| (n % 251) as u8 ^ (n / 251) as u8)
            .collect()
    });
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        bytes.extend_from_slice(&TILE[..TILE.len().min(len - bytes.len())]);
    }
    bytes
}

pub(crate) fn name() -> ServerName<'static> {
    SERVER_NAME.try_into().unwrap()
}

/// Both ends of a TCP connection on which nobody waits forever.
pub(crate) fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    for socket in [&ours, &theirs] {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    (ours, theirs)
}

pub(crate) fn to_tokio(socket: TcpStream) -> tokio::net::TcpStream {
    socket.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(socket).unwrap()
}

/// Runs a future on a runtime of this thread.
pub(crate) fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

impl Case {
    pub(crate) fn configs(self) -> Configs {
        CONFIGS[&self.suite].clone()
    }

    /// A server under test, and a client whose records the test makes.
    pub(crate) fn server(self) -> (Server, Peer) {
        self.server_over(sockets())
    }

    /// [`server`](Self::server) over these sockets: the server's first.
    pub(crate) fn server_over(self, (ours, theirs): (TcpStream, TcpStream)) -> (Server, Peer) {
        let client = (*self.configs().client).clone();
        let peer = thread::spawn(move || RecordPeer::client(theirs, client));
        let stream = self.accept(ours);
        (stream, peer.join().unwrap())
    }

    /// [`server_over`](Self::server_over), for a handshake that may fail.
    pub(crate) fn try_server(self, (ours, theirs): (TcpStream, TcpStream)) -> io::Result<Server> {
        let client = (*self.configs().client).clone();
        let peer = thread::spawn(move || RecordPeer::client(theirs, client));
        let stream = self.acceptor().accept(ours);
        peer.join().unwrap();
        stream
    }

    /// A client under test, and a server whose records the test makes.
    pub(crate) fn client(self) -> (Client, Peer) {
        let (ours, theirs) = sockets();
        let server = (*self.configs().server).clone();
        let peer = thread::spawn(move || RecordPeer::server(theirs, server));
        let connector = blocking::TlsConnector::from(self.configs().client);
        let connector = connector.offload(self.offloads());
        let stream = connector.connect(name(), ours).unwrap();
        // The other direction moves when the tickets that may have come have been read.
        assert_eq!(stream.engines().tx, self.engines.tx);
        (stream, peer.join().unwrap())
    }

    /// Two streams of underseal's: a server under test, and a client on the user engine.
    pub(crate) fn both(self) -> (Server, Client) {
        let (ours, theirs) = sockets();
        let connector = blocking::TlsConnector::from(self.configs().client).offload(Offload::User);
        let client = thread::spawn(move || connector.connect(name(), theirs).unwrap());
        let stream = self.accept(ours);
        (stream, client.join().unwrap())
    }

    /// [`both`](Self::both) on tokio.
    pub(crate) async fn tokio_both(self) -> (TokioServer, TokioClient) {
        let (ours, theirs) = sockets();
        let connector = TlsConnector::from(self.configs().client).offload(Offload::User);
        let acceptor = self.tokio_acceptor();
        let accept = acceptor.accept(to_tokio(ours));
        let connect = connector.connect(name(), to_tokio(theirs));
        let (server, client) = tokio::join!(accept, connect);
        let server = server.unwrap();
        assert_eq!(server.engines(), self.engines);
        (server, client.unwrap())
    }

    /// A tokio server under test, and a client whose records the test makes.
    pub(crate) async fn tokio_server(self) -> (TokioServer, Peer) {
        let (ours, theirs) = sockets();
        let client = (*self.configs().client).clone();
        let peer = thread::spawn(move || RecordPeer::client(theirs, client));
        let stream = self.tokio_acceptor().accept(to_tokio(ours)).await.unwrap();
        assert_eq!(stream.engines(), self.engines);
        (stream, peer.join().unwrap())
    }

    pub(crate) fn acceptor(self) -> blocking::TlsAcceptor {
        blocking::TlsAcceptor::from(self.configs().server).offload(self.offloads())
    }

    fn tokio_acceptor(self) -> TlsAcceptor {
        TlsAcceptor::from(self.configs().server).offload(self.offloads())
    }

    /// Accepts on the engines of this case and no others.
    pub(crate) fn accept(self, socket: TcpStream) -> Server {
        let stream = self.acceptor().accept(socket).unwrap();
        assert_eq!(stream.engines(), self.engines);
        stream
    }
}
