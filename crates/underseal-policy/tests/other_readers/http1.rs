//! HTTP/1.1, against hyper: the requests of a connection, one after the other.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use underseal_http::http1::{self, Chunks, Piece};
use underseal_http::{Framing, ReadOptions, Scratch};
use underseal_message::{Boundary, Http1, StreamParser};

use super::memory::Memory;

/// A request with its body, as one of the two reads it.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    method: Vec<u8>,
    /// Path and query.
    path: Vec<u8>,
    minor_version: u8,
    fields: Vec<(String, Vec<u8>)>,
    content: Vec<u8>,
}

/// Gives arbitrary bytes to hyper, in pieces as byte 0 says: every request that we read, with its
/// body, is the one that it reads, up to one that it refuses for its path. It ends where our parser
/// of messages finds its end, too.
pub fn http1_connection(data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else {
        return;
    };
    let piece = match piece {
        0 => usize::MAX >> 1,
        piece => usize::from(*piece),
    };
    let ours = requests(bytes);
    let theirs = hyper(bytes, piece);
    if let Some((unseen, _)) = ours.get(theirs.len()) {
        // Its crate `http` knows fewer bytes of paths.
        let path = Uri::try_from(&unseen.path[..]);
        assert!(path.is_err(), "unseen: {unseen:?}");
    }
    for ((ours, _), theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    framed_alike(&ours, bytes);
}

/// The parser of messages finds the ends of the same requests, up to one that it does not take: CONNECT,
/// and one with an empty line before it.
fn framed_alike(ours: &[(Seen, usize)], mut bytes: &[u8]) {
    let parser = Http1::requests().max_head(ReadOptions::default().max_head);
    let mut parser = StreamParser::new(parser, u64::MAX);
    for (seen, len) in ours {
        if bytes.starts_with(b"\r\n") {
            return;
        }
        match parser.next(bytes) {
            Ok(boundary) => assert_eq!(boundary, Boundary::Ends(*len), "{seen:?}"),
            Err(error) => assert_eq!(seen.method, b"CONNECT", "{error} in {seen:?}"),
        }
        bytes = &bytes[*len..];
    }
}

/// The requests that we read, up to one that is refused, not whole, or the last; and their lengths.
pub(crate) fn requests(mut bytes: &[u8]) -> Vec<(Seen, usize)> {
    let mut requests = Vec::new();
    while let Some((seen, rest)) = request(bytes) {
        let is_last = seen.minor_version == 0
            || seen.method == b"CONNECT"
            || names(&seen, "close")
            || names(&seen, "upgrade");
        requests.push((seen, bytes.len() - rest.len()));
        if is_last {
            break;
        }
        bytes = rest;
    }
    requests
}

/// Whether Connection has this option.
fn names(seen: &Seen, option: &str) -> bool {
    let mut fields = seen.fields.iter().filter(|(name, _)| name == "connection");
    fields.any(|(_, value)| {
        String::from_utf8_lossy(value)
            .to_ascii_lowercase()
            .contains(option)
    })
}

fn request(bytes: &[u8]) -> Option<(Seen, &[u8])> {
    let mut scratch = Scratch::default();
    let head = http1::read(bytes, &ReadOptions::default(), &mut scratch).ok()??;
    let (content, rest) = content(head.framing(), &bytes[head.len()..])?;
    let mut seen = Seen {
        method: head.request().method().to_vec(),
        path: origin_form(head.target()),
        minor_version: head.minor_version(),
        fields: Vec::new(),
        content,
    };
    // An empty line may come before the first.
    let text = &bytes[..head.len()];
    let text = text.strip_prefix(b"\r\n").unwrap_or(text);
    let text = text.split(|byte| *byte == b'\n').skip(1);
    for line in text.filter_map(|line| line.strip_suffix(b"\r")) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        seen.fields.push((name, trim(&line[colon + 1..]).to_vec()));
    }
    seen.fields.sort();
    Some((seen, rest))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The target without scheme and host.
fn origin_form(target: &[u8]) -> Vec<u8> {
    let target = String::from_utf8_lossy(target);
    match target
        .split_once("://")
        .filter(|_| !target.starts_with('/'))
    {
        None => target.into_owned().into(),
        Some((_, rest)) => match rest.find('/') {
            None => b"/".to_vec(),
            Some(at) => rest[at..].into(),
        },
    }
}

/// A whole body and what follows it.
fn content(framing: Framing, bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let len = match framing {
        Framing::Empty => 0,
        Framing::Length(len) => usize::try_from(len).ok()?,
        Framing::Chunked => return chunked(bytes),
    };
    let content = bytes.get(..len)?;
    Some((content.to_vec(), &bytes[len..]))
}

fn chunked(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut chunks = Chunks::default();
    let mut content = Vec::new();
    loop {
        let len = match chunks.next(bytes).ok()? {
            Piece::Incomplete => return None,
            Piece::End => return Some((content, bytes)),
            Piece::Framing(len) => len,
            Piece::Data(len) => {
                content.extend_from_slice(&bytes[..len]);
                len
            }
        };
        bytes = &bytes[len..];
    }
}

/// The requests that hyper reads.
pub(crate) fn hyper(bytes: &[u8], piece: usize) -> Vec<Seen> {
    let (memory, peer) = Memory::new(bytes, piece);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request| answer(request, Rc::clone(&seen)));
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(memory), service)
    );
    // That it fails somewhere is no news: what it saw before is what counts.
    let polls = 16 * bytes.len() + 1000;
    let _ = peer.drive(polls, |context| connection.as_mut().poll(context));
    seen.take()
}

async fn answer(
    request: Request<Incoming>,
    seen: Rc<RefCell<Vec<Seen>>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if let Ok(content) = body.collect().await {
        seen.borrow_mut()
            .push(view(&head, content.to_bytes().to_vec()));
    }
    Ok(Response::new(Empty::new()))
}

fn view(head: &http::request::Parts, content: Vec<u8>) -> Seen {
    let fields = head.headers.iter();
    let fields = fields.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    let mut fields: Vec<_> = fields.collect();
    fields.sort();
    let path = match head.uri.path_and_query() {
        Some(path) => path.as_str().into(),
        None => head.uri.to_string().into_bytes(),
    };
    Seen {
        method: head.method.as_str().into(),
        path,
        minor_version: u8::from(head.version == http::Version::HTTP_11),
        fields,
        content,
    }
}
