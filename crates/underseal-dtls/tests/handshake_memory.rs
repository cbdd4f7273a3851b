//! What a listener's handshake comes to hold, by the client's choice.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use malloc_info::info::{SystemType, TotalType};
use openssl::ssl::{Ssl, SslContext, SslFiletype, SslMethod, SslStream};
use underseal_dtls::{DtlsListener, HandshakeIo, ListenerConfig, Unadmitted};
use underseal_testkit::{Certificates, KeyType};

/// What one may hold of a client that does as it should, and of one that does what it can.
const HONEST: usize = 100 << 10;
const GREEDY: usize = 400 << 10;
const HANDSHAKES: usize = 16;

/// Not a test of a runner, which would allocate beside it.
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut server = Server::new(&certificates).await;
    // Whatever is made once.
    let _first = server.begin().await;
    let before = in_use();
    let mut clients = Vec::new();
    for _ in 0..HANDSHAKES {
        clients.push(server.begin().await);
    }
    let honest = (in_use() - before) / HANDSHAKES;
    println!("bytes of a handshake under way: {honest}");
    for client in &clients {
        let [records, messages, datagrams] = [early_records(), messages(1 << 14), tiny_datagrams()];
        server.take(client, &records).await;
        server.take(client, &messages).await;
        server.take(client, &datagrams).await;
    }
    let greedy = (in_use() - before) / HANDSHAKES;
    println!("bytes of one whose client does what it can: {greedy}");
    assert!(honest <= HONEST && greedy <= GREEDY);
    assert_eq!(server.listener.counters().handshakes_failed, 0);
    // Of a length that only a list of certificates has.
    let client = server.begin().await;
    server.take(&client, &messages(100 << 10)).await;
    assert_eq!(server.listener.counters().handshakes_failed, 1);
}

struct Server {
    listener: DtlsListener,
    client: SslContext,
    marker: UdpSocket,
}

impl Server {
    async fn new(certificates: &Certificates) -> Self {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut context = SslContext::builder(SslMethod::dtls_server()).unwrap();
        let certificate = certificates.server_cert_file();
        context.set_certificate_chain_file(certificate).unwrap();
        let key = certificates.server_key_file();
        context.set_private_key_file(key, SslFiletype::PEM).unwrap();
        let mut config = ListenerConfig::default();
        config.handshake_timeout = Duration::from_secs(600);
        let address = socket.local_addr().unwrap();
        Self {
            listener: DtlsListener::new(socket, context, config).unwrap(),
            client: SslContext::builder(SslMethod::dtls_client())
                .unwrap()
                .build(),
            marker: connected(address),
        }
    }

    /// A client that has shown its cookie, and says nothing more of its handshake.
    async fn begin(&mut self) -> UdpSocket {
        let socket = connected(self.listener.socket().local_addr().unwrap());
        let client = socket.try_clone().unwrap();
        let mut ssl = Ssl::new(&self.client).unwrap();
        ssl.set_connect_state();
        let mut stream = SslStream::new(ssl, HandshakeIo::new(socket).unwrap()).unwrap();
        for _ in 0..2 {
            stream.do_handshake().unwrap_err();
            self.take_all().await;
        }
        client
    }

    /// Has the listener take what a client sends.
    async fn take(&mut self, client: &UdpSocket, datagrams: &[Vec<u8>]) {
        for few in datagrams.chunks(64) {
            for datagram in few {
                client.send(datagram).unwrap();
            }
            self.take_all().await;
        }
    }

    /// Has the listener take what its socket has.
    async fn take_all(&mut self) {
        let taken = |server: &Self| server.listener.counters().unadmitted(Unadmitted::Truncated);
        let before = taken(self);
        self.marker.send(b"taken?").unwrap();
        while taken(self) == before {
            let received = self.listener.recv(&mut []);
            // What it tells of is counted, too.
            let _ = tokio::time::timeout(Duration::from_millis(1), received).await;
        }
    }
}

fn connected(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// As many as OpenSSL keeps for later.
fn early_records() -> Vec<Vec<u8>> {
    let record = |seq: u8| vec![22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, seq, 0, 2, 7, 7];
    (0..100).map(record).collect()
}

/// The first bytes of messages that come before their time, and are said to be this long.
fn messages(len: u32) -> Vec<Vec<u8>> {
    let [_, a, b, c] = len.to_be_bytes();
    let fragment = |seq: u8| {
        let record = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, seq, 0, 13];
        let header = [16, a, b, c, 0, seq, 0, 0, 0, 0, 0, 1];
        [&record[..], &header, &[7]].concat()
    };
    (3..13).map(fragment).collect()
}

/// Those that are kept until the end of a handshake.
fn tiny_datagrams() -> Vec<Vec<u8>> {
    let record = |seq: u16| {
        let [high, low] = seq.to_be_bytes();
        vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, high, low, 0, 1, 7]
    };
    (0..5000).map(record).collect()
}

/// Bytes that malloc has given out and not got back, to OpenSSL too.
fn in_use() -> usize {
    let malloc = malloc_info::malloc_info().unwrap();
    let current = |kind: &SystemType| *kind == SystemType::Current;
    let system = malloc.system.iter().filter(|part| current(&part.r#type));
    let is_mapped = |kind: &TotalType| *kind == TotalType::Mmap;
    let (mapped, free): (Vec<_>, Vec<_>) = malloc
        .total
        .iter()
        .partition(|part| is_mapped(&part.r#type));
    let given = system.map(|part| part.size).sum::<usize>();
    given + mapped.iter().map(|part| part.size).sum::<usize>()
        - free.iter().map(|part| part.size).sum::<usize>()
}
