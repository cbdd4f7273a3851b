//! The corpus as we read it.

use proptest::prelude::*;
use underseal_http::http1::{Chunks, Piece};
use underseal_http::{
    EncodedSlash, Framing, PathFault, PathOptions, ReadOptions, Refusal, Scratch, http1,
};

use crate::corpus::{CLASSES, Case};

/// A request as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    method: String,
    path: String,
    host: String,
    /// Bytes of its body.
    content: usize,
    /// Bytes of it all.
    len: usize,
}

/// The request that `bytes` begins with, if it is whole.
fn read(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    let mut scratch = Scratch::default();
    let Some(head) = http1::read(bytes, &ReadOptions::default(), &mut scratch)? else {
        return Ok(None);
    };
    let Some((content, len)) = body(head.framing(), &bytes[head.len()..])? else {
        return Ok(None);
    };
    let request = head.request();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Some(Request {
        method: text(request.method()),
        path: text(request.path().unwrap_or(b"")),
        host: text(request.host()),
        content,
        len: head.len() + len,
    }))
}

/// Bytes of content, and bytes of the body with its framing.
fn body(framing: Framing, bytes: &[u8]) -> Result<Option<(usize, usize)>, Refusal> {
    let len = match framing {
        Framing::Empty => 0,
        Framing::Length(len) => usize::try_from(len).expect("the lengths of the corpus are short"),
        Framing::Chunked => return chunks(bytes),
    };
    Ok(bytes.get(..len).map(|_| (len, len)))
}

fn chunks(bytes: &[u8]) -> Result<Option<(usize, usize)>, Refusal> {
    let mut chunks = Chunks::default();
    let (mut content, mut at) = (0, 0);
    loop {
        match chunks.next(&bytes[at..])? {
            Piece::Framing(len) => at += len,
            Piece::Data(len) => {
                content += len;
                at += len;
            }
            Piece::End => return Ok(Some((content, at))),
            Piece::Incomplete => return Ok(None),
        }
    }
}

fn cases() -> impl Iterator<Item = &'static Case> {
    CLASSES.iter().flat_map(|class| class.cases)
}

/// What is to become of a case.
fn expected(case: &Case) -> Result<Option<Request>, Refusal> {
    case.reading.map(|reading| {
        Some(Request {
            method: reading.method.to_owned(),
            path: reading.path.to_owned(),
            host: reading.host.to_owned(),
            content: reading.content,
            len: case.sent.len(),
        })
    })
}

#[test]
fn every_case_is_refused_with_its_reason_or_read_in_the_one_way() {
    let wrong: Vec<_> = cases()
        .map(|case| (case.name, read(case.sent), expected(case)))
        .filter(|(_, read, expected)| read != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_comes_behind_a_request_changes_nothing() {
    for case in cases() {
        let next = [case.sent, b"GET /next HTTP/1.1\r\n"].concat();
        assert_eq!(read(&next), expected(case), "{}", case.name);
    }
}

#[test]
fn no_part_of_a_case_is_a_request() {
    for case in cases() {
        for len in 0..case.sent.len() {
            let part = read(&case.sent[..len]);
            let name = case.name;
            assert!(
                !matches!(part, Ok(Some(_))),
                "{name}: {len} bytes of it are taken for it"
            );
            assert!(
                case.reading.is_err() || part == Ok(None),
                "{name}: {len} bytes are refused"
            );
        }
    }
}

#[test]
fn names_are_given_once() {
    let mut names: Vec<_> = cases().map(|case| case.name).collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn heads_are_bounded() {
    let outcome = |text: String| read(text.as_bytes());
    let fields = |lines: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
    let long = fields(&format!("X: {}", "a".repeat(33_000)));
    assert_eq!(
        outcome(long[..32 * 1024].to_owned()),
        Err(Refusal::HeadTooLong)
    );
    assert_eq!(outcome(long[..32 * 1024 - 1].to_owned()), Ok(None));
    assert_eq!(outcome(long), Err(Refusal::HeadTooLong));
    let many = fields(&"X: y\r\n".repeat(100));
    assert_eq!(outcome(many), Err(Refusal::TooManyFields));
    let path = format!("GET /{}/../b HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
    assert_eq!(outcome(path), Err(Refusal::Path(PathFault::TooLong)));
}

/// How long the head is that `bytes` begins with, if it is whole.
fn head_len(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut scratch = Scratch::default();
    let head = http1::read(bytes, &ReadOptions::default(), &mut scratch)?;
    Ok(head.map(|head| head.len()))
}

proptest! {
    /// Bytes that a person would not think of, around what matters: whatever comes of the whole,
    /// no part of a head is a head.
    #[test]
    fn no_part_of_a_head_is_a_head(
        line in "[GP]?(ET|OST) {0,2}(/[a.%2e/]{0,6}|\\*|http://a/) HTTP/1.[01]",
        fields in prop::collection::vec("(Host|Content-Length|Transfer-Encoding|X)[ :]{1,2}[a0-9chunked,]{0,8}", 0..4),
        ends in prop::collection::vec(prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n "]), 8),
    ) {
        let mut head = line;
        for (field, end) in [String::new()].iter().chain(&fields).zip(&ends) {
            head += field;
            head += end;
        }
        head += "\r\n\r\n";
        let whole = head_len(head.as_bytes());
        for len in 0..head.len() {
            match (&whole, head_len(&head.as_bytes()[..len])) {
                (Ok(Some(end)), Ok(Some(part))) => {
                    prop_assert!(len >= *end);
                    prop_assert_eq!(part, *end);
                }
                (Ok(Some(end)), Ok(None)) => prop_assert!(len < *end),
                (_, Ok(Some(part))) => prop_assert!(false, "{:?} of {:?}", part, head),
                (Ok(Some(_)), Err(refusal)) => prop_assert!(false, "{} of {:?}", refusal, head),
                (_, Ok(None) | Err(_)) => {}
            }
        }
    }

    #[test]
    fn normal_form_is_normal(path in "/([a./;]|%2[eEfF5]|%[0-9A-Fa-f]{2}|\\.\\.){0,12}", merge in any::<bool>(), decodes in any::<bool>()) {
        let options = PathOptions {
            merge_slashes: merge,
            encoded_slash: if decodes { EncodedSlash::Decode } else { EncodedSlash::Keep },
            encoded_backslash: true,
            encoded_control: true,
            parameter: true,
        };
        let mut out = vec![0; path.len()];
        if let Ok(normal) = underseal_http::normalise(path.as_bytes(), &options, &mut out) {
            let normal = normal.to_vec();
            let mut again = vec![0; normal.len()];
            let twice = underseal_http::normalise(&normal, &options, &mut again);
            prop_assert_eq!(twice, Ok(&normal[..]));
            prop_assert_eq!(normal.first(), Some(&b'/'));
            let climbs = normal.split(|b| *b == b'/').any(|s| s == b"." || s == b"..");
            prop_assert!(!climbs);
        }
    }
}
