//! What a head seems to say that cannot be read, or not yet.

/// What can be made out of a head that was refused, or is not whole: for people who look for what was
/// asked, and for nothing else. Other programs may read it otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glimpse<'a> {
    /// The first word of its first line, if it can be a method.
    pub method: Option<&'a [u8]>,
    /// The second.
    pub target: Option<&'a [u8]>,
    /// Of HTTP/1, if the third says so.
    pub minor_version: Option<u8>,
    /// The first Host.
    pub host: Option<&'a [u8]>,
}

/// Looks at what `bytes` seem to begin with.
pub fn glimpse(bytes: &[u8]) -> Glimpse<'_> {
    let head = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let is_method = |word: &&[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    let method = words.next().filter(is_method);
    let target = words
        .next()
        .filter(|word| method.is_some() && !word.is_empty());
    let minor_version = match words.next() {
        Some(b"HTTP/1.0") => Some(0),
        Some(b"HTTP/1.1") => Some(1),
        _ => None,
    };
    let fields = lines.take_while(|line| !line.is_empty());
    let mut hosts = fields.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        let is_host = name.trim_ascii().eq_ignore_ascii_case(b"host");
        is_host.then(|| value[1..].trim_ascii())
    });
    Glimpse {
        method,
        target,
        minor_version,
        host: hosts.next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_told_as_was_read() {
        let told = |text: &'static str| {
            let seen = glimpse(text.as_bytes());
            [seen.method, seen.target, seen.host]
                .map(|part| part.map(|part| str::from_utf8(part).expect("ASCII")))
        };
        assert_eq!(told(""), [None; 3]);
        assert_eq!(told("\r\nGE"), [Some("GE"), None, None]);
        assert_eq!(told("GET /a?b"), [Some("GET"), Some("/a?b"), None]);
        assert_eq!(
            told("GET  / HTTP/1.1\nX: y\nhost : a \r\nHost: b\r\n\r\nHost: c"),
            [Some("GET"), None, Some("a")]
        );
        let version = |text: &str| glimpse(text.as_bytes()).minor_version;
        assert_eq!(version("GET / HTTP/1.0\r\nX: HTTP/1.1"), Some(0));
        assert_eq!(version("GET / HTTP/1.1"), Some(1));
        assert_eq!(version("GET / HTTP/1.12"), None);
        assert_eq!(version("GET /a b HTTP/1.1\r\n"), None);
        assert_eq!(told("\x16\x03 /\r\n\r\nHost: a"), [None; 3]);
    }
}
