//! How connections end, in order and not.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use underseal::{Error, TlsAcceptor, TlsConnector, blocking};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};
use underseal_testkit::{Certificates, KeyType, Pipe, RecordPeer, Suite, pair};

use crate::subject::{Runtime, Side, attack, name};

const CLOSE_NOTIFY: [u8; 2] = [1, 0];

#[test]
fn close_notify_is_the_end_and_nothing_after_it_is_delivered() {
    for runtime in Runtime::ALL {
        for suite in Suite::EACH_VERSION {
            for side in Side::ALL {
                let (outcome, _) = attack(runtime, side, suite, |peer| {
                    peer.send(APPLICATION_DATA, b"all of it");
                    let end = peer.record(ALERT, &CLOSE_NOTIFY);
                    let late = peer.record(APPLICATION_DATA, b"too late");
                    peer.send_bytes(&[&end, &late, &b"and garbage"[..]].concat());
                    peer.receive()
                });
                assert!(outcome.end.is_ok(), "{:?}", outcome.end);
                assert_eq!(outcome.data, b"all of it");
                assert_eq!(outcome.again.unwrap(), 0);
                assert!(outcome.write.is_ok(), "half closed: this side may go on");
            }
        }
    }
}

#[test]
fn the_end_of_the_tcp_stream_alone_is_a_truncation() {
    for runtime in Runtime::ALL {
        for suite in Suite::EACH_VERSION {
            for side in Side::ALL {
                let (outcome, ()) = attack(runtime, side, suite, |peer| {
                    peer.send(APPLICATION_DATA, b"how much more?");
                    peer.io().shutdown(Shutdown::Write).unwrap();
                });
                assert_eq!(outcome.kind(), ErrorKind::UnexpectedEof);
                assert!(matches!(outcome.error(), Error::Truncated));
                assert_eq!(outcome.error().alert(), None);
                assert_eq!(outcome.data, b"how much more?");
                assert_eq!(outcome.again.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            }
        }
    }
}

#[test]
fn the_end_of_the_tcp_stream_inside_a_record_is_a_truncation() {
    for runtime in Runtime::ALL {
        for cut in [1, 4, 5, 6, 40] {
            let (outcome, ()) = attack(runtime, Side::Server, Suite::Tls13ChaCha20, |peer| {
                peer.send(APPLICATION_DATA, b"whole");
                let record = peer.record(APPLICATION_DATA, &[7; 100]);
                peer.send_bytes(&record[..cut]);
                peer.io().shutdown(Shutdown::Write).unwrap();
            });
            assert_eq!(outcome.kind(), ErrorKind::UnexpectedEof, "{cut}");
            assert!(matches!(outcome.error(), Error::Truncated));
            assert_eq!(outcome.data, b"whole");
        }
    }
}

/// An established connection in memory: the stream under test is the server.
fn in_memory(
    suite: Suite,
    capacity: usize,
) -> (
    blocking::TlsStream<Pipe, underseal::ServerConnection>,
    RecordPeer<Pipe>,
) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (left, right) = pair(capacity);
    let client = certificates.client_config(suite);
    let peer = thread::spawn(move || RecordPeer::client(right, client));
    let acceptor = blocking::TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    let stream = acceptor.accept(left).unwrap();
    (stream, peer.join().unwrap())
}

#[test]
fn a_reset_inside_a_record_is_the_error_of_the_socket() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = in_memory(suite, 1 << 16);
        let record = peer.record(APPLICATION_DATA, &[7; 100]);
        peer.send_bytes(&record[..50]);
        stream.get_mut().0.set_nonblocking(true);
        let mut buffer = [0; 200];
        assert_eq!(
            stream.read(&mut buffer).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        peer.io().reset();
        for _ in 0..3 {
            let error = stream.read(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert!(Error::of(&error).is_none(), "not a fault of TLS");
        }
        let error = stream
            .write_all(b"gone")
            .and_then(|()| stream.flush())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        // The stream has a hole now: no later record may follow.
        assert_eq!(
            stream.write(b"gone").unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    }
}

#[test]
fn each_side_may_close_its_direction_alone() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = in_memory(suite, 1 << 16);
        stream.write_all(b"the last of ours").unwrap();
        stream.shutdown().unwrap();
        assert_eq!(peer.receive_data(), (b"the last of ours".to_vec(), true));
        assert_eq!(
            stream.write(b"more").unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );

        peer.send(APPLICATION_DATA, b"still sending");
        let mut buffer = [0; 13];
        stream.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"still sending");
        peer.send(ALERT, &CLOSE_NOTIFY);
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);

        let (mut stream, mut peer) = in_memory(suite, 1 << 16);
        peer.send(ALERT, &CLOSE_NOTIFY);
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
        stream.write_all(b"still answering").unwrap();
        stream.shutdown().unwrap();
        assert_eq!(peer.receive_data(), (b"still answering".to_vec(), true));
    }
}

#[test]
fn close_notify_is_sent_once() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = in_memory(suite, 1 << 16);
        for _ in 0..3 {
            stream.shutdown().unwrap();
        }
        drop(stream);
        assert_eq!(peer.receive_data(), (Vec::new(), true));
        assert_eq!(peer.receive(), None);
    }
}

/// A transfer that was cut short must not look complete.
#[test]
fn a_dropped_stream_sends_nothing() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = in_memory(suite, 1 << 16);
        stream.write_all(&[1; 30_000]).unwrap();
        drop(stream);
        assert_eq!(peer.receive_data(), (vec![1; 30_000], false));

        let (stream, mut peer) = in_memory(suite, 1 << 16);
        let (pipe, _) = stream.into_inner();
        drop(pipe);
        assert_eq!(peer.receive_data(), (Vec::new(), false));
    }
}

/// What the socket did not take waits, and close_notify waits behind it.
#[test]
fn close_notify_is_queued_across_a_full_socket() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = in_memory(suite, 20_000);
        stream.get_mut().0.set_nonblocking(true);
        let mut sent = 0;
        let full = loop {
            match stream.write(&[9; 30_000]) {
                Ok(n) => sent += n,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!(stream.pending_bytes() > 0);
        let reader = thread::spawn(move || peer.receive_data());
        let mut tries = 0;
        while let Err(error) = stream.shutdown() {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            tries += 1;
            assert!(tries < 1_000_000, "shutdown never comes to an end");
            thread::yield_now();
        }
        assert_eq!(stream.pending_bytes(), 0);
        assert_eq!(reader.join().unwrap(), (vec![9; sent], true));
    }
}

/// A fatal alert takes the same way, and what was written before it arrives first.
#[test]
fn an_alert_is_queued_across_a_full_socket() {
    let (mut stream, mut peer) = in_memory(Suite::Tls13Aes128, 20_000);
    stream.get_mut().0.set_nonblocking(true);
    let sent = stream.write(&[9; 30_000]).unwrap();
    let mut record = peer.record(APPLICATION_DATA, b"broken");
    *record.last_mut().unwrap() ^= 1;
    peer.send_bytes(&record);
    assert_eq!(
        stream.read(&mut [0; 10]).unwrap_err().kind(),
        ErrorKind::InvalidData
    );
    stream.get_mut().0.set_nonblocking(false);
    let reader = thread::spawn(move || {
        let mut received = 0;
        loop {
            match peer.receive() {
                Some((APPLICATION_DATA, data)) => received += data.len(),
                Some((ALERT, alert)) => break (received, alert),
                Some(_) => {}
                None => panic!("no alert"),
            }
        }
    });
    stream.flush().unwrap();
    assert_eq!(reader.join().unwrap(), (sent, vec![2, 20]));
}

/// A stream that is no longer connected when it is shut down, as a TCP socket after a reset.
struct NotConnected<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for NotConnected<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for NotConnected<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(ErrorKind::NotConnected.into()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_left_first_does_not_make_shutdown_fail() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let (left, right) = tokio::io::duplex(1 << 16);
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
        let accept = acceptor.accept(NotConnected(left));
        let (server, client) = tokio::join!(accept, connector.connect(name(), right));
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}
