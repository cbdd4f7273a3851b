//! Key updates (RFC 8446 section 4.6.3): started, received, answered, due, and too many.

use std::io::{ErrorKind, Read, Write};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::record::{AlertDescription, Limits};
use underseal::{Direction, Error, KeyUpdateRequest, PeerMisbehaved};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::case::Case;
use crate::connect::{Peer, on_tokio, pattern};
use crate::no_rekey::can_rekey;

/// The key update and the record of data that come next, tickets left out.
fn expect_update(peer: &mut Peer, request: u8, data: &[u8]) {
    let message = loop {
        match peer.receive().unwrap() {
            (HANDSHAKE, message) if message[0] == 24 => break message,
            (HANDSHAKE, _) => {}
            other => panic!("{other:?} instead of a key update"),
        }
    };
    assert_eq!(message, key_update(request));
    peer.update_rx();
    assert_eq!(peer.receive(), Some((APPLICATION_DATA, data.to_vec())));
}

pub(crate) fn send_update(peer: &mut Peer, request: u8, data: &[u8]) {
    peer.send(HANDSHAKE, &key_update(request));
    peer.update_tx();
    peer.send(APPLICATION_DATA, data);
}

fn rounds(case: Case, rounds: u16) {
    if !can_rekey(case, &Direction::ALL) {
        return;
    }
    let (mut stream, mut peer) = case.server();
    let peer = thread::spawn(move || {
        for round in 0..rounds {
            expect_update(&mut peer, 0, &round.to_be_bytes());
            send_update(&mut peer, 0, &round.to_be_bytes());
        }
    });
    let mut received = [0; 2];
    for round in 0..rounds {
        stream.key_update(KeyUpdateRequest::NotRequested).unwrap();
        stream.write_all(&round.to_be_bytes()).unwrap();
        stream.read_exact(&mut received).unwrap();
        assert_eq!(received, round.to_be_bytes());
    }
    peer.join().unwrap();
}

pub(crate) fn a_few_key_updates_go_both_ways(case: Case) {
    rounds(case, 5);
}

pub(crate) fn a_thousand_key_updates_in_both_directions(case: Case) {
    rounds(case, 1_000);
}

pub(crate) fn a_key_update_of_the_peer_is_answered_if_it_asks(case: Case) {
    if !can_rekey(case, &Direction::ALL) {
        return;
    }
    let (mut stream, mut peer) = case.server();
    let mut received = [0];
    for round in 0..4_u8 {
        send_update(&mut peer, round % 2, &[round]);
        stream.read_exact(&mut received).unwrap();
        assert_eq!(received, [round]);
        stream.write_all(&[round]).unwrap();
        if round % 2 == 1 {
            expect_update(&mut peer, 0, &[round]);
        } else {
            let data = loop {
                match peer.receive().unwrap() {
                    (HANDSHAKE, message) => assert_ne!(message[0], 24, "nobody asked"),
                    other => break other,
                }
            };
            assert_eq!(data, (APPLICATION_DATA, vec![round]));
        }
    }
}

/// RFC 8446 section 5.1: a handshake message may be spread over records.
pub(crate) fn a_key_update_in_pieces_is_followed(case: Case) {
    if !can_rekey(case, &[Direction::Rx]) {
        return;
    }
    let (mut stream, mut peer) = case.server();
    let message = key_update(0);
    for piece in [&message[..1], &message[1..4], &message[4..]] {
        peer.send(HANDSHAKE, piece);
    }
    peer.update_tx();
    peer.send(APPLICATION_DATA, b"next");
    let mut received = [0; 4];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"next");
}

/// A key that has sealed as many records as it may is updated without being asked, in the middle
/// of a write as well as between writes.
pub(crate) fn key_updates_come_by_themselves_before_the_limit(case: Case) {
    if !can_rekey(case, &[Direction::Tx]) {
        return the_limit_is_the_end(case);
    }
    // The soft limit may as well be out of reach.
    for soft in [10, 12, 1_000] {
        keys_are_updated_within(case, Limits { soft, hard: 12 });
    }
}

fn keys_are_updated_within(case: Case, limits: Limits) {
    let (mut stream, mut peer) = case.server();
    stream.lower_limits(limits);
    let data = pattern(500_000);
    let (one, many) = data.split_at(400_000);
    let peer = thread::spawn(move || {
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
        (received, updates)
    });
    stream.write_all(one).unwrap();
    for chunk in many.chunks(1_000) {
        stream.write_all(chunk).unwrap();
    }
    stream.shutdown().unwrap();
    let (received, updates) = peer.join().unwrap();
    assert!(received == data);
    assert!(
        updates >= 10,
        "{updates} updates over more than 120 records"
    );
}

/// So many may come with no data between them: see `engine::control`.
const ALLOWANCE: usize = 32;

pub(crate) fn as_many_key_updates_as_are_allowed_are_followed(case: Case) {
    if !can_rekey(case, &[Direction::Rx]) {
        return;
    }
    let (mut stream, mut peer) = case.server();
    for _ in 0..ALLOWANCE {
        peer.send(HANDSHAKE, &key_update(0));
        peer.update_tx();
    }
    peer.send(APPLICATION_DATA, b"at last");
    let mut received = [0; 7];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"at last");
}

pub(crate) fn a_storm_of_key_updates_ends_the_connection(case: Case) {
    if !can_rekey(case, &[Direction::Rx]) {
        return;
    }
    let (mut stream, mut peer) = case.server();
    for _ in 0..=ALLOWANCE {
        peer.send(HANDSHAKE, &key_update(0));
        peer.update_tx();
    }
    peer.send(APPLICATION_DATA, b"too late");
    let error = stream.read(&mut [0; 10]).unwrap_err();
    let Some(Error::PeerMisbehaved(fault)) = Error::of(&error) else {
        panic!("{error}");
    };
    assert_eq!(fault, PeerMisbehaved::TooManyControlMessages);
    let error = stream.write(b"after").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let alert = AlertDescription::UNEXPECTED_MESSAGE;
    assert_eq!(peer.receive_alert(), Some(alert.0));
}

/// Both sides ask the other one all the time, and answer.
pub(crate) fn key_updates_of_tokio_streams_cross(case: Case) {
    if !can_rekey(case, &Direction::ALL) {
        return;
    }
    /// Ten rounds on either of two types of stream.
    macro_rules! exchange {
        ($stream:expr) => {
            for round in 0..10 {
                $stream
                    .key_update(KeyUpdateRequest::Requested)
                    .await
                    .unwrap();
                $stream.write_all(&[round; 5_000]).await.unwrap();
                $stream.flush().await.unwrap();
                let mut received = [0; 5_000];
                $stream.read_exact(&mut received).await.unwrap();
                assert_eq!(received, [round; 5_000]);
            }
        };
    }
    on_tokio(async {
        let (mut server, mut client) = case.tokio_both().await;
        tokio::join!(async { exchange!(server) }, async { exchange!(client) });
    });
}

pub(crate) fn there_are_no_key_updates(case: Case) {
    let (mut stream, mut peer) = case.server();
    let error = stream
        .key_update(KeyUpdateRequest::NotRequested)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(matches!(Error::of(&error), Some(Error::Unsupported { .. })));
    stream.write_all(b"goes on").unwrap();
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"goes on".to_vec(), true));
}

/// Without key updates the limit is the end: what was taken before it arrives, nothing after.
pub(crate) fn the_limit_is_the_end(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.lower_limits(Limits { soft: 3, hard: 8 });
    let data = pattern(1_000_000);
    let peer = thread::spawn(move || peer.receive_data());
    let mut taken = 0;
    let error = loop {
        match stream.write(&data[taken..]) {
            Ok(n) => taken += n,
            Err(error) => break error,
        }
    };
    let limit = Error::Record(underseal::record::Error::ConfidentialityLimit).to_string();
    assert_eq!(Error::of(&error).unwrap().to_string(), limit);
    drop(stream);
    let (received, closed) = peer.join().unwrap();
    assert!(!closed, "there is no number left for close_notify");
    assert!(taken > 0);
    assert!(received == data[..taken], "{} of {taken}", received.len());
}
