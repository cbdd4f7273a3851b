//! From the target of a request to a path below the root.
//!
//! Decoding happens once, segment by segment, so that an encoded separator can never create a
//! segment. What comes out holds no `..`, no `.`, no empty segment, no NUL and no backslash.

/// Why a target names nothing that could be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetFault {
    /// Malformed: bad percent-encoding, NUL, backslash, encoded slash.
    Malformed,
    /// A `..` segment, plain or encoded.
    Parent,
    /// A segment that begins with a dot, when those are not served.
    Hidden,
}

/// Whether names that begin with a dot exist for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DotNames {
    /// They are names like any other.
    Serve,
    /// There is no such name, `.well-known` aside.
    Conceal,
}

/// Decodes `path` into `out`, relative to the root and without a leading slash; the root itself
/// is empty. A trailing slash is kept, since it asks for a directory.
///
/// # Errors
/// The reason why there can be no such file. `out` holds nothing of use then.
pub fn decode(path: &[u8], names: DotNames, out: &mut Vec<u8>) -> Result<(), TargetFault> {
    out.clear();
    let mut names_directory = false;
    for segment in path.split(|&byte| byte == b'/') {
        let start = out.len();
        percent_decode(segment, out)?;
        names_directory = matches!(&out[start..], b"" | b".");
        match &out[start..] {
            b"" | b"." => out.truncate(start),
            b".." => return Err(TargetFault::Parent),
            name if name[0] == b'.' && names == DotNames::Conceal && name != b".well-known" => {
                return Err(TargetFault::Hidden);
            }
            _ => out.push(b'/'),
        }
    }
    if !names_directory {
        out.pop();
    }
    Ok(())
}

fn percent_decode(segment: &[u8], out: &mut Vec<u8>) -> Result<(), TargetFault> {
    let mut rest = segment;
    while let [first, tail @ ..] = rest {
        let byte = if *first == b'%' {
            let [high, low, tail @ ..] = tail else {
                return Err(TargetFault::Malformed);
            };
            rest = tail;
            hex(*high)? << 4 | hex(*low)?
        } else {
            rest = tail;
            *first
        };
        if matches!(byte, 0 | b'/' | b'\\') {
            return Err(TargetFault::Malformed);
        }
        out.push(byte);
    }
    Ok(())
}

fn hex(digit: u8) -> Result<u8, TargetFault> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(TargetFault::Malformed),
    }
}

/// Appends `path` percent-encoded for use in a URL, slashes kept.
pub fn encode(path: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', DIGITS[high], DIGITS[low]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(path: &str) -> Result<String, TargetFault> {
        let mut out = b"left over".to_vec();
        decode(path.as_bytes(), DotNames::Conceal, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn paths_lose_empty_and_dot_segments() {
        for (path, expected) in [
            ("/", ""),
            ("/a/b.txt", "a/b.txt"),
            ("/a/b/", "a/b/"),
            ("//a///b", "a/b"),
            ("/./a/.", "a/"),
            ("/%2e/a", "a"),
            ("/a%20b+c", "a b+c"),
            ("/%C3%A9", "\u{e9}"),
            ("/a..b/...", "a..b/..."),
            ("/.well-known/x", ".well-known/x"),
        ] {
            if path.contains("...") {
                let mut out = Vec::new();
                decode(path.as_bytes(), DotNames::Serve, &mut out).expect(path);
                assert_eq!(out, expected.as_bytes());
            } else {
                assert_eq!(decoded(path).as_deref(), Ok(expected), "{path}");
            }
        }
    }

    #[test]
    fn every_spelling_of_parent_is_refused() {
        for path in [
            "/..",
            "/../etc",
            "/a/../b",
            "/%2e%2e/a",
            "/.%2E/a",
            "/a/%2e.",
        ] {
            assert_eq!(decoded(path), Err(TargetFault::Parent), "{path}");
        }
    }

    #[test]
    fn tricks_with_separators_and_encodings_are_malformed() {
        for path in [
            "/a%00b",
            "/a\\b",
            "/..\\..\\a",
            "/a%5cb",
            "/a%2fb",
            "/..%2fa",
            "/%",
            "/%4",
            "/%zz",
        ] {
            assert_eq!(decoded(path), Err(TargetFault::Malformed), "{path}");
        }
    }

    #[test]
    fn decoding_happens_once() {
        assert_eq!(decoded("/%252e%252e/a").as_deref(), Ok("%2e%2e/a"));
    }

    #[test]
    fn dot_names_are_concealed_unless_served() {
        assert_eq!(decoded("/.git/config"), Err(TargetFault::Hidden));
        assert_eq!(decoded("/a/%2egit"), Err(TargetFault::Hidden));
    }

    proptest! {
        #[test]
        fn what_decode_lets_through_stays_below_the_root(path in "(/|[.]|%2[eEfF]|%5c|%00|\\\\|[a-z]){0,24}") {
            let mut out = Vec::new();
            if decode(path.as_bytes(), DotNames::Serve, &mut out).is_ok() {
                prop_assert!(!out.starts_with(b"/"));
                prop_assert!(!out.contains(&0) && !out.contains(&b'\\'));
                let trimmed = out.strip_suffix(b"/").unwrap_or(&out);
                for segment in trimmed.split(|&b| b == b'/').filter(|_| !trimmed.is_empty()) {
                    prop_assert!(!matches!(segment, b"" | b"." | b".."));
                }
            }
        }

        #[test]
        fn encode_is_undone_by_decode(name in "[^/\\\\\\x00]{1,12}") {
            prop_assume!(name != "." && name != "..");
            let mut encoded = b"/".to_vec();
            encode(name.as_bytes(), &mut encoded);
            let mut out = Vec::new();
            prop_assert_eq!(decode(&encoded, DotNames::Serve, &mut out), Ok(()));
            prop_assert_eq!(out, name.into_bytes());
        }
    }
}
