//! Content coding: does the client take gzip (RFC 9110, section 12.5.3)?

use crate::fields::listed;

/// Reads the value of an `Accept-Encoding` field. A missing field means no, although the RFC
/// would allow any coding: clients that say nothing seldom decode anything.
pub(super) fn accepts_gzip(value: &[u8]) -> bool {
    let mut by_wildcard = false;
    for item in listed(value) {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        let acceptable = !parts.any(is_zero_weight);
        if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
            return acceptable;
        }
        by_wildcard |= coding == b"*" && acceptable;
    }
    by_wildcard
}

/// `q=0`, with up to three zeros after the point.
fn is_zero_weight(parameter: &[u8]) -> bool {
    let weight = match parameter {
        [b'q' | b'Q', b'=', weight @ ..] => weight,
        _ => return false,
    };
    weight.starts_with(b"0") && weight.iter().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_when_named_and_not_weighted_to_nothing() {
        for yes in [
            "gzip",
            "br, gzip;q=0.5",
            "GZIP",
            "deflate,*",
            "x-gzip",
            "gzip ; q=1",
        ] {
            assert!(accepts_gzip(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip; q=0.000, *",
            "*;q=0",
            "gzipped",
        ] {
            assert!(!accepts_gzip(no.as_bytes()), "{no}");
        }
        assert!(!accepts_gzip(b"\xff"));
    }
}
