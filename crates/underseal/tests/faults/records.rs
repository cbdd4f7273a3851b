//! Faults of single records.

use underseal::PeerMisbehaved;
use underseal::record::{
    AlertDescription, ContentType, MAX_PLAINTEXT, Opener, PeerMisbehaved as Fault,
};
use underseal_testkit::Suite;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE};

use crate::subject::{
    Runtime, Side, attack, fault, is_answered, is_answered_everywhere, record_fault,
};

#[test]
fn a_record_that_was_changed_is_a_bad_record_mac() {
    let error = record_fault(Fault::BadRecordMac);
    is_answered_everywhere(AlertDescription::BAD_RECORD_MAC, &error, |peer| {
        let mut record = peer.record(APPLICATION_DATA, b"changed on the way");
        *record.last_mut().unwrap() ^= 1;
        peer.send_bytes(&record);
    });
}

#[test]
fn a_record_that_was_lost_repeated_or_overtaken_is_a_bad_record_mac() {
    let error = record_fault(Fault::BadRecordMac);
    let orders: [&[usize]; 3] = [&[1], &[1, 0], &[0, 0]];
    for order in orders {
        let before: Vec<u8> = match order {
            [0, ..] => b"beforefirst".to_vec(),
            _ => b"before".to_vec(),
        };
        for runtime in Runtime::ALL {
            let (outcome, alert) = attack(runtime, Side::Server, Suite::Tls13Aes256, |peer| {
                peer.send(APPLICATION_DATA, b"before");
                let records = [b"first ", b"second"]
                    .map(|data| peer.record(APPLICATION_DATA, data.trim_ascii()));
                for index in order {
                    peer.send_bytes(&records[*index]);
                }
                peer.receive_alert()
            });
            assert_eq!(alert, Some(AlertDescription::BAD_RECORD_MAC.0), "{order:?}");
            assert_eq!(outcome.error().to_string(), error.to_string());
            assert_eq!(outcome.data, before);
            outcome.is_dead();
        }
    }
}

/// Refused by its header, before a byte of its body has arrived.
#[test]
fn a_header_that_is_too_long_is_a_record_overflow() {
    for (suite, len) in [
        (Suite::Tls13Aes128, 0x4101_u16),
        (Suite::Tls12Aes128, 0x4801),
    ] {
        let error = record_fault(Fault::RecordOverflow(len.into()));
        for side in Side::ALL {
            is_answered(
                side,
                suite,
                AlertDescription::RECORD_OVERFLOW,
                &error,
                |peer| {
                    let [high, low] = len.to_be_bytes();
                    peer.send_bytes(&[APPLICATION_DATA, 3, 3, high, low]);
                },
            );
        }
    }
}

#[test]
fn a_plaintext_over_2_14_bytes_is_a_record_overflow() {
    for (suite, counted) in [(Suite::Tls13Aes128, 2), (Suite::Tls12Aes128, 1)] {
        let error = record_fault(Fault::PlaintextOverflow(MAX_PLAINTEXT + counted));
        is_answered(
            Side::Server,
            suite,
            AlertDescription::RECORD_OVERFLOW,
            &error,
            |peer| {
                peer.send(APPLICATION_DATA, &vec![0x61; MAX_PLAINTEXT + 1]);
            },
        );
    }
}

#[test]
fn a_record_without_a_body_is_a_bad_record_mac() {
    let error = record_fault(Fault::RecordTooShort(0));
    is_answered_everywhere(AlertDescription::BAD_RECORD_MAC, &error, |peer| {
        peer.send_bytes(&[APPLICATION_DATA, 3, 3, 0, 0]);
    });
}

#[test]
fn other_version_bytes_are_a_protocol_version() {
    let error = record_fault(Fault::InvalidVersion(0x0301));
    is_answered_everywhere(AlertDescription::PROTOCOL_VERSION, &error, |peer| {
        let mut record = peer.record(APPLICATION_DATA, b"TLS 1.0");
        record[2] = 1;
        peer.send_bytes(&record);
    });
}

#[test]
fn plain_http_after_the_handshake_is_an_unexpected_message() {
    let error = record_fault(Fault::UnexpectedContentType(ContentType(b'G')));
    is_answered(
        Side::Server,
        Suite::Tls13Aes128,
        AlertDescription::UNEXPECTED_MESSAGE,
        &error,
        |peer| {
            peer.send_bytes(b"GET / HTTP/1.1\r\n\r\n");
        },
    );
}

#[test]
fn unprotected_records_are_unexpected_messages() {
    for content_type in [20, ALERT, HANDSHAKE] {
        let error = record_fault(Fault::UnexpectedContentType(ContentType(content_type)));
        let plain = [content_type, 3, 3, 0, 2, 1, 0];
        is_answered(
            Side::Server,
            Suite::Tls13Aes128,
            AlertDescription::UNEXPECTED_MESSAGE,
            &error,
            |peer| {
                peer.send_bytes(&plain);
            },
        );
    }
}

#[test]
fn a_second_change_cipher_spec_is_an_unexpected_message() {
    let error = record_fault(Fault::UnexpectedContentType(
        ContentType::CHANGE_CIPHER_SPEC,
    ));
    is_answered_everywhere(AlertDescription::UNEXPECTED_MESSAGE, &error, |peer| {
        peer.send_bytes(&[20, 3, 3, 0, 1, 1]);
    });
}

#[test]
fn a_protected_change_cipher_spec_is_an_unexpected_message() {
    let error = record_fault(Fault::UnexpectedContentType(
        ContentType::CHANGE_CIPHER_SPEC,
    ));
    is_answered_everywhere(AlertDescription::UNEXPECTED_MESSAGE, &error, |peer| {
        peer.send(20, &[1]);
    });
}

#[test]
fn a_record_of_padding_alone_is_an_unexpected_message() {
    let error = record_fault(Fault::NoContentType);
    is_answered(
        Side::Server,
        Suite::Tls13Aes128,
        AlertDescription::UNEXPECTED_MESSAGE,
        &error,
        |peer| {
            let record = peer.record_of(&[0; 100]);
            peer.send_bytes(&record);
        },
    );
}

#[test]
fn empty_alerts_and_handshake_records_are_unexpected_messages() {
    for content_type in [ALERT, HANDSHAKE] {
        let error = record_fault(Fault::EmptyRecord(ContentType(content_type)));
        is_answered_everywhere(AlertDescription::UNEXPECTED_MESSAGE, &error, |peer| {
            peer.send(content_type, b"");
        });
    }
}

#[test]
fn empty_records_without_end_are_an_unexpected_message() {
    let error = record_fault(Fault::TooManyEmptyRecords);
    is_answered_everywhere(AlertDescription::UNEXPECTED_MESSAGE, &error, |peer| {
        for _ in 0..=Opener::MAX_EMPTY_RECORDS {
            peer.send(APPLICATION_DATA, b"");
        }
    });
}

#[test]
fn as_many_empty_records_as_are_allowed_are_skipped() {
    for runtime in Runtime::ALL {
        for suite in Suite::EACH_VERSION {
            let (outcome, ()) = attack(runtime, Side::Server, suite, |peer| {
                for _ in 0..3 {
                    for _ in 0..Opener::MAX_EMPTY_RECORDS {
                        peer.send(APPLICATION_DATA, b"");
                    }
                    peer.send(APPLICATION_DATA, b"x");
                }
                peer.send(ALERT, &[1, 0]);
            });
            assert!(outcome.end.is_ok(), "{:?}", outcome.end);
            assert_eq!(outcome.data, b"xxx");
        }
    }
}

#[test]
fn records_of_another_type_are_unexpected_unless_asked_for() {
    for content_type in [24, 99, 255] {
        let error = fault(PeerMisbehaved::UnexpectedContentType(ContentType(
            content_type,
        )));
        is_answered_everywhere(AlertDescription::UNEXPECTED_MESSAGE, &error, |peer| {
            peer.send(content_type, b"heartbeat?");
        });
    }
}
