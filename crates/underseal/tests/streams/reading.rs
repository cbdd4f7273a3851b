//! Ways to read.

use std::io::{BufRead, Read};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use underseal_testkit::Suite;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::pairs::{both, pattern, with_record_peer, with_tokio_rustls};

const CLOSE_NOTIFY: [u8; 2] = [1, 0];

#[test]
fn reads_of_every_size_deliver_the_same_bytes() {
    let data = pattern(60_000);
    for suite in Suite::ALL {
        for size in [
            1, 2, 7, 100, 4_095, 16_383, 16_384, 16_385, 16_401, 16_500, 50_000, 400_000,
        ] {
            let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
            for (index, chunk) in data.chunks(7_001).enumerate() {
                peer.send(APPLICATION_DATA, chunk);
                if index % 2 == 0 {
                    peer.send(APPLICATION_DATA, b"");
                }
            }
            peer.send(ALERT, &CLOSE_NOTIFY);
            let mut buffer = vec![0; size];
            let mut received: Vec<u8> = Vec::new();
            loop {
                match stream.read(&mut buffer).unwrap() {
                    0 => break,
                    n => received.extend(&buffer[..n]),
                }
            }
            assert!(received == data, "{suite:?}, {size} bytes at once");
        }
    }
}

#[test]
fn a_read_of_nothing_reads_nothing() {
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
    assert_eq!(
        stream.read(&mut []).unwrap(),
        0,
        "it does not wait for a peer either"
    );
    peer.send(APPLICATION_DATA, b"x");
    assert_eq!(stream.read(&mut []).unwrap(), 0);
    assert_eq!(stream.read(&mut [0; 4]).unwrap(), 1);
}

#[test]
fn lines_are_read_across_records() {
    for suite in Suite::EACH_VERSION {
        let (stream, mut peer) = with_record_peer(suite, 1 << 20);
        let mut stream = stream;
        for piece in ["GET / HT", "TP/1.1\r\nHost: a\r", "\n\r\n", "body"] {
            peer.send(APPLICATION_DATA, piece.as_bytes());
            if suite.is_tls13() {
                peer.send(HANDSHAKE, &key_update(0));
                peer.update_tx();
            }
        }
        peer.send(ALERT, &CLOSE_NOTIFY);
        let lines: Vec<String> = stream.by_ref().lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["GET / HTTP/1.1", "Host: a", "", "body"]);
        assert_eq!(stream.fill_buf().unwrap(), b"", "the end stays");
    }
}

/// `fill_buf` shows, `consume` drops, and `read` goes on in between.
#[test]
fn buffered_and_plain_reads_take_turns() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
        let data = pattern(50_000);
        for chunk in data.chunks(10_000) {
            peer.send(APPLICATION_DATA, chunk);
        }
        peer.send(ALERT, &CLOSE_NOTIFY);
        let mut received: Vec<u8> = Vec::new();
        let mut buffer = [0; 333];
        loop {
            let shown = stream.fill_buf().unwrap();
            if shown.is_empty() {
                break;
            }
            let used = shown.len().min(777);
            received.extend(&shown[..used]);
            stream.consume(used);
            let n = stream.read(&mut buffer).unwrap();
            received.extend(&buffer[..n]);
        }
        assert!(received == data, "{suite:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokio_streams_are_buffered_readers() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_tokio_rustls(suite, 1_000).await;
        let write = async {
            for n in 0..500 {
                peer.write_all(format!("line {n}\n").as_bytes())
                    .await
                    .unwrap();
            }
            peer.shutdown().await.unwrap();
        };
        let read = async {
            let (mut lines, mut line) = (0, String::new());
            while stream.read_line(&mut line).await.unwrap() > 0 {
                assert_eq!(line, format!("line {lines}\n"));
                lines += 1;
                line.clear();
            }
            lines
        };
        let ((), lines) = both(write, read).await;
        assert_eq!(lines, 500);
    }
}

#[tokio::test(start_paused = true)]
async fn single_bytes_are_read() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_tokio_rustls(suite, 3_000).await;
        let data = pattern(20_000);
        let write = async {
            peer.write_all(&data).await.unwrap();
            peer.shutdown().await.unwrap();
        };
        let read = async {
            let mut received: Vec<u8> = Vec::new();
            while let Ok(byte) = stream.read_u8().await {
                received.push(byte);
            }
            received
        };
        let ((), received) = both(write, read).await;
        assert!(received == data);
    }
}

/// What arrives right behind the handshake, in the same segment, is the application's.
#[tokio::test(start_paused = true)]
async fn data_that_came_with_the_handshake_is_delivered() {
    use std::sync::Arc;
    use underseal::TlsConnector;
    use underseal_testkit::{Certificates, KeyType};

    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in Suite::ALL {
        let (left, right) = tokio::io::duplex(1 << 20);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
        let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
        // The server writes all it has to say at once, and closes; only then does the client read.
        let server = async {
            let mut stream = acceptor.accept(left).await.unwrap();
            stream.write_all(&pattern(100_000)).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            rest
        };
        let client = async {
            let mut stream = connector
                .connect(crate::pairs::name(), right)
                .await
                .unwrap();
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let mut received: Vec<u8> = Vec::new();
            stream.read_to_end(&mut received).await.unwrap();
            stream.write_all(b"still open").await.unwrap();
            stream.shutdown().await.unwrap();
            received
        };
        let (rest, received) = both(server, client).await;
        assert!(received == pattern(100_000), "{suite:?}");
        assert_eq!(rest, b"still open");
    }
}
