//! Requests for files.

use std::time::SystemTime;

use crate::origin::path::{DotNames, decode, encode};
use crate::origin::{Inbox, Request, conditions};
use crate::{ReadOptions, Scratch, http1};

/// Gives arbitrary bytes to an [`Inbox`], in one piece and in several.
///
/// The same requests are found however they arrive. A head that a proxy takes is taken, and is the same.
/// What a target names stays below the root, and is named again by what is written of it.
pub fn origin_request(data: &[u8]) {
    let whole = requests(data, data.len().max(1));
    for piece in [1, 7, 64] {
        assert_eq!(requests(data, piece), whole, "in pieces of {piece}");
    }
    let read = Request::parse(data);
    let mut scratch = Scratch::default();
    if let Ok(Some(head)) = http1::read(data, &ReadOptions::default(), &mut scratch) {
        let (request, len) = read.as_ref().expect("taken").as_ref().expect("whole");
        assert_eq!((*len, request.body), (head.len(), head.framing()));
        assert_eq!(request.target.as_bytes(), head.target());
    }
    if let Ok(Some((request, _))) = read {
        conditions::evaluate(&request, "\"1-2-3\"", SystemTime::UNIX_EPOCH);
        conditions::range_applies(request.if_range, "\"1-2-3\"", SystemTime::UNIX_EPOCH);
        stays_below_the_root(request.path);
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

fn stays_below_the_root(sent: &[u8]) {
    let mut path = Vec::new();
    if decode(sent, DotNames::Serve, &mut path).is_err() {
        return;
    }
    let names = path.strip_suffix(b"/").unwrap_or(&path);
    let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
    let mut segments = names.split(|byte| *byte == b'/');
    assert!(path.is_empty() || segments.all(is_name), "{path:?}");
    assert!(!path.iter().any(|byte| matches!(byte, 0 | b'\\')));
    let mut written = b"/".to_vec();
    encode(&path, &mut written);
    let mut again = Vec::new();
    decode(&written, DotNames::Serve, &mut again).expect("it was read before");
    assert_eq!(again, path);
}
