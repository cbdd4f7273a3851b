use core::fmt;

/// How bad an alert is. TLS 1.3 ignores it: there every alert but close_notify and user_canceled
/// is fatal (RFC 8446 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 8446 section 6 has two")]
pub enum AlertLevel {
    /// The connection may go on (TLS 1.2), or ends in order (close_notify).
    Warning,
    /// The connection is over.
    Fatal,
}

impl AlertLevel {
    /// The byte on the wire.
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Warning => 1,
            Self::Fatal => 2,
        }
    }
}

macro_rules! alert_descriptions {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)+) => {
        /// Why an alert was sent (RFC 8446 section 6.2; IANA "TLS Alerts").
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct AlertDescription(pub u8);

        impl AlertDescription {
            $($(#[$doc])* pub const $name: Self = Self($value);)+

            /// The RFC's name of the alert, if it is a known one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)+
                    _ => None,
                }
            }
        }
    };
}

alert_descriptions! {
    /// The sender sends no more data.
    CLOSE_NOTIFY = 0, "close_notify";
    /// A message came at the wrong time, or of a type that has no place here.
    UNEXPECTED_MESSAGE = 10, "unexpected_message";
    /// A record did not authenticate.
    BAD_RECORD_MAC = 20, "bad_record_mac";
    /// A record was longer than the protocol or the negotiated limit allows.
    RECORD_OVERFLOW = 22, "record_overflow";
    /// No acceptable set of parameters.
    HANDSHAKE_FAILURE = 40, "handshake_failure";
    /// A certificate was corrupt or did not verify.
    BAD_CERTIFICATE = 42, "bad_certificate";
    /// A certificate was of an unsupported type.
    UNSUPPORTED_CERTIFICATE = 43, "unsupported_certificate";
    /// A certificate was revoked.
    CERTIFICATE_REVOKED = 44, "certificate_revoked";
    /// A certificate has expired.
    CERTIFICATE_EXPIRED = 45, "certificate_expired";
    /// A certificate is unacceptable for another reason.
    CERTIFICATE_UNKNOWN = 46, "certificate_unknown";
    /// A handshake field was out of range or inconsistent.
    ILLEGAL_PARAMETER = 47, "illegal_parameter";
    /// No path to a trusted authority.
    UNKNOWN_CA = 48, "unknown_ca";
    /// A valid certificate was refused by access control.
    ACCESS_DENIED = 49, "access_denied";
    /// A message could not be decoded.
    DECODE_ERROR = 50, "decode_error";
    /// A handshake signature or Finished did not verify.
    DECRYPT_ERROR = 51, "decrypt_error";
    /// The peer's protocol version is not supported.
    PROTOCOL_VERSION = 70, "protocol_version";
    /// The server wants stronger parameters.
    INSUFFICIENT_SECURITY = 71, "insufficient_security";
    /// An error of the sender's own.
    INTERNAL_ERROR = 80, "internal_error";
    /// A fallback attempt that should not have happened.
    INAPPROPRIATE_FALLBACK = 86, "inappropriate_fallback";
    /// The user cancelled the handshake.
    USER_CANCELED = 90, "user_canceled";
    /// Renegotiation refused (TLS 1.2).
    NO_RENEGOTIATION = 100, "no_renegotiation";
    /// A required extension is missing.
    MISSING_EXTENSION = 109, "missing_extension";
    /// An extension that was not asked for.
    UNSUPPORTED_EXTENSION = 110, "unsupported_extension";
    /// No server of that name.
    UNRECOGNIZED_NAME = 112, "unrecognized_name";
    /// The stapled OCSP response is bad.
    BAD_CERTIFICATE_STATUS_RESPONSE = 113, "bad_certificate_status_response";
    /// No such pre-shared key identity.
    UNKNOWN_PSK_IDENTITY = 115, "unknown_psk_identity";
    /// A client certificate is required.
    CERTIFICATE_REQUIRED = 116, "certificate_required";
    /// No common application protocol.
    NO_APPLICATION_PROTOCOL = 120, "no_application_protocol";
}

impl fmt::Display for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "alert {}", self.0),
        }
    }
}

impl fmt::Debug for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlertDescription({self})")
    }
}
