//! Authentic alerts end an association, others do not.

use underseal_dtls::{Discard, Error};
use underseal_record::{AlertDescription, ContentType};

use crate::{recv, socket_and_wire};

#[test]
fn a_close_notify_is_answered_and_ends_both_directions() {
    let (socket, mut wire) = socket_and_wire();
    let last = wire.data("last");
    let alert = wire.seal(ContentType::ALERT, &[1, 0]);
    wire.send(&last);
    wire.send(&alert);
    assert_eq!(recv(&socket).unwrap(), "last");
    for _ in 0..2 {
        assert!(matches!(recv(&socket), Err(Error::ClosedByPeer)));
    }
    assert_eq!(wire.receive(), (ContentType::ALERT, vec![1, 0]));
    assert!(matches!(socket.send(b"x"), Err(Error::Closed)));
}

#[test]
fn data_before_the_close_notify_in_its_datagram_is_delivered_first() {
    let (socket, mut wire) = socket_and_wire();
    let one = wire.data("one");
    let two = wire.data("two");
    let alert = wire.seal(ContentType::ALERT, &[1, 0]);
    let behind = wire.data("behind");
    wire.send(&[one, two, alert, behind].concat());
    assert_eq!(recv(&socket).unwrap(), "one");
    assert_eq!(recv(&socket).unwrap(), "two");
    assert!(matches!(recv(&socket), Err(Error::ClosedByPeer)));
    assert_eq!(socket.counters().dropped(Discard::Ended), 1);
}

#[test]
fn a_fatal_alert_ends_the_association_without_an_answer() {
    let (socket, mut wire) = socket_and_wire();
    let alert = wire.seal(ContentType::ALERT, &[2, 80]);
    wire.send(&alert);
    let ended = recv(&socket);
    let internal = AlertDescription::INTERNAL_ERROR;
    assert!(matches!(ended, Err(Error::AlertReceived(why)) if why == internal));
    assert!(matches!(socket.send(b"x"), Err(Error::Closed)));
    assert_eq!(socket.counters().sealed, 0);
}

/// BoGo's SendInvalidRecordType-DTLS.
#[test]
fn a_record_of_a_type_that_nobody_knows_is_counted_and_changes_nothing() {
    let (socket, mut wire) = socket_and_wire();
    for content_type in [24, 26, 99, 255] {
        let record = wire.seal(ContentType(content_type), b"what");
        wire.send(&record);
    }
    let data = wire.data("data");
    wire.send(&data);
    assert_eq!(recv(&socket).unwrap(), "data");
    let counters = socket.counters();
    assert_eq!(counters.dropped(Discard::Malformed), 4);
    assert_eq!((counters.all_dropped(), counters.sealed), (4, 0));
}

#[test]
fn alerts_that_nobody_sealed_and_warnings_change_nothing() {
    let (socket, mut wire) = socket_and_wire();
    let forged = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 80];
    wire.send(&forged);
    let mut plain = forged;
    plain[4] = 1;
    wire.send(&plain);
    for warning in [&[1, 100][..], &[1, 90], &[2], &[2, 80, 0]] {
        let warning = wire.seal(ContentType::ALERT, warning);
        wire.send(&warning);
    }
    // Renegotiation is asked for, and refused by silence.
    let hello_request = wire.seal(ContentType::HANDSHAKE, &[0; 12]);
    wire.send(&hello_request);
    let data = wire.data("data");
    wire.send(&data);
    assert_eq!(recv(&socket).unwrap(), "data");
    assert_eq!(socket.counters().sealed, 0);
}
