//! Established connections over TCP on the loopback.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::thread;

use underseal::rustls::ServerConfig;
use underseal::{Engine, Engines, Offload, Offloads, ServerConnection, blocking};
use underseal_testkit::record_peer::APPLICATION_DATA;
use underseal_testkit::{Certificates, KeyType, PATIENCE, RecordPeer, Suite};

pub(crate) type Server = blocking::TlsStream<TcpStream, ServerConnection>;
pub(crate) type Peer = RecordPeer<TcpStream>;

/// Every kernel takes it, and the kernel need not replace keys: what `Auto` moves to the kernel
/// where the kernel is faster.
pub(crate) const SUITE: Suite = Suite::Tls12Aes128;

pub(crate) const KERNEL: Engines = Engines {
    tx: Engine::Kernel,
    rx: Engine::Kernel,
};

pub(crate) const USER: Engines = Engines {
    tx: Engine::User,
    rx: Engine::User,
};

static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| Certificates::new(KeyType::Ecdsa));

/// Both ends of a TCP connection, that fail where they would wait forever.
pub(crate) fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    for socket in [&ours, &theirs] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    (ours, theirs)
}

/// A server under test over the first socket, and a client whose records the test makes.
pub(crate) fn accept_over(
    sockets: (TcpStream, TcpStream),
    suite: Suite,
    offloads: impl Into<Offloads>,
) -> io::Result<(Server, Peer)> {
    accept_configured(sockets, suite, offloads, |_| {})
}

/// As [`accept_over`], with a configuration that `configure` has changed.
pub(crate) fn accept_configured(
    (ours, theirs): (TcpStream, TcpStream),
    suite: Suite,
    offloads: impl Into<Offloads>,
    configure: impl FnOnce(&mut ServerConfig),
) -> io::Result<(Server, Peer)> {
    let client = CERTIFICATES.client_config(suite);
    let peer = thread::spawn(move || RecordPeer::client(theirs, client));
    let mut server = CERTIFICATES.server_config(suite);
    // The first record that the client gets is the test's.
    server.send_tls13_tickets = 0;
    configure(&mut server);
    let acceptor = blocking::TlsAcceptor::from(Arc::new(server)).offload(offloads);
    let stream = acceptor.accept(ours)?;
    Ok((stream, peer.join().unwrap()))
}

/// A server in the kernel.
pub(crate) fn in_kernel(suite: Suite) -> (Server, Peer) {
    let (server, peer) = accept_over(sockets(), suite, Offload::Kernel).unwrap();
    assert_eq!(server.engines(), KERNEL);
    (server, peer)
}

/// Bytes that show where they are from.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|n| (n % 251) as u8 ^ (n / 251) as u8)
        .collect()
}

/// Sends a file that is large enough for `Auto` to prefer the kernel.
pub(crate) fn send_large_file(server: &mut Server, mut peer: Peer) -> Peer {
    let data = pattern(300_000);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&data).unwrap();
    let receiver = thread::spawn(move || {
        let mut received = Vec::new();
        while received.len() < 300_000 {
            received.extend(peer.receive().unwrap().1);
        }
        (peer, received)
    });
    assert_eq!(server.send_file(&file, 0..300_000).unwrap(), 300_000);
    let (peer, received) = receiver.join().unwrap();
    assert!(received == data);
    peer
}

/// Both directions carry data.
pub(crate) fn assert_alive(server: &mut Server, peer: &mut Peer) {
    use std::io::Read as _;
    peer.send(APPLICATION_DATA, b"ping");
    let mut ping = [0; 4];
    server.read_exact(&mut ping).unwrap();
    assert_eq!(&ping, b"ping");
    server.write_all(b"pong").unwrap();
    server.flush().unwrap();
    assert_eq!(peer.receive(), Some((APPLICATION_DATA, b"pong".to_vec())));
}
