//! Both ends of an established connection, made without a handshake each time.

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use tokio::io::{BufStream, DuplexStream, duplex};
use underseal::{Parts, TlsAcceptor, TlsConnector, TlsStream, client, server};
use underseal_testkit::{Certificates, FaultyStream, KeyType, SERVER_NAME, Suite};

/// A pipe that takes little, and what keeps bytes for itself above it until it is flushed.
pub(crate) type Io = BufStream<FaultyStream<DuplexStream>>;

/// Both ends under each version, as bytes.
static ENDS: LazyLock<[[Vec<u8>; 2]; 2]> = LazyLock::new(|| Suite::EACH_VERSION.map(ends));

fn ends(suite: Suite) -> [Vec<u8>; 2] {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut server = certificates.server_config(suite);
    // Those on their way would be lost.
    server.send_tls13_tickets = 0;
    let (left, right) = duplex(1 << 16);
    let name = SERVER_NAME.try_into().expect("a name");
    let accept = TlsAcceptor::from(Arc::new(server)).accept(left);
    let connect = TlsConnector::from(Arc::new(certificates.client_config(suite)));
    let mut connect = pin!(connect.connect(name, right));
    let mut accept = pin!(accept);
    let mut cx = Context::from_waker(Waker::noop());
    let (mut client, mut server) = (None, None);
    while client.is_none() || server.is_none() {
        if client.is_none() {
            client = ready(connect.as_mut().poll(&mut cx));
        }
        if server.is_none() {
            server = ready(accept.as_mut().poll(&mut cx));
        }
    }
    let client = client.map(|stream| stream.into_parts().expect("parts").into_bytes().1);
    let server = server.map(|stream| stream.into_parts().expect("parts").into_bytes().1);
    [client, server].map(|bytes| bytes.expect("made above").to_vec())
}

fn ready<T>(polled: Poll<std::io::Result<T>>) -> Option<T> {
    match polled {
        Poll::Ready(result) => Some(result.expect("a handshake")),
        Poll::Pending => None,
    }
}

/// A client and a server over a pipe of `capacity` bytes each way, below `buffer` bytes that are
/// kept until they are flushed.
pub(crate) fn pair(is_tls13: bool, capacity: usize, buffer: usize) -> [TlsStream<Io>; 2] {
    let (left, right) = duplex(capacity);
    let below = |pipe| BufStream::with_capacity(buffer, buffer, FaultyStream::new(pipe));
    let [client, server] = &ENDS[usize::from(!is_tls13)];
    let client = Parts::from_bytes(below(left), client).map(client::TlsStream::from_parts);
    let server = Parts::from_bytes(below(right), server).map(server::TlsStream::from_parts);
    [
        TlsStream::from(client.expect("parts").expect("a stream")),
        TlsStream::from(server.expect("parts").expect("a stream")),
    ]
}
