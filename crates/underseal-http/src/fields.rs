//! What becomes of a field on its way through: RFC 9110 section 7.6.1, and fields that only we may
//! say.

/// What a field is to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For the other end.
    EndToEnd,
    /// For this connection alone; dropped.
    Hop,
    /// What is for this connection alone, and what becomes of it.
    Connection,
    /// Another protocol to go on with.
    Upgrade,
    /// Codings that the response may have (RFC 9110 section 10.1.4).
    Te,
    /// How long the body is.
    ContentLength,
    /// How the body is coded.
    TransferEncoding,
    /// Said by us, and by nobody else.
    Ours,
}

/// What the field `name` is.
pub fn kind(name: &[u8]) -> Kind {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 if is(b"te") => Kind::Te,
        7 if is(b"upgrade") => Kind::Upgrade,
        10 if is(b"connection") => Kind::Connection,
        10 if is(b"keep-alive") => Kind::Hop,
        14 if is(b"content-length") => Kind::ContentLength,
        14 if is(b"http2-settings") => Kind::Hop,
        16 if is(b"proxy-connection") => Kind::Hop,
        17 if is(b"transfer-encoding") => Kind::TransferEncoding,
        _ if is_ours(name) => Kind::Ours,
        _ => Kind::EndToEnd,
    }
}

/// Whether the field `name` may come behind a body: it is not for the connection alone, and does not say
/// how long the body was or who it was for (RFC 9110 section 6.5.1).
pub fn may_trail(name: &[u8]) -> bool {
    let is_for_others = matches!(kind(name), Kind::EndToEnd | Kind::Ours);
    is_for_others && !name.eq_ignore_ascii_case(b"host")
}

/// Whether programs that hand fields on as environment variables (RFC 3875 section 4.1.18) may take
/// one name for the other: in those all that is no letter and no digit is an underscore.
pub fn can_be_taken_for(name: &[u8], other: &[u8]) -> bool {
    let is_same = |(own, other): (&u8, &u8)| match own.is_ascii_alphanumeric() {
        true => own.eq_ignore_ascii_case(other),
        false => !other.is_ascii_alphanumeric(),
    };
    name.len() == other.len() && name.iter().zip(other).all(is_same)
}

/// Whether `name` says who the client is or how it came, or can be taken for such a name.
pub fn is_ours(name: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 2] = [b"x-forwarded-", b"x-underseal-"];
    match name.first() {
        Some(b'x' | b'X') => {
            let starts = |prefix: &&[u8]| {
                let start = name.get(..prefix.len());
                start.is_some_and(|start| can_be_taken_for(start, prefix))
            };
            can_be_taken_for(name, b"x-real-ip") || PREFIXES.iter().any(starts)
        }
        Some(b'f' | b'F') => can_be_taken_for(name, b"forwarded"),
        _ => false,
    }
}

/// Most options that the Connection fields of a head may have: each of them is looked for among all fields.
const MAX_OPTIONS: u8 = 32;

/// Connection fields have more options than any connection needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyOptions;

/// What Connection fields say, all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The connection ends after this exchange.
    pub close: bool,
    /// It does not, for who speaks HTTP/1.0.
    pub keep_alive: bool,
    /// Whether fields are named that would pass if they were not.
    pub names_fields: bool,
    /// Whether a field is named that says how to read a request, or who it is for: one that takes out what
    /// is named would change both.
    pub(crate) names_framing: bool,
    count: u8,
}

impl Options {
    /// Adds what one Connection field says.
    ///
    /// # Errors
    /// If there are too many options, with those of the fields before.
    pub fn note(&mut self, value: &[u8]) -> Result<(), TooManyOptions> {
        // What browsers say, each time.
        if self.count < MAX_OPTIONS && value.eq_ignore_ascii_case(b"keep-alive") {
            (self.keep_alive, self.count) = (true, self.count + 1);
            return Ok(());
        }
        for option in listed(value) {
            self.count = self.count.saturating_add(1);
            if self.count > MAX_OPTIONS {
                return Err(TooManyOptions);
            }
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else {
                self.note_name(option);
            }
        }
        Ok(())
    }

    fn note_name(&mut self, name: &[u8]) {
        self.names_fields |= may_name(name);
        let frames = matches!(kind(name), Kind::ContentLength | Kind::TransferEncoding);
        self.names_framing |= frames || name.eq_ignore_ascii_case(b"host");
    }

    /// Whether the connection goes on after an exchange of HTTP/1.`minor_version` (RFC 9112 section 9.3).
    pub fn persists(self, minor_version: u8) -> bool {
        !self.close && (minor_version == 1 || self.keep_alive)
    }
}

/// Whether a field of this name would pass, in a request or in a response, if Connection did not name it.
fn may_name(option: &[u8]) -> bool {
    let is_close = option.eq_ignore_ascii_case(b"close");
    !is_close && matches!(kind(option), Kind::EndToEnd | Kind::Ours)
}

/// Which fields of a head its Connection fields name: they are for the connection alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NamedFields(u128);

impl NamedFields {
    /// Among these `fields`, of which no head has more than 128. The lists are read once, and not for each field:
    /// both may be as long as the head.
    pub fn of<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Self {
        let is_connection = |name: &[u8]| name.eq_ignore_ascii_case(b"connection");
        let lists = fields.clone().filter(|(name, _)| is_connection(name));
        let mut named = 0;
        for option in lists
            .flat_map(|(_, value)| listed(value))
            .filter(|option| may_name(option))
        {
            for (index, (name, _)) in fields.clone().enumerate() {
                if name.eq_ignore_ascii_case(option) {
                    named |= bit(index);
                }
            }
        }
        Self(named)
    }

    /// Whether the field at this place is one of them.
    pub fn has(self, index: usize) -> bool {
        self.0 & bit(index) != 0
    }
}

fn bit(index: usize) -> u128 {
    let index = u32::try_from(index).ok();
    index
        .and_then(|index| 1_u128.checked_shl(index))
        .unwrap_or(0)
}

/// Whether the token `name` is `lower`, which is letters and hyphens, in any case.
#[inline]
pub(crate) fn is(name: &[u8], lower: &[u8]) -> bool {
    // No byte of a token but a letter becomes a letter or a hyphen by this. None is branched on.
    let pairs = name.iter().zip(lower);
    let differs = pairs.fold(0, |differs, (own, other)| differs | ((own | 0x20) ^ other));
    name.len() == lower.len() && differs == 0
}

/// Whether a name has this byte (RFC 9110 section 5.6.2).
pub(crate) fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// Whether a value has this byte (RFC 9110 section 5.5).
pub(crate) fn in_value(byte: &u8) -> bool {
    *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)
}

/// The members of a comma-separated list.
pub fn listed(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let members = value.split(|byte| *byte == b',');
    members
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_ours_however_it_is_spelt() {
        for name in [
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-Forwarded_Proto",
            "x-forwarded-client-cert",
            "X-UNDERSEAL-PRINCIPAL",
            "X_Real_IP",
            "X.Real.IP",
            "x~forwarded_for",
            "Forwarded",
        ] {
            assert_eq!(kind(name.as_bytes()), Kind::Ours, "{name}");
        }
        for name in [
            "X-Forward",
            "X-Request-Id",
            "Forwarded-By",
            "Host",
            "Cookie",
        ] {
            assert_eq!(kind(name.as_bytes()), Kind::EndToEnd, "{name}");
        }
    }

    #[test]
    fn what_is_for_the_connection_or_frames_the_body_does_not_come_behind_it() {
        for name in ["Grpc-Status", "X-Sum", "x-forwarded-for"] {
            assert!(may_trail(name.as_bytes()), "{name}");
        }
        for name in [
            "Content-Length",
            "transfer-encoding",
            "Host",
            "Connection",
            "TE",
        ] {
            assert!(!may_trail(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn connection_options_add_up() {
        let mut options = Options::default();
        assert_eq!(options.note(b" Keep-Alive,, upgrade"), Ok(()));
        assert!(options.keep_alive && !options.names_fields);
        assert_eq!(options.note(b"close, X-Secret"), Ok(()));
        assert!(options.close && options.names_fields);
    }

    #[test]
    fn connection_options_are_few() {
        let few = "a, ".repeat(usize::from(MAX_OPTIONS) - 1);
        let mut options = Options::default();
        assert_eq!(options.note(few.as_bytes()), Ok(()));
        assert_eq!(options.note(b"b,"), Ok(()));
        assert_eq!(options.note(b"c"), Err(TooManyOptions));
    }

    #[test]
    fn lists_of_named_fields_are_read_once_however_many_fields_there_are() {
        let mut fields: Vec<(&[u8], &[u8])> = vec![(b"b", b""); 100];
        fields[3] = (b"Connection", b"x-own, close");
        fields[4] = (b"X-Own", b"1");
        fields[5] = (b"connection", b"b");
        let reads = std::cell::Cell::new(0);
        let counted = fields.iter().map(|(name, value)| {
            reads.set(reads.get() + 1);
            (*name, *value)
        });
        let named = NamedFields::of(counted);
        assert!(named.has(0) && named.has(4) && named.has(99));
        assert!(!named.has(3) && !named.has(5) && !named.has(100));
        // Once to find the lists, and once for each of the two names.
        assert_eq!(reads.get(), 3 * fields.len());
    }
}
