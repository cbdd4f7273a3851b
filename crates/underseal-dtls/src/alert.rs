//! Alerts (RFC 5246 section 7.2), in authentic records only.

use underseal_record::{AlertDescription, AlertLevel};

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
    pub(crate) fn parse(body: &[u8]) -> Self {
        match *body {
            [_, 0] => Self::CloseNotify,
            [level, description] if level == AlertLevel::Fatal.to_wire() => {
                Self::Fatal(AlertDescription(description))
            }
            _ => Self::Ignored,
        }
    }
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
        assert_eq!(Alert::parse(&CLOSE_NOTIFY), Alert::CloseNotify);
        assert_eq!(
            Alert::parse(&[2, 20]),
            Alert::Fatal(AlertDescription::BAD_RECORD_MAC)
        );
        for ignored in [&[1, 100][..], &[2], &[2, 20, 0], &[], &[3, 20]] {
            assert_eq!(Alert::parse(ignored), Alert::Ignored);
        }
    }
}
