//! Requests for files.

use std::time::SystemTime;

use crate::origin::path::{DotNames, decode, encode, split_target};
use crate::origin::{Inbox, Request, conditions};
use crate::{Framing, ReadOptions, Scratch, http1};

/// Gives arbitrary bytes to an [`Inbox`], in one piece and in several.
///
/// The same requests are found however they arrive. A head that the strict reader takes, too, is the same
/// to it, its body as long. What a target names stays below the root, and is named again by what is
/// written of it.
pub fn origin_request(data: &[u8]) {
    let whole = requests(data, data.len().max(1));
    for piece in [1, 7, 64] {
        assert_eq!(requests(data, piece), whole, "in pieces of {piece}");
    }
    if let Ok(Some((request, len))) = Request::parse(data) {
        as_strictly_read(&data[..len], &request);
        conditions::evaluate(&request, "\"1-2-3\"", SystemTime::UNIX_EPOCH);
        conditions::range_applies(request.if_range, "\"1-2-3\"", SystemTime::UNIX_EPOCH);
        stays_below_the_root(request.target);
    }
}

/// What is found before the first refusal, in pieces of this many bytes.
fn requests(data: &[u8], piece: usize) -> Vec<String> {
    let mut inbox = Inbox::default();
    let mut found = Vec::new();
    for mut piece in data.chunks(piece) {
        while !piece.is_empty() {
            let advance = inbox.advance(piece, |request| format!("{request:?}"));
            assert!((1..=piece.len()).contains(&advance.used), "no progress");
            match advance.outcome {
                Ok(request) => found.extend(request),
                Err(_) => return found,
            }
            piece = &piece[advance.used..];
        }
    }
    found
}

fn as_strictly_read(head: &[u8], request: &Request<'_>) {
    let mut scratch = Scratch::default();
    let strict = http1::read(head, &ReadOptions::default(), &mut scratch);
    let Ok(Some(strict)) = strict else {
        return;
    };
    assert_eq!(strict.len(), head.len());
    assert_eq!(strict.request().method(), request.method.as_bytes());
    assert_eq!(strict.target(), request.target.as_bytes());
    assert_eq!(strict.minor_version(), request.minor_version);
    match strict.framing() {
        Framing::Empty => assert_eq!(request.body, 0),
        Framing::Length(length) => assert_eq!(request.body, length),
        Framing::Chunked => panic!("chunks are not read"),
    }
}

fn stays_below_the_root(target: &str) {
    let mut path = Vec::new();
    let Ok(split) = split_target(target) else {
        return;
    };
    if decode(split.path, DotNames::Serve, &mut path).is_err() {
        return;
    }
    let names = path.strip_suffix(b"/").unwrap_or(&path);
    let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
    let mut segments = names.split(|byte| *byte == b'/');
    assert!(path.is_empty() || segments.all(is_name), "{path:?}");
    assert!(!path.iter().any(|byte| matches!(byte, 0 | b'\\')));
    let mut written = b"/".to_vec();
    encode(&path, &mut written);
    let written = str::from_utf8(&written).expect("ASCII");
    let mut again = Vec::new();
    decode(written, DotNames::Serve, &mut again).expect("it was read before");
    assert_eq!(again, path);
}
