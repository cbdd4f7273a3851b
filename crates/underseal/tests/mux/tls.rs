//! TLS over real sockets.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use underseal::mux::{Attached, Closed};
use underseal::{Error, KeyUpdateRequest, Mux, TlsAcceptor, TlsConnector, TlsStream};
use underseal_testkit::{Certificates, KeyType, SERVER_NAME, Suite};

use crate::bed::{body, echo, frame, framing, recv, within};

type Tls = TlsStream<TcpStream>;

/// A client and a server that are connected.
async fn tls(suite: Suite) -> (Tls, Tls) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = SERVER_NAME.try_into().unwrap();
        connector.connect(name, tcp).await.unwrap()
    };
    let server = async {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await.unwrap()
    };
    let (client, server) = within(async { tokio::join!(client, server) }).await;
    (client.into(), server.into())
}

async fn served(mux: &Mux, suite: Suite) -> (Tls, Attached<Tls>) {
    let (client, server) = tls(suite).await;
    (client, mux.attach(server).expect("attach"))
}

async fn reply(client: &mut Tls) -> Vec<u8> {
    within(async {
        let len = client.read_u16().await.unwrap();
        let mut body = vec![0; usize::from(len)];
        client.read_exact(&mut body).await.unwrap();
        body
    })
    .await
}

/// What Linux' KCM over kernel TLS frames wrongly, never delivers, or hangs on.
#[tokio::test]
async fn messages_are_framed_by_their_own_bytes_whatever_the_records() {
    for suite in Suite::EACH_VERSION {
        let mux = Mux::new(framing());
        tokio::spawn(echo(mux.worker()));
        let (mut client, _attached) = served(&mux, suite).await;
        for len in [3, 10, 3000, 40_000] {
            client.write_all(&frame(&vec![1; len])).await.unwrap();
            client.flush().await.unwrap();
            assert_eq!(reply(&mut client).await, vec![1; len]);
        }
        // Two in one record, and one in two.
        let two = [frame(b"one"), frame(b"two")].concat();
        client.write_all(&two).await.unwrap();
        client.flush().await.unwrap();
        let (front, back) = (&frame(b"three")[..4], &frame(b"three")[4..]);
        for part in [front, back] {
            client.write_all(part).await.unwrap();
            client.flush().await.unwrap();
        }
        for expected in [&b"one"[..], b"two", b"three"] {
            assert_eq!(reply(&mut client).await, expected);
        }
    }
}

#[tokio::test]
async fn control_records_between_messages_are_none() {
    let mux = Mux::new(framing());
    tokio::spawn(echo(mux.worker()));
    let (client, _attached) = served(&mux, Suite::Tls13Aes128).await;
    let TlsStream::Client(mut client) = client else {
        panic!("the client is one");
    };
    for number in 0..5 {
        client.write_all(&frame(&[number])[..2]).await.unwrap();
        client.flush().await.unwrap();
        let request = KeyUpdateRequest::Requested;
        client.key_update(request).await.unwrap();
        client.write_all(&[number]).await.unwrap();
        client.flush().await.unwrap();
        let mut reply = [0; 3];
        within(client.read_exact(&mut reply)).await.unwrap();
        assert_eq!(reply[..], frame(&[number]));
    }
}

#[tokio::test]
async fn close_notify_is_an_end_and_its_absence_a_failure() {
    let mux = Mux::new(framing());
    tokio::spawn(echo(mux.worker()));
    let (mut client, attached) = served(&mux, Suite::Tls13Aes128).await;
    client.write_all(&frame(b"last")).await.unwrap();
    client.shutdown().await.unwrap();
    // The reply, then a close_notify.
    let mut rest = Vec::new();
    within(client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, frame(b"last"));
    assert!(matches!(within(attached.closed()).await, Closed::ByPeer));

    let (mut client, attached) = served(&mux, Suite::Tls13Aes128).await;
    // Dropping it with tickets unread would reset the connection.
    client.write_all(&frame(b"?")).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(reply(&mut client).await, b"?");
    drop(client);
    let Closed::Io(error) = within(attached.closed()).await else {
        panic!("a stream without close_notify may be cut short");
    };
    assert!(
        matches!(Error::of(&error), Some(Error::Truncated)),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_side_is_served_like_any_other() {
    let mux = Mux::new(framing());
    let (client, mut server) = tls(Suite::Tls13Aes128).await;
    let _attached = mux.attach(client).expect("attach");
    let mut worker = mux.worker();
    server.write_all(&frame(b"pushed")).await.unwrap();
    server.flush().await.unwrap();
    let message = recv(&mut worker).await;
    assert_eq!(body(&message), b"pushed");
    message.reply(&frame(b"thanks")).await.unwrap();
    assert_eq!(reply(&mut server).await, b"thanks");
}

#[tokio::test]
async fn a_detached_stream_keeps_its_keys_and_numbers() {
    let mux = Mux::new(framing());
    tokio::spawn(echo(mux.worker()));
    let (mut client, attached) = served(&mux, Suite::Tls13Aes128).await;
    client.write_all(&frame(b"1")).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(reply(&mut client).await, b"1");
    let mut server = within(attached.detach()).await.expect("it is open").stream;
    client.write_all(b"raw").await.unwrap();
    client.flush().await.unwrap();
    let mut raw = [0; 3];
    within(server.read_exact(&mut raw)).await.unwrap();
    assert_eq!(&raw, b"raw");
}
