//! Peers that take their time.
//!
//! Paused time passes only when everybody waits: a timeout is a deadlock, found at once.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::time::timeout;
use underseal::{TlsAcceptor, TlsConnector};
use underseal_testkit::{Certificates, Faults, FaultyStream, KeyType, Suite};

use crate::subject::name;

/// Small pieces and many refusals, in both directions. The pipes below are large enough for what
/// both sides say at once in a handshake: with less room than that, any two TLS peers block each
/// other.
fn dribble() -> Faults {
    Faults {
        most_bytes: Some(1),
        would_block_every: Some(3),
        ..Faults::default()
    }
}

#[tokio::test(start_paused = true)]
async fn one_byte_per_packet_is_slow_and_correct() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let (left, right) = duplex(4_096);
        let left = FaultyStream::new(left)
            .on_read(dribble())
            .on_write(dribble());
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let connector =
            tokio_rustls::TlsConnector::from(Arc::new(certificates.client_config(suite)));
        let data: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8).collect();
        let echo = async {
            let mut stream = acceptor.accept(left).await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            stream.write_all(&all).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let client = async {
            let stream = connector.connect(name(), right).await.unwrap();
            let (mut reader, mut writer) = tokio::io::split(stream);
            writer.write_all(&data).await.unwrap();
            writer.shutdown().await.unwrap();
            let mut back = Vec::new();
            reader.read_to_end(&mut back).await.unwrap();
            back
        };
        let both = async { tokio::join!(echo, client) };
        let ((), back) = timeout(Duration::from_secs(1), both).await.unwrap();
        assert!(back == data, "{suite:?}");
    }
}

/// A client's handshake in single bytes, too, where both ends are underseal's.
#[tokio::test(start_paused = true)]
async fn both_ends_take_single_bytes() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let (left, right) = duplex(4_096);
        let right = FaultyStream::new(right)
            .on_read(dribble())
            .on_write(dribble());
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
        let server = async {
            let mut stream = acceptor.accept(left).await.unwrap();
            let mut byte = [0];
            let mut all = Vec::new();
            while stream.read(&mut byte).await.unwrap() > 0 {
                all.push(byte[0]);
            }
            all
        };
        let client = async {
            let mut stream = connector.connect(name(), right).await.unwrap();
            stream.write_all(b"drop by drop").await.unwrap();
            stream.shutdown().await.unwrap();
            stream
        };
        let both = async { tokio::join!(server, client) };
        let (all, _) = timeout(Duration::from_secs(1), both).await.unwrap();
        assert_eq!(all, b"drop by drop");
    }
}

/// A peer that stops reading: the writer waits, with a bounded amount of data sealed, and goes on
/// when the peer does.
#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_costs_a_bounded_amount_of_memory() {
    const BATCH: usize = 256 * 1024;
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let (left, right) = duplex(10_000);
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let connector =
            tokio_rustls::TlsConnector::from(Arc::new(certificates.client_config(suite)));
        let (stream, peer) = tokio::join!(acceptor.accept(left), connector.connect(name(), right));
        let (mut stream, mut peer) = (stream.unwrap(), peer.unwrap());

        let chunk = vec![5; 1 << 20];
        let mut taken = 0;
        for _ in 0..1_000 {
            let write =
                std::future::poll_fn(|cx| match Pin::new(&mut stream).poll_write(cx, &chunk) {
                    std::task::Poll::Ready(result) => std::task::Poll::Ready(Some(result)),
                    std::task::Poll::Pending => std::task::Poll::Ready(None),
                });
            match write.await {
                Some(result) => taken += result.unwrap(),
                None => break,
            }
        }
        let pending = stream.pending_bytes();
        assert!(pending > 0);
        assert!(
            taken <= 2 * BATCH,
            "{taken} bytes were taken from a writer that has to wait"
        );
        assert!(pending <= BATCH + 32 * 64, "{pending} bytes are held");
        let waits = timeout(Duration::from_millis(20), stream.write(&chunk)).await;
        assert!(waits.is_err(), "the writer waits");

        let reader = async {
            let mut received = vec![0; taken + chunk.len()];
            peer.read_exact(&mut received).await.unwrap();
            received
        };
        let writer = async {
            stream.write_all(&chunk).await.unwrap();
            stream.flush().await.unwrap();
        };
        let (received, ()) = tokio::join!(reader, writer);
        assert!(received.iter().all(|byte| *byte == 5));
        assert_eq!(stream.pending_bytes(), 0);
    }
}

/// Dropped read and write futures lose nothing and send nothing twice.
#[tokio::test(start_paused = true)]
async fn futures_that_are_dropped_lose_nothing() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let (left, right) = duplex(700);
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let connector =
            tokio_rustls::TlsConnector::from(Arc::new(certificates.client_config(suite)));
        let (stream, peer) = tokio::join!(acceptor.accept(left), connector.connect(name(), right));
        let (mut stream, peer) = (stream.unwrap(), peer.unwrap());
        let data: Vec<u8> = (0..200_000u32).map(|n| (n % 241) as u8).collect();
        let expected = data.clone();
        let echo = tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(peer);
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        });

        let (mut sent, mut received, mut closed) = (0, Vec::<u8>::new(), false);
        let mut buffer = [0; 3_000];
        loop {
            // Whichever is ready first wins, and the other future is dropped half way.
            tokio::select! {
                written = stream_write(&mut stream, &data[sent..]), if sent < data.len() => {
                    sent += written;
                }
                () = tokio::task::yield_now() => {}
            }
            // What is still to be sent may be more than the echo takes while nobody reads it.
            tokio::select! {
                done = stream.shutdown(), if sent == data.len() && !closed => {
                    done.unwrap();
                    closed = true;
                }
                () = tokio::task::yield_now() => {}
            }
            tokio::select! {
                read = stream.read(&mut buffer) => match read.unwrap() {
                    0 => break,
                    n => received.extend(&buffer[..n]),
                },
                () = tokio::task::yield_now() => {}
            }
        }
        echo.await.unwrap();
        assert!(received == expected, "{suite:?}");
    }
}

async fn stream_write<S: AsyncWrite + Unpin>(stream: &mut S, data: &[u8]) -> usize {
    stream.write(data).await.unwrap()
}
