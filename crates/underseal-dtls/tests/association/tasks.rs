//! The socket of tokio.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use underseal_dtls::{Discard, DtlsSocket, Error};

use crate::{parts, sockets};

pub(crate) fn adopt(socket: UdpSocket) -> tokio::net::UdpSocket {
    socket.set_nonblocking(true).unwrap();
    tokio::net::UdpSocket::from_std(socket).unwrap()
}

pub(crate) fn pair() -> (DtlsSocket, DtlsSocket) {
    let (near, far) = sockets();
    let near = DtlsSocket::from_parts(adopt(near), parts(0)).unwrap();
    (near, DtlsSocket::from_parts(adopt(far), parts(1)).unwrap())
}

#[tokio::test]
async fn tasks_send_and_receive_at_once() {
    let (near, far) = pair();
    let echo = async {
        let mut buffer = [0; 100];
        for _ in 0..50 {
            let len = far.recv(&mut buffer).await.unwrap();
            far.send(&buffer[..len]).await.unwrap();
        }
    };
    let ask = async {
        let mut buffer = [0; 100];
        for number in 0..50_u8 {
            near.send(&[number]).await.unwrap();
            assert_eq!(near.recv(&mut buffer).await.unwrap(), 1);
            assert_eq!(buffer[0], number);
        }
    };
    tokio::join!(echo, ask);
}

#[tokio::test]
async fn a_cancelled_receive_loses_nothing() {
    let (near, far) = pair();
    let mut buffer = [0; 100];
    let waited = tokio::time::timeout(Duration::from_millis(10), far.recv(&mut buffer)).await;
    assert!(waited.is_err());
    near.send(b"later").await.unwrap();
    assert_eq!(far.recv(&mut buffer).await.unwrap(), 5);
}

#[tokio::test]
async fn a_flood_of_forged_datagrams_leaves_other_tasks_running() {
    let (near, far) = pair();
    let stranger = near.socket();
    let mut buffer = [0; 100];
    let receive = far.recv(&mut buffer);
    let flood = async {
        for _ in 0..1000 {
            match stranger.send(b"forged").await {
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                _ => tokio::task::yield_now().await,
            }
        }
        near.send(b"good").await.unwrap();
    };
    let (received, ()) = tokio::join!(receive, flood);
    assert_eq!(received.unwrap(), 4);
    assert!(far.counters().dropped(Discard::Truncated) > 0);
}

#[tokio::test]
async fn a_flood_of_authentic_datagrams_leaves_other_tasks_running() {
    const SENT: usize = 200;
    let (near, far) = pair();
    for _ in 0..SENT {
        near.send(b"fast").await.unwrap();
    }
    far.socket().readable().await.unwrap();
    let received = Cell::new(0);
    let receive = async {
        for _ in 0..SENT {
            far.recv(&mut [0; 100]).await.unwrap();
            received.set(received.get() + 1);
        }
    };
    let ((), seen) = tokio::join!(receive, async { received.get() });
    assert!(seen < SENT);
}

#[tokio::test]
async fn a_close_notify_ends_the_peers_receiving() {
    let (near, far) = pair();
    near.close();
    let ended = far.recv(&mut [0; 10]).await;
    assert!(matches!(ended, Err(Error::ClosedByPeer)));
    assert!(matches!(far.send(b"x").await, Err(Error::Closed)));
}
