//! Entry points of the fuzz targets, beside the code that they drive.
//!
//! Each panics where an invariant is broken, whatever the bytes.

use crate::http1::{self, Chunks, Piece};
use crate::model::Direction;
use crate::path::{PathOptions, normalise};
use crate::pattern::Pattern;
use crate::{
    Connection, ConvertOptions, Framing, Labels, Matcher, PolicyFile, ReadOptions, Scratch,
    convert, load, to_yaml,
};

/// Reads arbitrary bytes as a request: a head that is accepted says what httparse and a reader
/// that knows nothing but lines and colons say, and no part of it is a head.
pub fn http1_head(data: &[u8]) {
    let options = ReadOptions::default();
    let mut scratch = Scratch::default();
    let whole = http1::read(data, &options, &mut scratch);
    let whole_len = whole.map(|head| head.map(|head| head.len()));
    if let Ok(Some(head)) = whole {
        let text = &data[..head.len()];
        as_httparse(text, &head);
        as_lines(text, &head);
        if head.framing() == Framing::Chunked {
            chunks(&data[head.len()..]);
        }
    }
    for len in [data.len() / 2, data.len().saturating_sub(1)] {
        let mut scratch = Scratch::default();
        let part = http1::read(&data[..len], &options, &mut scratch);
        let part_len = part.map(|head| head.map(|head| head.len()));
        match (whole_len, part_len) {
            (Ok(Some(end)), Ok(Some(part))) => assert!(part == end && end <= len, "another head"),
            (Ok(Some(end)), Ok(None)) => assert!(len < end, "a whole head is not seen"),
            (Ok(_), Err(refusal)) => panic!("a part is refused: {refusal}"),
            (Ok(None) | Err(_), Ok(Some(_))) => panic!("a part is a head, the whole is none"),
            (Ok(None) | Err(_), Ok(None)) | (Err(_), Err(_)) => {}
        }
    }
}

fn as_httparse(text: &[u8], head: &http1::Head<'_>) {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(text).expect("httparse accepts it too");
    assert_eq!(status, httparse::Status::Complete(text.len()));
    let request = head.request();
    assert_eq!(parsed.method.map(str::as_bytes), Some(request.method()));
    assert_eq!(parsed.path.map(str::as_bytes), Some(head.target()));
    assert_eq!(parsed.version, Some(head.minor_version()));
    for header in parsed.headers.iter() {
        let name = header.name.to_ascii_lowercase();
        assert!(
            request
                .header(name.as_bytes())
                .any(|value| value == header.value)
        );
    }
}

fn as_lines(text: &[u8], head: &http1::Head<'_>) {
    let body = text
        .strip_suffix(b"\r\n\r\n")
        .expect("ends with an empty line");
    // One byte per character: nothing here is more than ASCII and opaque bytes.
    let body: String = body.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = body.split("\r\n");
    let words: Vec<_> = lines.next().expect("a first line").split(' ').collect();
    assert_eq!(words.len(), 3);
    assert_eq!(words[0].as_bytes(), head.request().method());
    let mut lengths = 0;
    for line in lines {
        let (name, value) = line.split_once(':').expect("a colon");
        let value = value.trim_matches([' ', '\t']);
        assert!(!value.contains(['\r', '\n', '\0']), "{line:?}");
        match &*name.to_ascii_lowercase() {
            "content-length" => {
                lengths += 1;
                assert_eq!(value.parse().map(Framing::Length), Ok(head.framing()));
            }
            "transfer-encoding" => {
                lengths += 1;
                assert_eq!(head.framing(), Framing::Chunked);
            }
            _ => {}
        }
    }
    assert_eq!(lengths == 0, head.framing() == Framing::Empty);
    assert!(lengths <= 1, "two lengths");
}

/// Reads arbitrary bytes as a chunked body, whole and byte by byte.
fn chunks(data: &[u8]) {
    let whole = content(data, data.len().max(1));
    let bytes = content(data, 1);
    assert_eq!(whole, bytes, "a body is what it is, however it arrives");
}

/// The content, how far it was read, and whether there is an end; nothing if it is refused.
fn content(data: &[u8], step: usize) -> Option<(Vec<u8>, usize, bool)> {
    let mut chunks = Chunks::default();
    let (mut content, mut at, mut seen) = (Vec::new(), 0, 0);
    loop {
        match chunks.next(&data[at..seen]).ok()? {
            Piece::Framing(len) => at += len,
            Piece::Data(len) => {
                content.extend_from_slice(&data[at..at + len]);
                at += len;
            }
            Piece::End => return Some((content, at, true)),
            Piece::Incomplete if seen == data.len() => return Some((content, at, false)),
            Piece::Incomplete => seen = (seen + step).min(data.len()),
        }
    }
}

/// Loads and converts arbitrary text: what loads can be compiled, decided by, and written down and
/// loaded again as the same.
pub fn policy_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let file = PolicyFile { name: "", text };
    if let Ok(policies) = load(&[file], &[]) {
        for direction in [Direction::Ingress, Direction::Egress] {
            let matcher = Matcher::new(&policies, &Labels::new(), direction);
            let matcher = matcher.expect("what loads compiles");
            let connection = Connection::default();
            assert_eq!(
                matcher.explain(&connection, None).decision,
                matcher.decide(&connection, None)
            );
        }
        let yaml = to_yaml(&policies);
        let again = load(
            &[PolicyFile {
                name: "",
                text: &yaml,
            }],
            &[],
        );
        assert_eq!(again, Ok(policies), "{yaml}");
    }
    if let Ok(converted) = convert(&file, &ConvertOptions::default()) {
        let faults = converted
            .policies
            .iter()
            .flat_map(|policy| crate::validate::faults(policy, &[]));
        assert_eq!(faults.count(), 0);
    }
}

/// Reads the first line as a pattern of paths and the rest as a path.
pub fn path_pattern(data: &[u8]) {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (Some(pattern), Some(path)) = (lines.next(), lines.next()) else {
        return;
    };
    let mut out = vec![0; path.len()];
    let Ok(path) = normalise(path, &PathOptions::LENIENT, &mut out) else {
        return;
    };
    let mut again = vec![0; path.len()];
    assert_eq!(normalise(path, &PathOptions::LENIENT, &mut again), Ok(path));
    let Some((pattern, compiled)) = str::from_utf8(pattern)
        .ok()
        .and_then(|text| Some((text, Pattern::path(text).ok()?)))
    else {
        return;
    };
    assert_eq!(compiled.to_string(), pattern);
    assert_eq!(compiled.matches(path), plainly(pattern.as_bytes(), path));
}

/// Whether a pattern matches, by trying every way.
fn plainly(pattern: &[u8], path: &[u8]) -> bool {
    if let Some(rest) = pattern.strip_prefix(b"{**}") {
        return (0..=path.len()).any(|at| plainly(rest, &path[at..]));
    }
    if let Some(rest) = pattern.strip_prefix(b"{*}") {
        let end = path
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(path.len());
        return end > 0 && plainly(rest, &path[end..]);
    }
    match (pattern, path) {
        ([b'*', rest @ ..], _) => (0..=path.len()).any(|at| plainly(rest, &path[at..])),
        ([wanted, pattern @ ..], [found, path @ ..]) => wanted == found && plainly(pattern, path),
        _ => pattern == path,
    }
}
