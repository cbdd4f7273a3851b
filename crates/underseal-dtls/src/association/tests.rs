use underseal_record::dtls::{EpochKeys, EpochSecret, KeyUpdates, ReplayWindow};
use underseal_record::{AlertDescription, Algorithm, SeqNo, TrafficKeys};

use super::*;
use crate::alert::fatal;

/// One of two sides of an association of DTLS 1.3.
fn association(side: u8) -> Association {
    let secret = |side| EpochSecret::new(Algorithm::Aes128Gcm, &[side; 32], 3);
    let (own, peers) = (secret(side), secret(1 - side));
    let (own, peers) = (own.expect("its length"), peers.expect("its length"));
    let parts = Parts::new(own.keys(), peers.keys(), ReplayWindow::default());
    let parts = parts.with_key_updates(KeyUpdates::new(own, peers, 5, 5));
    Association::new(parts, Vec::new())
}

/// A record of `by`'s, as it is sent.
fn sealed(by: &Association, content_type: ContentType, body: &[u8]) -> Vec<u8> {
    let mut record = vec![0; body.len() + by.overhead()];
    let sealed = by.transmit().sealer.seal(content_type, body, &mut record);
    sealed.expect("it has room");
    record
}

/// What `to` answers to a datagram.
fn answers(to: &Association, mut datagram: Vec<u8>) -> Vec<Vec<u8>> {
    let (mut answers, len) = (Vec::new(), datagram.len());
    let answer = &mut |answer: &[u8]| answers.push(answer.to_vec());
    to.open(&mut datagram, len, answer, |_, _| {});
    answers
}

/// Whoever waits for what is due would never wait again.
#[test]
fn nothing_is_due_once_sending_is_over() {
    let (closed, given_up) = (association(0), association(0));
    for near in [&closed, &given_up] {
        near.update_keys(false, &mut |_| {}).expect("it is open");
        assert!(near.due().is_some());
    }
    closed.close(&mut |_| {});
    assert_eq!(closed.due(), None);
    let alert = fatal(AlertDescription::INTERNAL_ERROR);
    let alert = sealed(&association(1), ContentType::ALERT, &alert);
    answers(&given_up, alert);
    assert_eq!(given_up.due(), None);
}

#[test]
fn what_ends_at_the_integrity_limit_says_so_and_sends_no_more() {
    let (near, far) = (association(0), association(1));
    near.receive().opener.lower_max_forged(1);
    let mut forged = sealed(&far, ContentType::APPLICATION_DATA, b"data");
    *forged.last_mut().expect("it has bytes") ^= 1;
    let [mut alert] = answers(&near, forged).try_into().expect("there is one");
    let taken = far.receive().opener.open(&mut alert).opened;
    let opened = taken.expect("it is authentic");
    assert_eq!(opened.content_type, ContentType::ALERT);
    assert_eq!(
        alert[opened.plaintext],
        fatal(AlertDescription::BAD_RECORD_MAC)
    );
    let refused = near.seal(b"data", &mut [0; 100]);
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
}

/// One of two sides of an association of DTLS 1.2.
fn parts12(side: u8) -> Parts {
    let keys = |side: u8| {
        let (version, algorithm) = (ProtocolVersion::Tls12, Algorithm::Aes128Gcm);
        let keys = TrafficKeys::new(version, algorithm, &[side; 16], [9; 12], SeqNo(0));
        EpochKeys::new(keys.expect("its length"), 1).expect("epoch 1 has keys")
    };
    Parts::new(keys(side), keys(1 - side), ReplayWindow::default())
}

/// A Finished as its peer repeats it, and what becomes of it and of other messages of a handshake that is over
/// (RFC 6347 section 4.2.4; RFC 5246 section 7.4.1.1).
#[test]
fn of_a_handshake_that_is_over_a_finished_alone_is_answered_and_only_until_there_is_data() {
    let flight = vec![b"the last flight".to_vec()];
    let near = Association::new(parts12(0), flight.clone());
    let far = Association::new(parts12(1), Vec::new());
    let handshake = |body: &[u8]| sealed(&far, ContentType::HANDSHAKE, body);
    let finished = [20, 0, 0, 0];
    let (hello_request, client_hello) = ([0; 12], [1, 0, 0, 40, 0, 7]);
    for garbage in [&[0xff][..], &[0xff; 300], &hello_request, &client_hello] {
        let none: [Vec<u8>; 0] = [];
        assert_eq!(answers(&near, handshake(garbage)), none, "{garbage:?}");
    }
    assert_eq!(answers(&near, handshake(&finished)), flight);
    assert_eq!(answers(&near, handshake(&finished)), flight);
    let data = sealed(&far, ContentType::APPLICATION_DATA, b"data");
    answers(&near, data);
    let late: Vec<Vec<u8>> = answers(&near, handshake(&finished));
    assert!(late.is_empty(), "{late:?}");
    near.seal(b"data", &mut [0; 100]).expect("it goes on");
}

#[test]
fn an_association_of_dtls_1_2_that_moves_has_its_last_flight_still() {
    let flight = vec![b"the last flight".to_vec()];
    let near = Association::new(parts12(0), flight.clone());
    let near = Association::new(near.into_parts(), Vec::new());
    let far = Association::new(parts12(1), Vec::new());
    let finished = sealed(&far, ContentType::HANDSHAKE, &[20, 0, 0, 0]);
    assert_eq!(answers(&near, finished), flight);
}
