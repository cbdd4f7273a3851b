//! Connections that are closed while their peer still sends, and reads late: it gets every reply and
//! the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;
use underseal::mux::{Attached, Closed, Framing};
use underseal::{Mux, TlsAcceptor, TlsConnector};
use underseal_message::{LengthPrefixed, Width};
use underseal_testkit::{Certificates, KeyType, SERVER_NAME, Suite};

use crate::bed::{frame, recv, within};

const REPLY: usize = 400 * 1024;

pub(crate) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(near, listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn small_mux() -> Mux {
    Mux::new(Framing::new(1000, || LengthPrefixed::new(Width::U16)))
}

/// What makes the connection end, after a request of which the reply is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    TooLongMessage,
    Close,
    Shutdown,
}

impl Cause {
    const ALL: [Self; 3] = [Self::TooLongMessage, Self::Close, Self::Shutdown];
}

/// Has one request answered and the connection ended, while the peer sends on and reads late.
async fn all_is_delivered<S: 'static>(
    cause: Cause,
    mux: Mux,
    mut peer: impl AsyncRead + AsyncWrite + Unpin,
    attached: Attached<S>,
) {
    let mut worker = mux.worker();
    // What the peer sends on comes when the end has begun: before, it would be one more request.
    let ending = Notify::new();
    let serve = async {
        let message = recv(&mut worker).await;
        match cause {
            Cause::TooLongMessage => {}
            Cause::Close => attached.close(),
            Cause::Shutdown => {
                let mux = mux.clone();
                tokio::spawn(async move { mux.shutdown().await });
                tokio::task::yield_now().await;
            }
        }
        ending.notify_one();
        message.reply(&vec![7; REPLY]).await.unwrap();
        // Somebody has to look after what is sent later.
        let over = worker.recv();
        tokio::select! {
            _ = over => {}
            _ = attached.closed() => {}
        }
        attached.closed().await
    };
    let ask = async {
        peer.write_all(&frame(b"?")).await.unwrap();
        peer.flush().await.unwrap();
        ending.notified().await;
        sleep(Duration::from_millis(50)).await;
        let more = match cause {
            // Of a message that may not be so long, and what follows.
            Cause::TooLongMessage => vec![0xee; 5000],
            Cause::Close | Cause::Shutdown => frame(b"and another one"),
        };
        peer.write_all(&more).await.unwrap();
        peer.flush().await.unwrap();
        sleep(Duration::from_millis(150)).await;
        let mut reply = Vec::new();
        let read = peer.read_to_end(&mut reply).await;
        drop(peer);
        (read, reply)
    };
    let (closed, (read, reply)) = within(async { tokio::join!(serve, ask) }).await;
    assert_eq!(reply.len(), REPLY, "{cause:?}: {read:?}");
    read.unwrap();
    match cause {
        Cause::TooLongMessage => assert!(matches!(closed, Closed::Framing(_)), "{closed}"),
        Cause::Close => assert!(matches!(closed, Closed::ByOwner), "{closed}"),
        Cause::Shutdown => assert!(matches!(closed, Closed::Shutdown), "{closed}"),
    }
}

#[tokio::test]
async fn a_peer_that_sends_on_gets_its_replies_over_tcp() {
    for cause in Cause::ALL {
        let mux = small_mux();
        let (peer, server) = sockets().await;
        let attached = mux.attach(server).expect("attach");
        all_is_delivered(cause, mux, peer, attached).await;
    }
}

#[tokio::test]
async fn a_peer_that_sends_on_gets_its_replies_over_tls() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
        for cause in Cause::ALL {
            let (peer, server) = sockets().await;
            let name = SERVER_NAME.try_into().unwrap();
            let (peer, server) = within(async {
                tokio::join!(connector.connect(name, peer), acceptor.accept(server))
            })
            .await;
            let mux = small_mux();
            let attached = mux.attach(server.unwrap()).expect("attach");
            all_is_delivered(cause, mux, peer.unwrap(), attached).await;
        }
    }
}

/// A peer that never closes and never stops sending keeps nothing for itself.
#[tokio::test]
async fn a_peer_that_does_not_close_is_dropped_in_the_end() {
    for sends in [false, true] {
        let mux = small_mux();
        let (mut peer, server) = sockets().await;
        let attached = mux.attach(server).expect("attach");
        let mut worker = mux.worker();
        attached.close();
        let flood = async {
            while sends && peer.write_all(&[1; 10_000]).await.is_ok() {}
            std::future::pending::<()>().await;
        };
        let closed = within(async {
            tokio::select! {
                () = flood => unreachable!("it never ends"),
                closed = attached.closed() => closed,
                _ = worker.recv() => unreachable!("nothing is handed out"),
            }
        });
        assert!(matches!(closed.await, Closed::ByOwner));
    }
}
