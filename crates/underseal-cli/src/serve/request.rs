//! The head of a request: what `httparse` reads, reduced to what a file server needs to know.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::encoding;

/// Longest head, request line included, in bytes.
pub(crate) const MAX_HEAD: usize = 32 * 1024;
/// Longest request target, in bytes.
const MAX_TARGET: usize = 8 * 1024;
/// Most header fields.
const MAX_FIELDS: usize = 100;

/// A request head that no answer can be based upon; the connection ends after the status is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// Why, for the log.
    pub(crate) why: &'static str,
}

impl Refused {
    pub(crate) const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }
}

/// A well-formed request head, borrowed from the bytes it arrived in.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) version: Version,
    /// What the client wants to happen to the connection.
    pub(crate) keep_alive: bool,
    /// Bytes of body that follow the head.
    pub(crate) body: u64,
    pub(crate) expect: bool,
    pub(crate) accepts_gzip: bool,
    pub(crate) range: Option<&'a [u8]>,
    pub(crate) if_range: Option<&'a [u8]>,
    pub(crate) if_match: Option<Cow<'a, [u8]>>,
    pub(crate) if_none_match: Option<Cow<'a, [u8]>>,
    pub(crate) if_modified_since: Option<&'a [u8]>,
    pub(crate) if_unmodified_since: Option<&'a [u8]>,
    pub(crate) user_agent: Option<&'a [u8]>,
}

/// The two versions served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

impl Version {
    /// The version `HTTP/1.minor`: later ones are answered as the latest that is known.
    pub(crate) fn of_minor(minor: u8) -> Self {
        match minor {
            0 => Self::Http10,
            _ => Self::Http11,
        }
    }
}

impl<'a> Request<'a> {
    /// Reads a head from the start of `bytes`; gives it with its length, or `None` if it is not
    /// complete yet.
    ///
    /// # Errors
    /// The status to refuse it with, as soon as that is certain.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Refused> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => {
                Self::from_parsed(&parsed).map(|request| Some((request, length)))
            }
            Ok(_) => may_grow(bytes).map(|()| None),
            Err(httparse::Error::TooManyHeaders) => {
                Err(Refused::new(431, "more than 100 header fields"))
            }
            Err(httparse::Error::Version) => Err(version_refusal(bytes)),
            Err(_) => Err(Refused::new(400, "malformed request head")),
        }
    }

    fn from_parsed(parsed: &httparse::Request<'_, 'a>) -> Result<Self, Refused> {
        let target = parsed.path.unwrap_or("");
        if target.len() > MAX_TARGET {
            return Err(Refused::new(414, "request target over 8 KiB"));
        }
        let version = parsed.version.map_or(Version::Http11, Version::of_minor);
        let mut request = Self {
            method: parsed.method.unwrap_or(""),
            target,
            host: None,
            version,
            keep_alive: version == Version::Http11,
            body: 0,
            expect: false,
            accepts_gzip: false,
            range: None,
            if_range: None,
            if_match: None,
            if_none_match: None,
            if_modified_since: None,
            if_unmodified_since: None,
            user_agent: None,
        };
        let mut framing = Framing::default();
        for field in parsed.headers.iter() {
            framing.read(field)?;
            request.read(field)?;
        }
        request.body = framing.body(version)?;
        Ok(request)
    }

    fn read(&mut self, field: &httparse::Header<'a>) -> Result<(), Refused> {
        let (name, value) = (field.name, field.value);
        // Compared by length first: most fields of a browser are none of ours.
        match name.len() {
            4 if is(name, "host") => self.host = Some(value),
            5 if is(name, "range") => once(&mut self.range, value)?,
            6 if is(name, "expect") => self.expect = true,
            8 if is(name, "if-range") => once(&mut self.if_range, value)?,
            8 if is(name, "if-match") => join(&mut self.if_match, value),
            10 if is(name, "connection") => self.read_connection(value),
            10 if is(name, "user-agent") => self.user_agent = Some(value),
            13 if is(name, "if-none-match") => join(&mut self.if_none_match, value),
            15 if is(name, "accept-encoding") => {
                self.accepts_gzip |= encoding::accepts_gzip(value);
            }
            17 if is(name, "if-modified-since") => once(&mut self.if_modified_since, value)?,
            19 if is(name, "if-unmodified-since") => once(&mut self.if_unmodified_since, value)?,
            _ => {}
        }
        Ok(())
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
                return;
            }
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            }
        }
    }
}

fn is(name: &str, lower: &str) -> bool {
    name.eq_ignore_ascii_case(lower)
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Refused> {
    if slot.is_some() {
        return Err(Refused::new(
            400,
            "a header field that must be single is repeated",
        ));
    }
    *slot = Some(value);
    Ok(())
}

/// List fields may come in several lines, which mean the same as one with commas.
fn join<'a>(slot: &mut Option<Cow<'a, [u8]>>, value: &'a [u8]) {
    match slot {
        None => *slot = Some(Cow::Borrowed(value)),
        Some(list) => {
            let list = list.to_mut();
            list.push(b',');
            list.extend_from_slice(value);
        }
    }
}

/// The fields that say where the request ends. Anything two readers could understand differently
/// is refused, because a difference is how requests are smuggled.
#[derive(Default)]
struct Framing {
    hosts: u32,
    length: Option<u64>,
    transfer_encoding: bool,
}

impl Framing {
    fn read(&mut self, field: &httparse::Header<'_>) -> Result<(), Refused> {
        match field.name.len() {
            4 if is(field.name, "host") => self.hosts += 1,
            14 if is(field.name, "content-length") => {
                let length = content_length(field.value)?;
                if self.length.is_some_and(|earlier| earlier != length) {
                    return Err(Refused::new(400, "two different Content-Length"));
                }
                self.length = Some(length);
            }
            17 if is(field.name, "transfer-encoding") => self.transfer_encoding = true,
            _ => {}
        }
        Ok(())
    }

    fn body(&self, version: Version) -> Result<u64, Refused> {
        if self.hosts > 1 || (self.hosts == 0 && version == Version::Http11) {
            return Err(Refused::new(400, "not exactly one Host field"));
        }
        match (self.transfer_encoding, self.length) {
            (false, length) => Ok(length.unwrap_or(0)),
            (true, Some(_)) => Err(Refused::new(400, "Content-Length and Transfer-Encoding")),
            (true, None) if version == Version::Http10 => {
                Err(Refused::new(400, "Transfer-Encoding in HTTP/1.0"))
            }
            (true, None) => Err(Refused::new(501, "request body with Transfer-Encoding")),
        }
    }
}

fn content_length(value: &[u8]) -> Result<u64, Refused> {
    let refused = Refused::new(400, "malformed Content-Length");
    let text = std::str::from_utf8(value).map_err(|_| refused)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused);
    }
    text.parse()
        .map_err(|_| Refused::new(413, "Content-Length beyond 64 bits"))
}

/// Decides whether an incomplete head may still grow.
pub(crate) fn may_grow(bytes: &[u8]) -> Result<(), Refused> {
    if bytes.len() > MAX_TARGET + 64 && !bytes[..MAX_TARGET + 64].contains(&b'\n') {
        return Err(Refused::new(414, "request line over 8 KiB"));
    }
    if bytes.len() >= MAX_HEAD {
        return Err(Refused::new(431, "request head over 32 KiB"));
    }
    Ok(())
}

/// `HTTP/2.0` asks for a version that is not here; `HTTP/x` asks for nothing.
fn version_refusal(bytes: &[u8]) -> Refused {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(&[]);
    let version = line.trim_ascii_end().rsplit(|&byte| byte == b' ').next();
    match version {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refused::new(505, "HTTP version other than 1.0 and 1.1")
        }
        _ => Refused::new(400, "malformed HTTP version"),
    }
}

/// Whether `bytes` can hold the end of a head; looked at before parsing again, so that a head sent
/// byte by byte is not parsed from its start for every byte.
pub(crate) fn has_blank_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests;
