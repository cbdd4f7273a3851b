//! Faults of what comes beside the data: alerts, tickets, key updates, renegotiation.

use std::io::ErrorKind;

use underseal::PeerMisbehaved as Fault;
use underseal::record::AlertDescription;
use underseal_testkit::Suite;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::subject::{Runtime, Side, attack, fault, is_answered, is_answered_everywhere};

const TLS13: Suite = Suite::Tls13Aes128;
const TLS12: Suite = Suite::Tls12Aes128;

/// The first bytes of a ticket that would be 100 bytes long.
const HALF_A_TICKET: [u8; 6] = [4, 0, 0, 100, 0, 0];

#[test]
fn data_inside_a_handshake_message_is_an_unexpected_message() {
    let error = fault(Fault::InterleavedHandshake);
    let alert = AlertDescription::UNEXPECTED_MESSAGE;
    is_answered(Side::Client, TLS13, alert, &error, |peer| {
        peer.send(HANDSHAKE, &HALF_A_TICKET);
        peer.send(APPLICATION_DATA, b"between the halves");
    });
    is_answered(Side::Server, TLS13, alert, &error, |peer| {
        peer.send(HANDSHAKE, &key_update(0)[..2]);
        peer.send(APPLICATION_DATA, b"between the halves");
    });
}

#[test]
fn an_alert_inside_a_handshake_message_is_an_unexpected_message() {
    let error = fault(Fault::InterleavedHandshake);
    is_answered(
        Side::Server,
        TLS13,
        AlertDescription::UNEXPECTED_MESSAGE,
        &error,
        |peer| {
            peer.send(HANDSHAKE, &key_update(0)[..4]);
            peer.send(ALERT, &[1, 0]);
        },
    );
}

#[test]
fn bytes_behind_a_key_update_are_an_unexpected_message() {
    let error = fault(Fault::InterleavedHandshake);
    for side in Side::ALL {
        is_answered(
            side,
            TLS13,
            AlertDescription::UNEXPECTED_MESSAGE,
            &error,
            |peer| {
                peer.send(HANDSHAKE, &[key_update(0), key_update(0)].concat());
            },
        );
    }
}

#[test]
fn a_key_update_of_another_length_cannot_be_decoded() {
    let error = fault(Fault::Malformed);
    for message in [&[24, 0, 0, 0][..], &[24, 0, 0, 2, 0, 0]] {
        is_answered(
            Side::Server,
            TLS13,
            AlertDescription::DECODE_ERROR,
            &error,
            |peer| {
                peer.send(HANDSHAKE, message);
            },
        );
    }
}

#[test]
fn a_key_update_that_asks_for_something_else_is_an_illegal_parameter() {
    let error = fault(Fault::InvalidKeyUpdateRequest(2));
    is_answered(
        Side::Server,
        TLS13,
        AlertDescription::ILLEGAL_PARAMETER,
        &error,
        |peer| {
            peer.send(HANDSHAKE, &key_update(2));
        },
    );
}

#[test]
fn key_updates_without_end_are_an_unexpected_message() {
    let error = fault(Fault::TooManyControlMessages);
    for request in [0, 1] {
        for side in Side::ALL {
            for runtime in Runtime::ALL {
                let (outcome, alert) = attack(runtime, side, TLS13, |peer| {
                    for _ in 0..33 {
                        peer.send(HANDSHAKE, &key_update(request));
                        peer.update_tx();
                    }
                    // Each answer changes the key of what follows it.
                    loop {
                        match peer.receive() {
                            Some((HANDSHAKE, message)) if message == key_update(0) => {
                                peer.update_rx();
                            }
                            Some((HANDSHAKE, _)) => {}
                            Some((ALERT, alert)) => break alert,
                            other => panic!("{other:?} instead of an alert"),
                        }
                    }
                });
                assert_eq!(alert, [2, AlertDescription::UNEXPECTED_MESSAGE.0]);
                assert_eq!(outcome.error().to_string(), error.to_string());
                outcome.is_dead();
            }
        }
    }
}

#[test]
fn key_updates_with_data_between_them_never_end_a_connection() {
    for runtime in Runtime::ALL {
        let (outcome, ()) = attack(runtime, Side::Server, TLS13, |peer| {
            for _ in 0..200 {
                peer.send(APPLICATION_DATA, b"d");
                peer.send(HANDSHAKE, &key_update(0));
                peer.update_tx();
            }
            peer.send(ALERT, &[1, 0]);
        });
        assert!(outcome.end.is_ok(), "{:?}", outcome.end);
        assert_eq!(outcome.data, [b'd'; 200]);
    }
}

#[test]
fn warnings_without_end_are_an_unexpected_message() {
    let error = fault(Fault::TooManyControlMessages);
    let user_canceled = [1, AlertDescription::USER_CANCELED.0];
    is_answered_everywhere(AlertDescription::UNEXPECTED_MESSAGE, &error, |peer| {
        for _ in 0..40 {
            peer.send(ALERT, &user_canceled);
        }
    });
}

#[test]
fn a_handshake_message_of_64_kib_and_more_is_an_illegal_parameter() {
    let error = fault(Fault::HandshakeMessageTooLong(0x01_0000));
    for suite in [TLS13, TLS12] {
        is_answered(
            Side::Client,
            suite,
            AlertDescription::ILLEGAL_PARAMETER,
            &error,
            |peer| {
                peer.send(HANDSHAKE, &[4, 1, 0, 0]);
            },
        );
    }
}

#[test]
fn messages_of_the_handshake_are_unexpected_after_it() {
    // ServerHello, EncryptedExtensions, Certificate, CertificateRequest, CertificateVerify,
    // Finished; a ticket has no place at a server, a ClientHello nowhere in TLS 1.3.
    for kind in [2, 8, 11, 13, 15, 20] {
        let error = fault(Fault::UnexpectedHandshakeMessage(kind));
        for side in Side::ALL {
            is_answered(
                side,
                TLS13,
                AlertDescription::UNEXPECTED_MESSAGE,
                &error,
                |peer| {
                    peer.send(HANDSHAKE, &[kind, 0, 0, 1, 0]);
                },
            );
        }
    }
    for (side, suite, kind) in [
        (Side::Server, TLS13, 4),
        (Side::Server, TLS13, 1),
        (Side::Client, TLS13, 1),
        (Side::Server, TLS12, 0),
        (Side::Client, TLS12, 1),
        (Side::Server, TLS12, 24),
        (Side::Client, TLS12, 24),
    ] {
        let error = fault(Fault::UnexpectedHandshakeMessage(kind));
        is_answered(
            side,
            suite,
            AlertDescription::UNEXPECTED_MESSAGE,
            &error,
            |peer| {
                peer.send(HANDSHAKE, &[kind, 0, 0, 1, 0]);
            },
        );
    }
}

#[test]
fn a_ticket_that_makes_no_sense_cannot_be_decoded() {
    let error = fault(Fault::InvalidTicket);
    is_answered(
        Side::Client,
        TLS13,
        AlertDescription::DECODE_ERROR,
        &error,
        |peer| {
            peer.send(HANDSHAKE, &[4, 0, 0, 3, 1, 2, 3]);
        },
    );
}

#[test]
fn renegotiation_is_declined_and_the_connection_goes_on() {
    for runtime in Runtime::ALL {
        for (side, hello) in [
            (Side::Client, &[0, 0, 0, 0][..]),
            (Side::Server, &[1, 0, 0, 1, 0]),
        ] {
            let (outcome, answer) = attack(runtime, side, TLS12, |peer| {
                peer.send(HANDSHAKE, hello);
                let answer = peer.receive();
                peer.send(APPLICATION_DATA, b"as before");
                peer.send(ALERT, &[1, 0]);
                answer
            });
            let no_renegotiation = vec![1, AlertDescription::NO_RENEGOTIATION.0];
            assert_eq!(answer, Some((ALERT, no_renegotiation)));
            assert!(outcome.end.is_ok(), "{:?}", outcome.end);
            assert_eq!(outcome.data, b"as before");
        }
    }
}

#[test]
fn renegotiation_without_end_is_an_unexpected_message() {
    let error = fault(Fault::TooManyControlMessages);
    for runtime in Runtime::ALL {
        let (outcome, alerts) = attack(runtime, Side::Client, TLS12, |peer| {
            for _ in 0..40 {
                peer.send(HANDSHAKE, &[0, 0, 0, 0]);
            }
            let mut alerts = Vec::new();
            while alerts.last() != Some(&10) {
                alerts.extend(peer.receive_alert());
            }
            alerts
        });
        assert_eq!(alerts.len(), 33, "{alerts:?}");
        assert_eq!(outcome.error().to_string(), error.to_string());
        outcome.is_dead();
    }
}

#[test]
fn alerts_that_are_not_two_bytes_cannot_be_decoded() {
    let error = fault(Fault::Malformed);
    for alert in [&[2][..], &[1, 0, 0], &[1, 0, 1, 0]] {
        is_answered_everywhere(AlertDescription::DECODE_ERROR, &error, |peer| {
            peer.send(ALERT, alert);
        });
    }
}

/// A fatal alert has a type, is not answered, and ends the connection at once.
#[test]
fn alerts_of_the_peer_are_errors_with_their_description() {
    for suite in Suite::EACH_VERSION {
        for side in Side::ALL {
            for description in [10, 40, 80, 116, 200] {
                for runtime in Runtime::ALL {
                    let (outcome, answer) = attack(runtime, side, suite, |peer| {
                        peer.send(APPLICATION_DATA, b"before");
                        peer.send(ALERT, &[2, description]);
                        peer.receive_alert()
                    });
                    let error = underseal::Error::AlertReceived(AlertDescription(description));
                    assert_eq!(outcome.error().to_string(), error.to_string());
                    assert_eq!(outcome.error().alert(), None, "the peer spoke last");
                    assert_eq!(answer, None, "an alert is not answered");
                    assert_eq!(outcome.kind(), ErrorKind::InvalidData);
                    assert_eq!(outcome.data, b"before");
                    outcome.is_dead();
                }
            }
        }
    }
}

/// RFC 8446 section 6: the level is not looked at, so an error sent as a warning is an error.
#[test]
fn tls13_alerts_are_fatal_whatever_their_level() {
    let (outcome, _) = attack(Runtime::Blocking, Side::Server, TLS13, |peer| {
        peer.send(ALERT, &[1, 40]);
        peer.receive_alert()
    });
    let error = underseal::Error::AlertReceived(AlertDescription::HANDSHAKE_FAILURE);
    assert_eq!(outcome.error().to_string(), error.to_string());
}

#[test]
fn tls12_warnings_are_skipped() {
    for runtime in Runtime::ALL {
        let (outcome, ()) = attack(runtime, Side::Server, TLS12, |peer| {
            peer.send(ALERT, &[1, 112]);
            peer.send(APPLICATION_DATA, b"unimpressed");
            peer.send(ALERT, &[1, 0]);
        });
        assert!(outcome.end.is_ok(), "{:?}", outcome.end);
        assert_eq!(outcome.data, b"unimpressed");
    }
}
