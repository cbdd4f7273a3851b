//! Alerts (RFC 5246 section 7.2, RFC 8446 section 6), in authentic records only.

use underseal_record::{AlertDescription, AlertLevel, ProtocolVersion};

/// What an alert makes of an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alert {
    /// The peer sends no more.
    CloseNotify,
    /// The peer gave up.
    Fatal(AlertDescription),
    /// A warning, or no alert at all.
    Ignored,
}

impl Alert {
    /// In DTLS 1.3 every alert is fatal but two, whatever its level says.
    pub(crate) fn parse(body: &[u8], version: ProtocolVersion) -> Self {
        let &[level, description] = body else {
            return Self::Ignored;
        };
        let description = AlertDescription(description);
        let is_fatal = match version {
            ProtocolVersion::Tls12 => level == AlertLevel::Fatal.to_wire(),
            ProtocolVersion::Tls13 => description != AlertDescription::USER_CANCELED,
        };
        match description {
            AlertDescription::CLOSE_NOTIFY => Self::CloseNotify,
            _ if is_fatal => Self::Fatal(description),
            _ => Self::Ignored,
        }
    }
}

/// The alert that says why this side gives up.
pub(crate) const fn fatal(description: AlertDescription) -> [u8; 2] {
    [AlertLevel::Fatal.to_wire(), description.0]
}

/// The alert that says that this side sends no more.
pub(crate) const CLOSE_NOTIFY: [u8; 2] = [
    AlertLevel::Warning.to_wire(),
    AlertDescription::CLOSE_NOTIFY.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_of_another_length_or_level_is_ignored() {
        let parse = |body: &[u8]| Alert::parse(body, ProtocolVersion::Tls12);
        assert_eq!(parse(&CLOSE_NOTIFY), Alert::CloseNotify);
        let bad_mac = AlertDescription::BAD_RECORD_MAC;
        assert_eq!(parse(&fatal(bad_mac)), Alert::Fatal(bad_mac));
        for ignored in [&[1, 100][..], &[2], &[2, 20, 0], &[], &[3, 20]] {
            assert_eq!(parse(ignored), Alert::Ignored);
        }
    }

    #[test]
    fn every_alert_of_dtls_1_3_is_fatal_but_two() {
        let parse = |body: &[u8]| Alert::parse(body, ProtocolVersion::Tls13);
        assert_eq!(parse(&CLOSE_NOTIFY), Alert::CloseNotify);
        for level in [1, 2, 3] {
            let bad_mac = AlertDescription::BAD_RECORD_MAC;
            assert_eq!(parse(&[level, 20]), Alert::Fatal(bad_mac));
            assert_eq!(parse(&[level, 90]), Alert::Ignored);
        }
        assert_eq!(parse(&[2]), Alert::Ignored);
    }
}
