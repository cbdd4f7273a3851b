//! Heads of responses (RFC 9112 section 4), held against what would make two programs see two
//! responses.

use std::fmt;
use std::mem::MaybeUninit;

use super::BodyLength;
use crate::fields::{Kind, NamedFields, Options, TooManyOptions, kind};
use crate::refusal::Refusal;

/// Most fields, and longest head, of a response.
const MAX_FIELDS: usize = 128;
const MAX_HEAD: usize = 64 * 1024;

/// Why a response is not passed on: the fault of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseRefusal {
    /// No head of HTTP/1.x, or a status that is none.
    Malformed,
    /// More than 64 KiB of head, 128 fields, or 32 options of Connection.
    TooLong,
    /// Content-Length and Transfer-Encoding (RFC 9112 section 6.3).
    BothLengths,
    /// Several Content-Length fields or values, even if they agree.
    SeveralLengths,
    /// A Content-Length that is no number of bytes.
    Length,
    /// A Transfer-Encoding other than `chunked`, once, in HTTP/1.1.
    TransferEncoding,
    /// A chunk that is none.
    Chunk,
    /// Another protocol, which nobody asked for.
    Upgrade,
}

impl ResponseRefusal {
    /// The same of a response.
    fn of(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BothLengths => Self::BothLengths,
            Refusal::SeveralLengths => Self::SeveralLengths,
            Refusal::Length => Self::Length,
            Refusal::TransferEncoding => Self::TransferEncoding,
            _ => Self::Malformed,
        }
    }
}

impl std::error::Error for ResponseRefusal {}

impl fmt::Display for ResponseRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the head of the response is none",
            Self::TooLong => "the head of the response is too long",
            Self::BothLengths => "there are Content-Length and Transfer-Encoding",
            Self::SeveralLengths => "there are several Content-Lengths",
            Self::Length => "the Content-Length is no number",
            Self::TransferEncoding => "the Transfer-Encoding is not `chunked` alone",
            Self::Chunk => "a chunk is malformed",
            Self::Upgrade => "the response is in a protocol that nobody asked for",
        })
    }
}

/// How the body of a response is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// There is no body.
    Empty,
    /// This many bytes, at least one.
    Length(u64),
    /// Chunks, to be read with [`Chunks`](crate::http1::Chunks).
    Chunked,
    /// All until the connection ends in order.
    UntilClose,
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    len: usize,
    status: u16,
    minor_version: u8,
    reason: &'a str,
    fields: &'a [httparse::Header<'a>],
    noted: Noted,
}

impl<'a> ResponseHead<'a> {
    /// How many bytes it takes, the empty line included; the body begins there.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a head has a status line.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The status code, 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// The reason phrase, which may be empty.
    pub fn reason(&self) -> &'a str {
        self.reason
    }

    /// What its Connection fields say.
    pub fn options(&self) -> Options {
        self.noted.options
    }

    /// All field lines, name and value as they were sent, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let fields = self.fields.iter();
        fields.map(|field| (field.name.as_bytes(), field.value))
    }

    /// Which of [`Self::fields`] its Connection fields name.
    pub fn named_fields(&self) -> NamedFields {
        match self.noted.options.names_fields {
            true => NamedFields::of(self.fields()),
            false => NamedFields::default(),
        }
    }

    /// How its body is delimited for a reader of HTTP/1.`minor_version`, which asked by HEAD if it
    /// `answers_head`.
    ///
    /// # Errors
    /// [`ResponseRefusal::BothLengths`], and [`ResponseRefusal::TransferEncoding`] in HTTP/1.0.
    pub fn framing(
        &self,
        minor_version: u8,
        answers_head: bool,
    ) -> Result<ResponseFraming, ResponseRefusal> {
        let length = self.noted.length;
        let framing = length.of_response(minor_version, self.status, answers_head);
        framing.map_err(ResponseRefusal::of)
    }
}

/// Reads the head that `bytes` begins with and gives it to `then`; `None` if it is not whole yet.
/// Allocates nothing: a head does not outlive the call.
///
/// # Errors
/// Why it is refused: always the sender's fault.
///
/// ```
/// use underseal_http::http1::{ResponseFraming, ResponseRefusal, read_response};
///
/// let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// let framing = read_response(head, |head| head.framing(1, false))?.expect("whole")?;
/// assert_eq!(framing, ResponseFraming::Length(5));
/// # Ok::<(), ResponseRefusal>(())
/// ```
pub fn read_response<T>(
    bytes: &[u8],
    then: impl FnOnce(&ResponseHead<'_>) -> T,
) -> Result<Option<T>, ResponseRefusal> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let seen = &bytes[..bytes.len().min(MAX_HEAD)];
    let config = httparse::ParserConfig::default();
    let len = match config.parse_response_with_uninit_headers(&mut parsed, seen, &mut slots) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(ResponseRefusal::TooLong);
        }
        Err(_) => return Err(ResponseRefusal::Malformed),
    };
    let (Some(minor_version), Some(status)) = (parsed.version, parsed.code) else {
        return Err(ResponseRefusal::Malformed);
    };
    let mut noted = Noted::default();
    for field in &*parsed.headers {
        noted.note(field)?;
    }
    if status < 100 {
        return Err(ResponseRefusal::Malformed);
    }
    Ok(Some(then(&ResponseHead {
        len,
        status,
        minor_version,
        reason: parsed.reason.unwrap_or_default(),
        fields: parsed.headers,
        noted,
    })))
}

/// What the fields say about the body and the connection.
#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    length: BodyLength,
    options: Options,
}

impl Noted {
    fn note(&mut self, field: &httparse::Header<'_>) -> Result<(), ResponseRefusal> {
        let name = field.name.as_bytes();
        match kind(name) {
            Kind::ContentLength | Kind::TransferEncoding => {
                let noted = self.length.note(name, field.value);
                noted.map_err(ResponseRefusal::of)?;
            }
            Kind::Connection => {
                let noted = self.options.note(field.value);
                noted.map_err(|TooManyOptions| ResponseRefusal::TooLong)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// How long the body of a response is, by the values of its Content-Length fields, whichever version it
/// came in; `None` without any.
///
/// # Errors
/// Why two programs could read it differently: the sender's fault.
pub fn response_length<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<u64>, ResponseRefusal> {
    let mut length = BodyLength::default();
    for value in values {
        let noted = length.note(b"content-length", value);
        noted.map_err(ResponseRefusal::of)?;
    }
    Ok(length.length())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(
        head: &str,
        minor: u8,
        answers_head: bool,
    ) -> Result<ResponseFraming, ResponseRefusal> {
        let read = read_response(head.as_bytes(), |head| head.framing(minor, answers_head));
        read?.expect("whole")
    }

    #[test]
    fn a_body_is_delimited_in_one_way() {
        use ResponseFraming::{Chunked, Empty, Length, UntilClose};
        for (fields, expected) in [
            ("", UntilClose),
            ("Content-Length: 3\r\n", Length(3)),
            ("Content-Length: 0\r\n", Empty),
            ("Transfer-Encoding: Chunked\r\n", Chunked),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert_eq!(framing(&head, 1, false), Ok(expected), "{fields}");
            assert_eq!(framing(&head, 1, true), Ok(Empty), "{fields}");
        }
        for status in ["100 Continue", "204 No Content", "304 Not Modified"] {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\n");
            assert_eq!(framing(&head, 1, false), Ok(Empty), "{status}");
        }
    }

    #[test]
    fn what_two_programs_could_read_differently_is_refused() {
        use ResponseRefusal as R;
        for (fields, refusal) in [
            (
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                R::BothLengths,
            ),
            (
                "Content-Length: 3\r\nContent-Length: 3\r\n",
                R::SeveralLengths,
            ),
            ("Content-Length: 3, 3\r\n", R::SeveralLengths),
            ("Content-Length: +3\r\n", R::Length),
            ("Transfer-Encoding: gzip, chunked\r\n", R::TransferEncoding),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                R::TransferEncoding,
            ),
            ("X : y\r\n", R::Malformed),
            (&format!("Connection: {}\r\n", "a,".repeat(33)), R::TooLong),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert_eq!(framing(&head, 1, false), Err(refusal), "{fields}");
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(framing(chunked, 0, false), Err(R::TransferEncoding));
        assert_eq!(
            framing("HTTP/1.1 099 OK\r\n\r\n", 1, false),
            Err(R::Malformed)
        );
    }

    #[test]
    fn a_head_is_bounded() {
        let many = "X: y\r\n".repeat(MAX_FIELDS + 1);
        let long = "y".repeat(MAX_HEAD);
        for fields in [many, format!("X: {long}")] {
            let head = format!("HTTP/1.1 200 OK\r\n{fields}");
            let read = read_response(head.as_bytes(), |_| ());
            assert_eq!(read, Err(ResponseRefusal::TooLong));
        }
    }

    #[test]
    fn fields_that_connection_names_are_known() {
        let head = b"HTTP/1.1 200 OK\r\nConnection: close, X-Own\r\nX-Own: 1\r\n\r\n";
        let read = read_response(head, |head| {
            assert!(head.options().close && head.options().names_fields);
            let named = head.named_fields();
            let named: Vec<_> = (0..head.fields().count())
                .filter(|index| named.has(*index))
                .collect();
            assert_eq!(named, [1]);
        });
        assert_eq!(read, Ok(Some(())));
    }
}
