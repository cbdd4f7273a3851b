//! The one mapping from what the peer did to what it is told (RFC 8446 sections 5 and 6.2).

use underseal_record::{AlertDescription, AlertLevel, ContentType, Error, PeerMisbehaved};

#[test]
fn every_fault_has_its_alert() {
    use AlertDescription as A;
    use PeerMisbehaved as P;
    let table = [
        (P::BadRecordMac, A::BAD_RECORD_MAC),
        (P::RecordTooShort(3), A::BAD_RECORD_MAC),
        (P::RecordOverflow(20_000), A::RECORD_OVERFLOW),
        (P::PlaintextOverflow(20_000), A::RECORD_OVERFLOW),
        (
            P::UnexpectedContentType(ContentType(20)),
            A::UNEXPECTED_MESSAGE,
        ),
        (P::NoContentType, A::UNEXPECTED_MESSAGE),
        (P::EmptyRecord(ContentType::ALERT), A::UNEXPECTED_MESSAGE),
        (P::TooManyEmptyRecords, A::UNEXPECTED_MESSAGE),
        (P::InvalidVersion(0x0301), A::PROTOCOL_VERSION),
    ];
    for (fault, alert) in table {
        assert_eq!(Error::from(fault).alert(), Some(alert), "{fault}");
    }
    assert_eq!(
        Error::Poisoned.alert(),
        None,
        "the peer has been told already"
    );
}

/// Numbers and names of RFC 8446 appendix B.2, and the two that only TLS 1.2 has.
#[test]
fn alerts_have_the_numbers_and_names_of_the_rfc() {
    let table = [
        (0, "close_notify"),
        (10, "unexpected_message"),
        (20, "bad_record_mac"),
        (22, "record_overflow"),
        (40, "handshake_failure"),
        (42, "bad_certificate"),
        (43, "unsupported_certificate"),
        (44, "certificate_revoked"),
        (45, "certificate_expired"),
        (46, "certificate_unknown"),
        (47, "illegal_parameter"),
        (48, "unknown_ca"),
        (49, "access_denied"),
        (50, "decode_error"),
        (51, "decrypt_error"),
        (70, "protocol_version"),
        (71, "insufficient_security"),
        (80, "internal_error"),
        (86, "inappropriate_fallback"),
        (90, "user_canceled"),
        (100, "no_renegotiation"),
        (109, "missing_extension"),
        (110, "unsupported_extension"),
        (112, "unrecognized_name"),
        (113, "bad_certificate_status_response"),
        (115, "unknown_psk_identity"),
        (116, "certificate_required"),
        (120, "no_application_protocol"),
    ];
    for (number, name) in table {
        let alert = AlertDescription(number);
        assert_eq!(alert.name(), Some(name));
        assert_eq!(alert.to_string(), name);
    }
    let named = (0..=255).filter(|number| AlertDescription(*number).name().is_some());
    assert_eq!(named.count(), table.len());
    assert_eq!(AlertDescription(200).to_string(), "alert 200");
    assert_eq!(AlertLevel::Warning.to_wire(), 1);
    assert_eq!(AlertLevel::Fatal.to_wire(), 2);
}
