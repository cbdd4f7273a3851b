//! Futures that are dropped half way: handshakes, and what a stream has besides tokio's own traits.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::task::yield_now;
use underseal::record::ContentType;
use underseal::server::LazyConfigAcceptor;
use underseal::{TlsAcceptor, TlsConnector};
use underseal_testkit::{Certificates, KeyType, Suite, pipe, poll_once};

use crate::pairs::{both, name, pattern, with_tokio_rustls};

/// What the pipe below a handshake holds: next to nothing, so that everything is waited for.
const NARROW: usize = 64;

/// What it holds under an established stream: no record fits, but the tickets do.
const WIDE: usize = 700;

/// Polls a handshake some times, while its peer goes on, and drops it.
async fn give_up_after<T>(polls: usize, handshake: impl Future<Output = T>) {
    let mut handshake = Box::pin(handshake);
    for _ in 0..polls {
        assert!(poll_once(handshake.as_mut()).is_none(), "it is complete");
        yield_now().await;
    }
}

/// That a peer whose handshake ended with `error` was told nothing, and does not wait.
fn assert_is_cut(error: &io::Error) {
    let kinds = [ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe];
    assert!(kinds.contains(&error.kind()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handshake_of_a_server_is_an_end_to_its_client() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let client = Arc::new(certificates.client_config(suite));
        let connector = tokio_rustls::TlsConnector::from(client);
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        for polls in [0, 1, 3, 6] {
            let (near, far) = duplex(NARROW);
            let gives_up = give_up_after(polls, acceptor.accept(near));
            let ((), connected) = both(gives_up, connector.connect(name(), far)).await;
            assert_is_cut(&connected.unwrap_err());

            let (near, far) = duplex(NARROW);
            let gives_up = give_up_after(polls, acceptor.accept(near).into_fallible());
            let ((), connected) = both(gives_up, connector.connect(name(), far)).await;
            assert_is_cut(&connected.unwrap_err());
        }
        // It has not read the hello yet.
        for polls in [0, 1, 2] {
            let (near, far) = duplex(NARROW);
            let lazy = LazyConfigAcceptor::new(Default::default(), near);
            let gives_up = give_up_after(polls, lazy);
            let ((), connected) = both(gives_up, connector.connect(name(), far)).await;
            assert_is_cut(&connected.unwrap_err());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handshake_of_a_client_is_an_end_to_its_server() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::EACH_VERSION {
        let server = Arc::new(certificates.server_config(suite));
        let acceptor = tokio_rustls::TlsAcceptor::from(server);
        let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
        for polls in [0, 1, 3, 6] {
            let (near, far) = duplex(NARROW);
            let gives_up = give_up_after(polls, connector.connect(name(), near));
            let ((), accepted) = both(gives_up, acceptor.accept(far)).await;
            assert_is_cut(&accepted.unwrap_err());

            let (near, far) = duplex(NARROW);
            let early = connector.connect_early(name(), near, b"early".to_vec());
            let ((), accepted) = both(give_up_after(polls, early), acceptor.accept(far)).await;
            assert_is_cut(&accepted.unwrap_err());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reader_has_lost_nothing() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_tokio_rustls(suite, WIDE).await;
        let sent = pattern(100_000);
        let data = sent.clone();
        let peer = tokio::spawn(async move {
            peer.write_all(&data).await.unwrap();
            peer.shutdown().await.unwrap();
            peer
        });
        let (mut drain, pipe) = pipe();
        let (mut received, mut dropped) = (Vec::new(), 0);
        let (mut peeked, mut record) = ([0; 30], [0; 50]);
        loop {
            match poll_once(stream.peek(&mut peeked)) {
                Some(seen) => {
                    let seen = &peeked[..seen.unwrap()];
                    assert!(sent[received.len()..].starts_with(seen));
                }
                None => dropped += 1,
            }
            match poll_once(stream.splice_to(&pipe, 20)) {
                Some(moved) => {
                    let mut bytes = vec![0; moved.unwrap()];
                    drain.read_exact(&mut bytes).unwrap();
                    received.extend(bytes);
                }
                None => dropped += 1,
            }
            match poll_once(stream.read_record(&mut record)) {
                Some(read) => match read.unwrap() {
                    Some((content_type, len)) => {
                        assert_eq!(content_type, ContentType::APPLICATION_DATA);
                        received.extend(&record[..len]);
                    }
                    None => break,
                },
                None => dropped += 1,
            }
            yield_now().await;
        }
        peer.await.unwrap();
        assert!(dropped > 100, "{dropped} futures were dropped");
        assert!(received == sent, "{suite:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_writer_has_taken_nothing() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_tokio_rustls(suite, WIDE).await;
        let data = pattern(400_000);
        let peer = tokio::spawn(async move {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).await.unwrap();
            received
        });
        let (drain, mut pipe) = pipe();
        let (mut taken, mut dropped) = (0, [0; 2]);
        while taken < data.len() {
            // By turns: what lies in the pipe comes next.
            let next = &data[taken..data.len().min(taken + 3_000)];
            taken += match dropped[0] > dropped[1] {
                false => taken_or_dropped(stream.write_more(next), &mut dropped[0]).await,
                true => {
                    pipe.write_all(next).unwrap();
                    let mut moved = 0;
                    while moved < next.len() {
                        let splice = stream.splice_from(&drain, next.len() - moved);
                        moved += taken_or_dropped(splice, &mut dropped[1]).await;
                    }
                    moved
                }
            };
        }
        stream.shutdown().await.unwrap();
        assert!(dropped.iter().all(|count| *count > 100), "{dropped:?}");
        assert!(peer.await.unwrap() == data, "{suite:?}");
    }
}

/// The bytes that a call took at once, or one more that was dropped.
async fn taken_or_dropped(
    writing: impl Future<Output = io::Result<usize>>,
    dropped: &mut usize,
) -> usize {
    match poll_once(writing) {
        Some(taken) => taken.unwrap(),
        None => {
            *dropped += 1;
            yield_now().await;
            0
        }
    }
}
