use super::{MessageParser, ParseError, Parsed};

mod chunked;
mod framing;
mod section;

use chunked::Chunked;
use framing::Framing;
use section::Section;

/// The messages of an HTTP/1.1 connection: head and body (RFC 9112).
///
/// It refuses what two readers might read in two ways: a bare CR or LF, folded lines, space before
/// a colon, Content-Length together with Transfer-Encoding, either of them twice, a
/// Transfer-Encoding that is not exactly `chunked`, numbers with signs, an empty line where a head
/// should start, framing fields in trailers. It refuses CONNECT, too: what follows it is HTTP or
/// not as the answer says.
///
/// The head is kept until it is whole if it does not come in one piece; of bodies nothing is.
#[derive(Debug)]
pub struct Http1 {
    side: Side,
    max_head: usize,
    /// The next response answers a HEAD request, so that its body's length is of none.
    no_body: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

#[derive(Debug)]
enum State {
    Head(Section),
    Body(Chunked),
}

impl Http1 {
    /// What a head or a section of trailers may be long unless told otherwise.
    pub const DEFAULT_MAX_HEAD: usize = 16 * 1024;

    /// Most fields of a head.
    pub const MAX_FIELDS: usize = 128;

    /// What a client sends.
    pub fn requests() -> Self {
        Self::new(Side::Request)
    }

    /// What a server sends. Behind a 101 all is one message, and so is a body without a length.
    pub fn responses() -> Self {
        Self::new(Side::Response)
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            max_head: Self::DEFAULT_MAX_HEAD,
            no_body: false,
            state: State::Head(Section::head()),
        }
    }

    /// Heads, and sections of trailers, may have up to `bytes` bytes.
    #[must_use]
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.max_head = bytes;
        self
    }

    /// Says whether the next final response answers a HEAD request and so has no body, whatever
    /// its head says (RFC 9112 section 6.3). Interim responses do not count.
    pub fn answers_head(&mut self, answers_head: bool) {
        self.no_body = answers_head;
    }

    fn framing(&mut self, head: &[u8]) -> Result<Framing, ParseError> {
        match self.side {
            Side::Request => framing::of_request(head),
            Side::Response => {
                let (status, framing) = framing::of_response(head, self.no_body)?;
                self.no_body &= status < 200;
                Ok(framing)
            }
        }
    }

    /// Looks at bytes of a head.
    fn parse_head(&mut self, mut section: Section, bytes: &[u8]) -> Result<Parsed, ParseError> {
        let Some(end) = section.scan(bytes, self.max_head)? else {
            let needs = section.needs();
            self.state = State::Head(section);
            return Ok(Parsed::NeedMore(needs));
        };
        let framing = self.framing(&section.whole(&bytes[..end]))?;
        match framing {
            Framing::Length(body) => Ok(Parsed::Message((end as u64).saturating_add(body))),
            Framing::Rest => Ok(Parsed::Rest),
            Framing::Chunked => self.parse_body(Chunked::new(), bytes, end),
        }
    }

    /// Looks at bytes of a chunked body, which start at `start`.
    fn parse_body(
        &mut self,
        mut body: Chunked,
        bytes: &[u8],
        start: usize,
    ) -> Result<Parsed, ParseError> {
        match body.scan(&bytes[start..], self.max_head)? {
            Some(end) => Ok(Parsed::Message((start + end) as u64)),
            None => {
                let needs = body.needs();
                self.state = State::Body(body);
                Ok(Parsed::NeedMore(needs))
            }
        }
    }
}

impl MessageParser for Http1 {
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
        match std::mem::replace(&mut self.state, State::Head(Section::head())) {
            State::Head(section) => self.parse_head(section, bytes),
            State::Body(body) => self.parse_body(body, bytes, 0),
        }
    }
}
