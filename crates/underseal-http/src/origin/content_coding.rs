//! Content coding: does the client take gzip (RFC 9110, section 12.5.3)?

/// Reads the value of an `Accept-Encoding` field. A missing field means no, although the RFC
/// would allow any coding: clients that say nothing seldom decode anything.
pub(super) fn accepts_gzip(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let mut by_wildcard = false;
    for item in text.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or("");
        let acceptable = !parts.any(is_zero_weight);
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return acceptable;
        }
        by_wildcard |= coding == "*" && acceptable;
    }
    by_wildcard
}

/// `q=0`, with up to three zeros after the point.
fn is_zero_weight(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, weight)| {
        name.trim().eq_ignore_ascii_case("q") && weight.trim().parse::<f32>() == Ok(0.0)
    })
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
