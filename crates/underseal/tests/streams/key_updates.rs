//! Key updates (RFC 8446 section 4.6.3): received, answered, started, and due.

use std::io::{Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::record::{ContentType, Error as RecordError, Limits, Padding};
use underseal::{Error, KeyUpdateRequest};
use underseal_testkit::Suite;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::pairs::{both, pattern, with_record_peer, with_tokio_rustls};

fn tls13() -> impl Iterator<Item = Suite> {
    Suite::ALL.into_iter().filter(|suite| suite.is_tls13())
}

#[test]
fn a_key_update_is_followed_by_records_under_the_next_key() {
    for suite in tls13() {
        for (request, wire) in [
            (KeyUpdateRequest::NotRequested, 0),
            (KeyUpdateRequest::Requested, 1),
        ] {
            let (mut stream, mut peer) = with_record_peer(suite, 1 << 16);
            for round in 0..3_u8 {
                stream.key_update(request).unwrap();
                stream.write_all(&[round]).unwrap();
                // Tickets come before the first.
                let message = loop {
                    match peer.receive().unwrap() {
                        (HANDSHAKE, message) if message[0] == 24 => break message,
                        (HANDSHAKE, _) => {}
                        other => panic!("{other:?}"),
                    }
                };
                assert_eq!(message, key_update(wire));
                peer.update_rx();
                assert_eq!(peer.receive(), Some((APPLICATION_DATA, vec![round])));
            }
        }
    }
}

#[test]
fn a_key_update_of_the_peer_is_answered_if_it_asks() {
    for suite in tls13() {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 16);
        let mut byte = [0];
        for round in 0..5_u8 {
            let request = round % 2;
            peer.send(HANDSHAKE, &key_update(request));
            peer.update_tx();
            peer.send(APPLICATION_DATA, &[round]);
            stream.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [round]);
            stream.write_all(&[round]).unwrap();
            let mut answers = 0;
            loop {
                match peer.receive().unwrap() {
                    (HANDSHAKE, message) if message == key_update(0) => {
                        answers += 1;
                        peer.update_rx();
                    }
                    (HANDSHAKE, _) => {}
                    (APPLICATION_DATA, data) => break assert_eq!(data, [round]),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(answers, request, "round {round}");
        }
    }
}

/// The answer does not wait for the application to write.
#[test]
fn the_answer_is_sent_by_reading() {
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
    peer.send(HANDSHAKE, &key_update(1));
    peer.update_tx();
    peer.send(ALERT, &[1, 0]);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let messages: Vec<_> = std::iter::from_fn(|| Some(peer.receive()?.1))
        .take(3)
        .filter(|message| message[0] == 24)
        .take(1)
        .collect();
    assert_eq!(messages, [key_update(0)]);
}

/// RFC 8446: several requests before an answer could be sent may get a single one.
#[test]
fn a_key_update_may_come_in_pieces() {
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13ChaCha20, 1 << 16);
    for byte in key_update(0) {
        peer.send(HANDSHAKE, &[byte]);
    }
    peer.update_tx();
    peer.send(APPLICATION_DATA, b"next");
    let mut received = [0; 4];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"next");
}

/// A key that has sealed as many records as it may is updated without being asked, in the middle
/// of a write as well as between writes.
#[test]
fn key_updates_come_by_themselves_before_the_limit() {
    for suite in tls13() {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 22);
        stream.lower_limits(Limits { soft: 10, hard: 12 });
        let data = pattern(1_000_000);
        let (one, many) = data.split_at(500_000);
        stream.write_all(one).unwrap();
        for chunk in many.chunks(1_000) {
            stream.write_all(chunk).unwrap();
        }
        stream.shutdown().unwrap();
        let (mut received, mut updates, mut records) = (Vec::new(), 0, 0);
        loop {
            match peer.receive().unwrap() {
                (APPLICATION_DATA, data) => received.extend(data),
                (HANDSHAKE, message) if message == key_update(0) => {
                    peer.update_rx();
                    updates += 1;
                    records = 0;
                    continue;
                }
                (HANDSHAKE, _) => {}
                (ALERT, alert) => break assert_eq!(alert, [1, 0]),
                other => panic!("{other:?}"),
            }
            records += 1;
            assert!(records < 12, "the key is past its limit");
        }
        assert!(received == data);
        assert!(
            updates >= 50,
            "{updates} updates over more than 500 records"
        );
    }
}

#[test]
fn a_file_is_sent_across_key_updates() {
    let content = pattern(3_000_000);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes256, 1 << 23);
    stream.lower_limits(Limits { soft: 7, hard: 8 });
    assert_eq!(stream.send_file(&file, 0..u64::MAX).unwrap(), 3_000_000);
    stream.shutdown().unwrap();
    let mut received = Vec::new();
    loop {
        match peer.receive().unwrap() {
            (APPLICATION_DATA, data) => received.extend(data),
            (HANDSHAKE, message) if message[0] == 24 => peer.update_rx(),
            (HANDSHAKE, _) => {}
            (ALERT, alert) => break assert_eq!(alert, [1, 0]),
            other => panic!("{other:?}"),
        }
    }
    assert!(received == content);
}

/// Full records for a few bytes each, key updates among them: the buffers are full all the time.
#[test]
fn key_updates_of_a_fully_padded_stream_fit() {
    let data = pattern(300_000);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&data).unwrap();
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 23);
    stream.set_padding(Padding::Full).unwrap();
    stream.lower_limits(Limits { soft: 2, hard: 3 });
    stream.write_all(&data).unwrap();
    assert_eq!(stream.send_file(&file, 0..u64::MAX).unwrap(), 300_000);
    for chunk in data.chunks(3_000) {
        stream.write_all(chunk).unwrap();
    }
    stream.shutdown().unwrap();
    let mut received = Vec::new();
    loop {
        match peer.receive().unwrap() {
            (APPLICATION_DATA, data) => received.extend(data),
            (HANDSHAKE, message) if message[0] == 24 => peer.update_rx(),
            (HANDSHAKE, _) => {}
            (ALERT, alert) => break assert_eq!(alert, [1, 0]),
            other => panic!("{other:?}"),
        }
    }
    assert!(received == data.repeat(3));
}

/// The answer to a peer's key update, close_notify and a fatal alert are padded like data.
#[test]
fn control_records_of_a_padded_stream_are_sent() {
    for padding in [Padding::Full, Padding::Multiple(1_000)] {
        let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 20);
        stream.set_padding(padding).unwrap();
        peer.send(HANDSHAKE, &key_update(1));
        peer.update_tx();
        peer.send(APPLICATION_DATA, b"x");
        stream.read_exact(&mut [0]).unwrap();
        stream.key_update(KeyUpdateRequest::NotRequested).unwrap();
        stream.shutdown().unwrap();
        let mut updates = 0;
        loop {
            match peer.receive().expect("close_notify") {
                (HANDSHAKE, message) if message[0] == 24 => {
                    updates += 1;
                    peer.update_rx();
                }
                (HANDSHAKE, _) => {}
                (ALERT, alert) => break assert_eq!(alert, [1, 0]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(updates, 2);

        let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 20);
        stream.set_padding(padding).unwrap();
        peer.send(99, b"unexpected");
        assert!(stream.read(&mut [0]).is_err());
        assert_eq!(peer.receive_alert(), Some(10));
    }
}

#[test]
fn tls12_has_no_key_updates() {
    let (mut stream, _peer) = with_record_peer(Suite::Tls12Aes128, 1 << 16);
    let error = stream
        .key_update(KeyUpdateRequest::NotRequested)
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    assert!(matches!(Error::of(&error), Some(Error::Unsupported { .. })));
    stream.write_all(b"goes on").unwrap();
}

/// Without key updates the limit is the end: what was sealed before it arrives, nothing after.
#[test]
fn tls12_ends_at_the_limit() {
    for suite in [Suite::Tls12Aes128, Suite::Tls12Aes256, Suite::Tls12ChaCha20] {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
        stream.lower_limits(Limits { soft: 3, hard: 5 });
        let mut taken = 0;
        let data = pattern(200_000);
        let error = loop {
            match stream.write(&data[taken..]) {
                Ok(n) => taken += n,
                Err(error) => break error,
            }
        };
        let limit = Error::Record(RecordError::ConfidentialityLimit).to_string();
        assert_eq!(Error::of(&error).unwrap().to_string(), limit);
        drop(stream);
        let (received, closed) = peer.receive_data();
        assert!(!closed, "there is no number left for close_notify");
        assert!(received == data[..taken]);
        assert!(taken > 0);
    }
}

/// Limits that leave no room for the key update itself: nothing that was taken is lost.
#[test]
fn limits_without_room_for_a_key_update_lose_nothing() {
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 20);
    // A key that has sealed nothing yet.
    stream.key_update(KeyUpdateRequest::NotRequested).unwrap();
    stream.lower_limits(Limits { soft: 5, hard: 1 });
    let data = pattern(200_000);
    let mut taken = 0;
    while let Ok(n) = stream.write(&data[taken..]) {
        taken += n;
    }
    drop(stream);
    let mut received = Vec::new();
    while let Some((content_type, payload)) = peer.receive() {
        match content_type {
            APPLICATION_DATA => received.extend(payload),
            _ if payload == key_update(0) => peer.update_rx(),
            _ => assert_eq!(content_type, HANDSHAKE, "a ticket"),
        }
    }
    assert!(taken > 0);
    assert!(
        received == data[..taken],
        "{} of {taken} bytes arrived",
        received.len()
    );
}

/// A record that may not be sent does not take the key update before it along.
#[test]
fn a_refused_record_does_not_swallow_a_key_update() {
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 20);
    stream.lower_limits(Limits { soft: 4, hard: 100 });
    for _ in 0..4 {
        stream.write_all(b"d").unwrap();
    }
    assert!(
        stream
            .send_record(ContentType::CHANGE_CIPHER_SPEC, &[1][..])
            .is_err()
    );
    stream.write_all(b"after").unwrap();
    stream.shutdown().unwrap();
    let mut received = Vec::new();
    loop {
        match peer.receive().unwrap() {
            (APPLICATION_DATA, data) => received.extend(data),
            (HANDSHAKE, message) if message[0] == 24 => peer.update_rx(),
            (HANDSHAKE, _) => {}
            (ALERT, alert) => break assert_eq!(alert, [1, 0]),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received, b"ddddafter");
}

/// tokio-rustls updates its keys whenever it wants, in both directions at once.
#[tokio::test]
async fn key_updates_of_both_sides_cross() {
    for suite in tls13() {
        let (mut stream, mut peer) = with_tokio_rustls(suite, 20_000).await;
        let ours = async {
            let mut received: Vec<u8> = Vec::new();
            let mut buffer = [0; 10_000];
            for round in 0..20 {
                let request = match round % 2 {
                    0 => KeyUpdateRequest::Requested,
                    _ => KeyUpdateRequest::NotRequested,
                };
                stream.key_update(request).await.unwrap();
                stream.write_all(&[round; 5_000]).await.unwrap();
                stream.flush().await.unwrap();
                let mut left = 5_000;
                while left > 0 {
                    let n = stream.read(&mut buffer[..left]).await.unwrap();
                    assert_ne!(n, 0);
                    received.extend(&buffer[..n]);
                    left -= n;
                }
            }
            received
        };
        let theirs = async {
            let mut received = vec![0; 5_000];
            for round in 0..20 {
                peer.get_mut().1.refresh_traffic_keys().unwrap();
                peer.read_exact(&mut received).await.unwrap();
                assert!(received.iter().all(|byte| *byte == round));
                peer.write_all(&received).await.unwrap();
                peer.flush().await.unwrap();
            }
        };
        let (received, ()) = both(ours, theirs).await;
        let expected: Vec<u8> = (0..20).flat_map(|round| [round; 5_000]).collect();
        assert!(received == expected, "{suite:?}");
    }
}
