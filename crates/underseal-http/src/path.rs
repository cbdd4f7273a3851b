//! Paths in normal form (RFC 3986 section 6.2.2), so that one resource has one name.

use std::fmt;

/// What a path may hold and how it is read. The default refuses whatever two programs may read
/// differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathOptions {
    /// `//` is read as `/`, as most servers do. Default: yes.
    pub merge_slashes: bool,
    /// What becomes of `%2F`. Default: it is refused.
    pub encoded_slash: EncodedSlash,
    /// `%5C` is let through, as itself. Default: no.
    pub encoded_backslash: bool,
    /// `%00` to `%1F` and `%7F` are let through, as themselves. Default: no.
    pub encoded_control: bool,
    /// `;` is let through, and `%3B`, as themselves. Default: no.
    pub parameter: bool,
}

/// What becomes of `%2F` in a path: a separator to some, a letter to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedSlash {
    /// It is refused.
    #[default]
    Reject,
    /// It is let through, as itself: it is never read as `/`.
    Keep,
    /// It is read as `/`.
    Decode,
}

impl Default for PathOptions {
    fn default() -> Self {
        Self {
            merge_slashes: true,
            encoded_slash: EncodedSlash::Reject,
            encoded_backslash: false,
            encoded_control: false,
            parameter: false,
        }
    }
}

impl PathOptions {
    /// Lets through all that can be: what a policy may name.
    pub const LENIENT: Self = Self {
        merge_slashes: true,
        encoded_slash: EncodedSlash::Keep,
        encoded_backslash: true,
        encoded_control: true,
        parameter: true,
    };
}

/// Why a path is refused: the fault of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathFault {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A byte that no URI has in its path: a control, a space, `"<>\^{}`, or none of ASCII.
    Byte,
    /// `%` without two hexadecimal digits.
    Percent,
    /// `%2F`: a separator to some, a letter to others.
    EncodedSlash,
    /// `%5C`.
    EncodedBackslash,
    /// `%00` or another control.
    EncodedControl,
    /// `.;` or `..;`: a dot segment to servers that cut off parameters first.
    DotParameter,
    /// `;` or `%3B`: a part of the name to some; others cut it off, and what follows in the segment.
    Parameter,
    /// It is in another form than rules are compared with.
    NotNormal,
    /// More bytes than there is room for.
    TooLong,
}

impl PathFault {
    /// A word for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path-not-absolute",
            Self::Byte => "path-byte",
            Self::Percent => "path-percent",
            Self::EncodedSlash => "encoded-slash",
            Self::EncodedBackslash => "encoded-backslash",
            Self::EncodedControl => "encoded-control",
            Self::DotParameter => "dot-parameter",
            Self::Parameter => "path-parameter",
            Self::NotNormal => "path-not-normal",
            Self::TooLong => "path-too-long",
        }
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "the path does not begin with `/`",
            Self::Byte => "the path has a byte that URIs do not have there",
            Self::Percent => "`%` is not followed by two hexadecimal digits",
            Self::EncodedSlash => "the path has an encoded slash",
            Self::EncodedBackslash => "the path has an encoded backslash",
            Self::EncodedControl => "the path has an encoded control character",
            Self::DotParameter => "the path has a dot segment with a parameter",
            Self::Parameter => "the path has a parameter",
            Self::NotNormal => "the path is not in normal form",
            Self::TooLong => "the path is too long",
        })
    }
}

/// Brings `path` (no query) into normal form: unreserved characters decoded, `%XX` in capitals,
/// dot segments resolved, slashes merged if `options` say so. It is returned as it is where
/// nothing has to change, and otherwise written to `out`, which `path` always fits into.
///
/// # Errors
/// Where the path could be read in more than one way, or `out` is shorter than `path`.
pub fn normalise<'a>(
    path: &'a [u8],
    options: &PathOptions,
    out: &'a mut [u8],
) -> Result<&'a [u8], PathFault> {
    if path.first() != Some(&b'/') {
        return Err(PathFault::NotAbsolute);
    }
    let normal = normal_len(path);
    if normal == path.len() {
        return Ok(path);
    }
    if out.len() < path.len() {
        return Err(PathFault::TooLong);
    }
    let len = rewrite(path, normal, options, out)?;
    Ok(&out[..len])
}

/// Whether `path` is its own normal form. Allocates, unlike [`normalise`].
///
/// # Errors
/// As [`normalise`].
pub fn is_normal(path: &[u8], options: &PathOptions) -> Result<bool, PathFault> {
    let mut out = vec![0; path.len()];
    normalise(path, options, &mut out).map(|normal| normal == path)
}

/// The bytes that stand for themselves within a segment.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        plain[byte] = !matches!(
            byte as u8,
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'{' | b'}' | b'#' | b'?' | b'%' | b'/' | b';'
        );
        byte += 1;
    }
    plain
};

fn plain_len(text: &[u8]) -> usize {
    let end = text.iter().position(|byte| !PLAIN[usize::from(*byte)]);
    end.unwrap_or(text.len())
}

/// How much of `path`, which begins with a separator, nothing has to be changed in: whole segments.
/// The usual path is one of them.
fn normal_len(path: &[u8]) -> usize {
    let (mut segment, mut at) = (0, 0);
    loop {
        match path[at..] {
            [] => return at,
            // An empty segment, or one that may be a dot segment.
            [b'/', b'/' | b'.', ..] => return at,
            [b'/', ..] => (segment, at) = (at, at + 1),
            _ => {}
        }
        at += plain_len(&path[at..]);
        if !matches!(path[at..], [] | [b'/', ..]) {
            return segment;
        }
    }
}

/// Writes the normal form of `path` to `out`, which has room for it; the first `normal` bytes are in it.
fn rewrite(
    path: &[u8],
    mut normal: usize,
    options: &PathOptions,
    out: &mut [u8],
) -> Result<usize, PathFault> {
    let (mut rest, mut len) = (path, 0);
    loop {
        out[len..len + normal].copy_from_slice(&rest[..normal]);
        len += normal;
        let Some(text) = behind_separator(&rest[normal..], options.encoded_slash) else {
            return Ok(len);
        };
        out[len] = b'/';
        let begin = len + 1;
        let segment = Segment::decode(text, options, &mut out[begin..])?;
        rest = &text[segment.taken..];
        let (is_last, end) = (rest.is_empty(), begin + segment.len);
        let kept = match &out[begin..end] {
            b"." => Some(len),
            b".." => Some(memchr::memrchr(b'/', &out[..len]).unwrap_or(0)),
            b"" if options.merge_slashes && !is_last => Some(len),
            decoded if is_dot_parameter(decoded) => return Err(PathFault::DotParameter),
            _ if segment.has_parameter && !options.parameter => {
                return Err(PathFault::Parameter);
            }
            _ => None,
        };
        len = kept.unwrap_or(end);
        if is_last && kept.is_some() {
            out[len] = b'/';
            len += 1;
        }
        normal = normal_len(rest);
    }
}

/// What stands behind a separator of segments, if `text` begins with one.
fn behind_separator(text: &[u8], encoded: EncodedSlash) -> Option<&[u8]> {
    match text {
        [b'/', behind @ ..] => Some(behind),
        [b'%', b'2', b'F' | b'f', behind @ ..] if encoded == EncodedSlash::Decode => Some(behind),
        _ => None,
    }
}

/// A segment in normal form.
#[derive(Default)]
struct Segment {
    /// How long it was.
    taken: usize,
    len: usize,
    /// As [`has_parameter`].
    has_parameter: bool,
}

impl Segment {
    /// Decodes what `text` begins with, up to a separator, into `out`.
    fn decode(text: &[u8], options: &PathOptions, out: &mut [u8]) -> Result<Self, PathFault> {
        let mut segment = Self::default();
        loop {
            let ahead = &text[segment.taken..];
            let (plain, ahead) = ahead.split_at(plain_len(ahead));
            segment.copy(plain, out);
            match ahead {
                [] => break,
                [b'/' | b'%', ..] if behind_separator(ahead, options.encoded_slash).is_some() => {
                    break;
                }
                [b'%', digits @ ..] => {
                    segment.decode_one(digits, options, out)?;
                    segment.taken += 3;
                }
                [b';', ..] => {
                    segment.has_parameter = true;
                    segment.copy(b";", out);
                }
                _ => return Err(PathFault::Byte),
            }
        }
        Ok(segment)
    }

    /// Adds what stands for itself.
    fn copy(&mut self, text: &[u8], out: &mut [u8]) {
        out[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
        self.taken += text.len();
    }

    /// Adds the byte whose two digits `digits` begins with.
    fn decode_one(
        &mut self,
        digits: &[u8],
        options: &PathOptions,
        out: &mut [u8],
    ) -> Result<(), PathFault> {
        let digit = |at: usize| digits.get(at).and_then(hex).ok_or(PathFault::Percent);
        let (high, low) = (digit(0)?, digit(1)?);
        let byte = high << 4 | low;
        if is_unreserved(byte) {
            out[self.len] = byte;
            self.len += 1;
            return Ok(());
        }
        check_encoded(byte, options)?;
        self.has_parameter |= byte == b';';
        let coded = [b'%', HEX[usize::from(high)], HEX[usize::from(low)]];
        out[self.len..self.len + coded.len()].copy_from_slice(&coded);
        self.len += coded.len();
        Ok(())
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn check_encoded(decoded: u8, options: &PathOptions) -> Result<(), PathFault> {
    match decoded {
        b'/' if options.encoded_slash == EncodedSlash::Reject => Err(PathFault::EncodedSlash),
        b'\\' if !options.encoded_backslash => Err(PathFault::EncodedBackslash),
        0..=0x1f | 0x7f if !options.encoded_control => Err(PathFault::EncodedControl),
        _ => Ok(()),
    }
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).map(|value| value as u8)
}

/// Whether a path in normal form has a parameter (RFC 3986 section 3.3): `;` or `%3B`.
pub fn has_parameter(path: &[u8]) -> bool {
    path.contains(&b';') || path.windows(3).any(|coded| coded == b"%3B")
}

/// Whether a path has an encoded slash: `%2F`.
pub fn has_encoded_slash(path: &[u8]) -> bool {
    path.windows(3)
        .any(|coded| coded.eq_ignore_ascii_case(b"%2F"))
}

fn is_dot_parameter(segment: &[u8]) -> bool {
    let after = segment
        .strip_prefix(b"..")
        .or_else(|| segment.strip_prefix(b"."));
    after.is_some_and(|after| after.starts_with(b";") || after.starts_with(b"%3B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str, options: &PathOptions) -> Result<String, PathFault> {
        let mut out = vec![0; path.len()];
        let normal = normalise(path.as_bytes(), options, &mut out)?;
        Ok(String::from_utf8(normal.to_vec()).expect("ASCII"))
    }

    #[test]
    fn one_resource_has_one_name() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a.b/.c/...", "/a.b/.c/..."),
            ("/%7Euser/%41", "/~user/A"),
            ("/a%2eb", "/a.b"),
            ("/a%c3%a4", "/a%C3%A4"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("//a///b//", "/a/b/"),
            ("//", "/"),
            ("/a//../b", "/b"),
            ("/%252e%252e/a", "/%252e%252e/a"),
        ] {
            assert_eq!(
                normal(path, &PathOptions::default()).as_deref(),
                Ok(expected),
                "{path}"
            );
        }
    }

    #[test]
    fn parameters_pass_if_asked() {
        let options = PathOptions {
            parameter: true,
            ..PathOptions::default()
        };
        for path in ["/a;x=1/b", "/;/admin", "/a;", "/a%3Bb"] {
            assert_eq!(normal(path, &options).as_deref(), Ok(path));
            let refused = normal(path, &PathOptions::default());
            assert_eq!(refused, Err(PathFault::Parameter), "{path}");
        }
        let refused = normal("/a%3bb", &PathOptions::default());
        assert_eq!(refused, Err(PathFault::Parameter));
        assert_eq!(normal("/..;/b", &options), Err(PathFault::DotParameter));
    }

    #[test]
    fn an_encoded_slash_is_one_if_asked() {
        let options = |encoded_slash| PathOptions {
            encoded_slash,
            ..PathOptions::default()
        };
        for (path, kept, decoded) in [
            ("/a%2fb", "/a%2Fb", "/a/b"),
            ("/a/%2e%2e%2Fb", "/a/..%2Fb", "/b"),
            ("/%2F%2Fa%2F", "/%2F%2Fa%2F", "/a/"),
            ("/a%2F", "/a%2F", "/a/"),
            ("/a%252Fb", "/a%252Fb", "/a%252Fb"),
        ] {
            let keep = options(EncodedSlash::Keep);
            assert_eq!(normal(path, &keep).as_deref(), Ok(kept), "{path}");
            let decode = options(EncodedSlash::Decode);
            assert_eq!(normal(path, &decode).as_deref(), Ok(decoded), "{path}");
        }
        let refused = normal("/a%2F..;/b", &options(EncodedSlash::Decode));
        assert_eq!(refused, Err(PathFault::DotParameter));
    }

    #[test]
    fn slashes_stay_apart_if_asked() {
        let options = PathOptions {
            merge_slashes: false,
            ..PathOptions::default()
        };
        assert_eq!(normal("//a//../b/", &options).as_deref(), Ok("//a/b/"));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (path, fault) in [
            ("", PathFault::NotAbsolute),
            ("a", PathFault::NotAbsolute),
            ("/a%2Fb", PathFault::EncodedSlash),
            ("/a%2fb", PathFault::EncodedSlash),
            ("/a%5cb", PathFault::EncodedBackslash),
            ("/a\\b", PathFault::Byte),
            ("/a%00", PathFault::EncodedControl),
            ("/a%0d%0aX:", PathFault::EncodedControl),
            ("/a%", PathFault::Percent),
            ("/a%2", PathFault::Percent),
            ("/a%2x", PathFault::Percent),
            ("/a%+1", PathFault::Percent),
            ("/a/..;/b", PathFault::DotParameter),
            ("/a/.;x/b", PathFault::DotParameter),
            ("/a/%2e.%3b/b", PathFault::DotParameter),
            ("/ä", PathFault::Byte),
            ("/a b", PathFault::Byte),
            ("/a#b", PathFault::Byte),
            ("/a\x7f", PathFault::Byte),
        ] {
            assert_eq!(normal(path, &PathOptions::default()), Err(fault), "{path}");
        }
    }

    #[test]
    fn what_is_allowed_stays_encoded() {
        let path = normal("/a%2fb%5c%00", &PathOptions::LENIENT);
        assert_eq!(path.as_deref(), Ok("/a%2Fb%5C%00"));
    }
}
