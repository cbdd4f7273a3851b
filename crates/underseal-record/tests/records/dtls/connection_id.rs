//! RFC 9146.

use underseal_record::dtls::{ConnectionId, Discard};
use underseal_record::{Algorithm, ApiMisuse, ContentType, MAX_PLAINTEXT};

use super::forge::Record;
use super::{open, opener, seal, sealer};

fn with_id(algorithm: Algorithm, seq: u64, id: &[u8]) -> Record {
    Record {
        outer: 25,
        connection_id: id.to_vec(),
        ..Record::data(algorithm, seq)
    }
}

#[test]
fn a_record_with_a_connection_id_is_sealed_as_the_rfc_says() {
    for id in [&b"x"[..], b"connection", &[0xff; 32]] {
        let mut sealer = sealer(Algorithm::ChaCha20Poly1305);
        sealer.set_connection_id(ConnectionId::new(id).unwrap());
        let forged = with_id(Algorithm::ChaCha20Poly1305, 0, id).seal(b"hello\x17");
        assert_eq!(seal(&mut sealer, b"hello"), forged);
    }
}

#[test]
fn records_with_connection_ids_are_opened_whatever_their_padding() {
    let id = ConnectionId::new(b"here").unwrap();
    for algorithm in Algorithm::ALL {
        let mut opener = opener(algorithm);
        opener.set_connection_id(id);
        for (seq, padding) in [0, 1, 50].into_iter().enumerate() {
            let inner = [&b"hello\0\x15"[..], &vec![0; padding]].concat();
            let record = with_id(algorithm, seq as u64, b"here").seal(&inner);
            let (opened, plaintext) = open(&mut opener, &record).unwrap();
            assert_eq!(opened.content_type, ContentType::ALERT);
            assert_eq!(plaintext, b"hello\0");
        }
        let untyped = with_id(algorithm, 9, b"here").seal(&[0; 20]);
        assert_eq!(open(&mut opener, &untyped), Err(Discard::Malformed));
        let nested = with_id(algorithm, 10, b"here").seal(b"x\x19");
        assert_eq!(open(&mut opener, &nested), Err(Discard::Malformed));
        let long = with_id(algorithm, 11, b"here").seal(&[1; MAX_PLAINTEXT + 2]);
        assert_eq!(open(&mut opener, &long), Err(Discard::Malformed));
    }
}

#[test]
fn another_connection_id_or_none_is_dropped() {
    let algorithm = Algorithm::Aes128Gcm;
    let mut opener = opener(algorithm);
    let with = with_id(algorithm, 0, b"here").seal(b"x\x17");
    assert_eq!(
        open(&mut opener, &with),
        Err(Discard::ConnectionId),
        "none was chosen"
    );
    opener.set_connection_id(ConnectionId::new(b"here").unwrap());
    let other = with_id(algorithm, 0, b"thre").seal(b"x\x17");
    assert_eq!(open(&mut opener, &other), Err(Discard::ConnectionId));
    let without = Record::data(algorithm, 0).seal(b"x");
    assert_eq!(open(&mut opener, &without), Err(Discard::ConnectionId));
    assert!(open(&mut opener, &with).is_ok());
}

#[test]
fn a_connection_id_has_a_longest_length() {
    assert_eq!(ConnectionId::new(&[1; 32]).unwrap().as_bytes(), [1; 32]);
    let long = ConnectionId::new(&[1; 33]);
    assert_eq!(long, Err(ApiMisuse::ConnectionIdTooLong.into()));
}
