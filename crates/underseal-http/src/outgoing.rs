//! What goes on of a request: the head that a proxy sends, which is the one that rules see.

use std::net::IpAddr;

use crate::fields::{Kind, NamedFields, kind, listed};
use crate::head::Framing;
use crate::host::{Named, Normal};
use crate::request::{Fields, Range, Request, Span, part};

/// The version that a request goes on in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

/// In which form a path goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathForm {
    /// In the one that rules are compared with.
    #[default]
    Normal,
    /// As it was sent: for where no rule asks for it.
    AsSent,
}

/// Whether a request goes on with another protocol, in HTTP/1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrade<'a> {
    /// It does not.
    #[default]
    None,
    /// With the one that it asks for.
    AsAsked,
    /// It asks for WebSocket in HTTP/2 (RFC 8441), and goes on as RFC 6455 asks for it, with this key.
    WebSocket(&'a str),
}

/// What is to be known of a request beside its head.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    /// The version that it goes on in.
    pub version: Version,
    /// How its body is delimited; of HTTP/2 without Content-Length, [`Framing::Chunked`].
    pub framing: Framing,
    /// Whether it goes on with what it says of another protocol, in HTTP/1.1.
    pub upgrade: Upgrade<'a>,
    /// In which form its path goes on.
    pub path: PathForm,
    /// The host that it goes on with; its own, where there is none.
    pub host: Option<&'a Named>,
    /// Who sent it, behind proxies that tell so.
    pub client: Option<IpAddr>,
    /// The fields that only the proxy may say ([`Kind::Ours`]), in their order.
    pub ours: &'a [(&'a str, Box<str>)],
}

impl Passage<'_> {
    /// Of a request that goes on in this version, and of whose client nothing is known.
    pub const fn new(version: Version, framing: Framing) -> Self {
        Self {
            version,
            framing,
            upgrade: Upgrade::None,
            path: PathForm::Normal,
            host: None,
            client: None,
            ours: &[],
        }
    }
}

/// The head of a request as it goes on, whichever version it came in and goes on in. Rules see it
/// ([`Outgoing::request`]), and it is what is sent: in HTTP/1.1 as it stands ([`Outgoing::head`]).
///
/// ```
/// use underseal_http::{Framing, Outgoing, Passage, ReadOptions, Refusal, Scratch, Version, http1};
///
/// let mut scratch = Scratch::default();
/// let head = b"GET /a/../b?c HTTP/1.1\r\nHost: A\r\nCookie: a=1\r\nCookie: b=2\r\n\
///              Connection: X-Mine\r\nX-Mine: 1\r\n\r\n";
/// let head = http1::read(head, &ReadOptions::default(), &mut scratch)?.expect("whole");
/// let passage = Passage {
///     ours: &[("X-Forwarded-For", "192.0.2.1".into())],
///     ..Passage::new(Version::Http11, Framing::Empty)
/// };
/// let mut outgoing = Outgoing::default();
/// outgoing.write(&head.request(), &passage);
/// assert_eq!(outgoing.target(), b"/b?c");
/// assert_eq!(outgoing.request().header(b"x-mine").next(), None);
/// assert_eq!(
///     outgoing.head(),
///     b"GET /b?c HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n",
/// );
/// # Ok::<(), Refusal>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The head as HTTP/1.1 has it.
    text: Vec<u8>,
    method: Range,
    path: Range,
    query: Option<Range>,
    authority: Range,
    host_len: usize,
    /// The fields in it; Host is none of them.
    fields: Vec<Span>,
    /// Whether its path is in another form than rules are compared with.
    is_as_sent: bool,
    client: Option<IpAddr>,
}

impl Outgoing {
    /// Writes down what goes on of `request`, which is not CONNECT, in the place of what stood here.
    ///
    /// Path and host are those in normal form, unless `passage` says otherwise. Fields that are for the connection, or that only a
    /// proxy may say, stay behind (RFC 9110 section 7.6.1); cookies go on in one line, as backends
    /// expect them (RFC 9113 section 8.2.3).
    pub fn write(&mut self, request: &Request<'_>, passage: &Passage<'_>) {
        self.text.clear();
        self.fields.clear();
        self.client = passage.client;
        self.write_request_line(request, passage);
        let key = match passage.upgrade {
            Upgrade::WebSocket(key) => Some(key),
            Upgrade::None | Upgrade::AsAsked => None,
        };
        let named = NamedFields::of(request.fields());
        let mut seen = Seen::default();
        for (index, (name, value)) in request.fields().enumerate() {
            match kind(name) {
                Kind::EndToEnd if named.has(index) || name.eq_ignore_ascii_case(b"host") => {}
                Kind::EndToEnd if key.is_some() && name.eq_ignore_ascii_case(WEBSOCKET_KEY) => {}
                Kind::EndToEnd if name.eq_ignore_ascii_case(b"cookie") => {
                    self.write_cookie(request, name, &mut seen);
                }
                Kind::EndToEnd => self.field(name, value),
                Kind::ContentLength | Kind::TransferEncoding if key.is_some() => {}
                Kind::ContentLength | Kind::TransferEncoding => {
                    seen.framing |= self.write_framing((name, value), passage);
                }
                Kind::Te => seen.trailers |= listed(value).any(is_trailers),
                Kind::Upgrade if passage.upgrade == Upgrade::AsAsked => self.field(name, value),
                _ => {}
            }
        }
        for (name, value) in passage.ours {
            self.field(name.as_bytes(), value.as_bytes());
        }
        if let Some(key) = key {
            self.field(b"Upgrade", b"websocket");
            self.field(b"Sec-WebSocket-Key", key.as_bytes());
        }
        self.write_connection(passage, &seen);
        self.text.extend_from_slice(b"\r\n");
    }

    /// The request as rules see it: exactly what goes on.
    pub fn request(&self) -> Request<'_> {
        Request {
            method: part(&self.text, self.method),
            path: Some(part(&self.text, self.path)),
            sent: None,
            query: self.query.map(|query| part(&self.text, query)),
            host: Normal {
                text: part(&self.text, self.authority),
                host_len: self.host_len,
            },
            fields: Fields::Head(&self.text, &self.fields),
        }
    }

    /// Whether its path is in another form than rules are compared with.
    pub fn is_as_sent(&self) -> bool {
        self.is_as_sent
    }

    /// Who sent it, behind proxies that tell so.
    pub fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// The head as HTTP/1.1 has it, the empty line included.
    pub fn head(&self) -> &[u8] {
        &self.text
    }

    /// Path and query.
    pub fn target(&self) -> &[u8] {
        let (from, to) = self.path;
        let to = self.query.map_or(to, |(_, to)| to);
        part(&self.text, (from, to))
    }

    fn write_request_line(&mut self, request: &Request<'_>, passage: &Passage<'_>) {
        self.method = self.put(match passage.upgrade {
            Upgrade::WebSocket(_) => b"GET",
            Upgrade::None | Upgrade::AsAsked => request.method(),
        });
        self.put(b" ");
        let normal = request.path().unwrap_or_default();
        let path = match passage.path {
            PathForm::Normal => normal,
            PathForm::AsSent => request.sent.unwrap_or(normal),
        };
        self.is_as_sent = path != normal;
        self.path = self.put(path);
        self.query = request.query().map(|query| {
            self.put(b"?");
            self.put(query)
        });
        self.put(b" HTTP/1.1\r\nHost: ");
        let host = passage.host.map_or(request.host, Named::normal);
        self.authority = self.put(host.text);
        self.host_len = host.host_len;
        self.put(b"\r\n");
    }

    /// Writes all cookies at the place of the first.
    fn write_cookie(&mut self, request: &Request<'_>, name: &[u8], seen: &mut Seen) {
        if std::mem::replace(&mut seen.cookie, true) {
            return;
        }
        let name = self.put(name);
        self.put(b": ");
        let from = self.end();
        let crumbs = request.header(b"cookie").filter(|crumb| !crumb.is_empty());
        for (index, crumb) in crumbs.enumerate() {
            if index > 0 {
                self.put(b"; ");
            }
            self.put(crumb);
        }
        let value = (from, self.end());
        self.put(b"\r\n");
        self.fields.push(Span { name, value });
    }

    /// Writes a field that says how long the body is; says whether it goes on.
    fn write_framing(&mut self, (name, value): (&[u8], &[u8]), passage: &Passage<'_>) -> bool {
        let passes = kind(name) == Kind::ContentLength || passage.version != Version::Http2;
        if passes {
            self.field(name, value);
        }
        passes
    }

    /// Writes what is said of the body and of the connection, as far as the version says it.
    fn write_connection(&mut self, passage: &Passage<'_>, seen: &Seen) {
        if seen.trailers {
            self.field(b"TE", b"trailers");
        }
        let is_chunked = passage.framing == Framing::Chunked && !seen.framing;
        match passage.version {
            Version::Http2 => return,
            Version::Http11 if is_chunked => self.field(b"Transfer-Encoding", b"chunked"),
            Version::Http11 => {}
        }
        match (passage.upgrade != Upgrade::None, seen.trailers) {
            (true, true) => self.field(b"Connection", b"Upgrade, TE"),
            (true, false) => self.field(b"Connection", b"Upgrade"),
            (false, true) => self.field(b"Connection", b"TE"),
            (false, false) => {}
        }
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        let name = self.put(name);
        self.put(b": ");
        let value = self.put(value);
        self.put(b"\r\n");
        self.fields.push(Span { name, value });
    }

    fn put(&mut self, text: &[u8]) -> Range {
        let from = self.end();
        self.text.extend_from_slice(text);
        (from, self.end())
    }

    fn end(&self) -> u32 {
        self.text.len() as u32
    }
}

/// The field that goes with a WebSocket's key.
const WEBSOCKET_KEY: &[u8] = b"sec-websocket-key";

/// What the fields of a request said.
#[derive(Default)]
struct Seen {
    cookie: bool,
    /// How long the body is, in a field that goes on.
    framing: bool,
    /// That trailers are understood.
    trailers: bool,
}

fn is_trailers(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"trailers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadOptions, Scratch, http2};

    const FIELDS: [http2::Field<'_>; 9] = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", b"/a"),
        (b":authority", b"A.Test:8443"),
        (b"cookie", b"a=1"),
        (b"te", b"trailers"),
        (b"x-real-ip", b"192.0.2.9"),
        (b"cookie", b"admin=1"),
        (b"x-role", b"user"),
    ];

    fn written(version: Version, framing: Framing) -> Outgoing {
        let mut scratch = Scratch::default();
        let request = http2::read(&FIELDS, &ReadOptions::default(), &mut scratch);
        let mut outgoing = Outgoing::default();
        let request = request.expect("a request");
        outgoing.write(&request, &Passage::new(version, framing));
        outgoing
    }

    #[test]
    fn rules_see_the_fields_that_go_on_and_no_others() {
        let outgoing = written(Version::Http2, Framing::Chunked);
        let request = outgoing.request();
        let fields: Vec<_> = request.fields().collect();
        let expected: [http2::Field<'_>; 3] = [
            (b"cookie", b"a=1; admin=1"),
            (b"x-role", b"user"),
            (b"TE", b"trailers"),
        ];
        assert_eq!(fields, expected);
        assert_eq!(
            (request.host(), request.path()),
            (&b"a.test"[..], Some(&b"/a"[..]))
        );
    }

    #[test]
    fn another_host_is_said_and_seen_and_a_path_goes_on_as_it_was_sent() {
        let mut scratch = Scratch::default();
        let mut fields = FIELDS;
        fields[2].1 = b"/a//%41/../b?c";
        let request = http2::read(&fields, &ReadOptions::default(), &mut scratch);
        let request = request.expect("a request");
        let host = Named::new("B.test:443");
        let passage = Passage {
            host: host.as_ref(),
            path: PathForm::AsSent,
            ..Passage::new(Version::Http11, Framing::Empty)
        };
        let mut outgoing = Outgoing::default();
        outgoing.write(&request, &passage);
        let judged = outgoing.request();
        assert_eq!(
            (judged.host(), judged.authority()),
            (&b"b.test"[..], &b"b.test:443"[..])
        );
        assert_eq!(outgoing.target(), b"/a//%41/../b?c");
        assert!(outgoing.is_as_sent());
        outgoing.write(&request, &Passage::new(Version::Http11, Framing::Empty));
        assert_eq!(outgoing.target(), b"/a/b?c");
        assert!(!outgoing.is_as_sent());
    }

    #[test]
    fn a_websocket_of_http2_goes_on_as_one_of_http1() {
        let mut scratch = Scratch::default();
        let fields: [http2::Field<'_>; 7] = [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", b"https"),
            (b":path", b"/chat"),
            (b":authority", b"a"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", b"mine"),
        ];
        let request = http2::read(&fields, &ReadOptions::default(), &mut scratch);
        let passage = Passage {
            upgrade: Upgrade::WebSocket("ours"),
            ..Passage::new(Version::Http11, Framing::Empty)
        };
        let mut outgoing = Outgoing::default();
        outgoing.write(&request.expect("a request"), &passage);
        assert_eq!(outgoing.request().method(), b"GET");
        assert_eq!(
            String::from_utf8_lossy(outgoing.head()),
            "GET /chat HTTP/1.1\r\nHost: a\r\nsec-websocket-version: 13\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: ours\r\nConnection: Upgrade\r\n\r\n"
        );
    }

    #[test]
    fn a_body_without_length_goes_on_in_chunks() {
        let outgoing = written(Version::Http11, Framing::Chunked);
        assert_eq!(
            String::from_utf8_lossy(outgoing.head()),
            "POST /a HTTP/1.1\r\nHost: a.test:8443\r\ncookie: a=1; admin=1\r\nx-role: user\r\n\
             TE: trailers\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\n\r\n"
        );
    }
}
