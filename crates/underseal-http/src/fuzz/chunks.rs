//! Chunked bodies, against a reader that has all of the body at once.

use crate::http1::{Chunks, Piece};

/// Reads a chunked body: byte 0 says in what pieces it comes, the rest is the body.
///
/// It is what it is, however it arrives, and what a reader that has it whole says it is.
pub fn http1_chunks(data: &[u8]) {
    let Some((step, body)) = data.split_first() else {
        return;
    };
    let whole = read(body, body.len().max(1));
    for step in [1, usize::from(*step) + 1] {
        assert_eq!(read(body, step), whole, "by {step}");
    }
    assert_eq!(whole, plainly(body));
}

/// What came of a body.
#[derive(Debug, PartialEq)]
struct Body {
    content: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq)]
enum End {
    /// After so many bytes.
    At(usize),
    /// Not yet.
    Missing,
    Refused,
}

fn read(data: &[u8], step: usize) -> Body {
    let mut chunks = Chunks::default();
    let (mut content, mut at, mut seen) = (Vec::new(), 0, 0);
    loop {
        let end = match chunks.next(&data[at..seen]) {
            Ok(Piece::Framing(len)) => {
                assert!(
                    (1..=seen - at).contains(&len),
                    "framing outside of the bytes"
                );
                at += len;
                continue;
            }
            Ok(Piece::Data(len)) => {
                assert!(
                    (1..=seen - at).contains(&len),
                    "content outside of the bytes"
                );
                content.extend_from_slice(&data[at..at + len]);
                at += len;
                continue;
            }
            Ok(Piece::Incomplete) if seen < data.len() => {
                seen = (seen + step).min(data.len());
                continue;
            }
            Ok(Piece::Incomplete) => End::Missing,
            Ok(Piece::End) => End::At(at),
            Err(_) => End::Refused,
        };
        return Body { content, end };
    }
}

/// The same by the grammar of RFC 9112 section 7.1, and the bounds that are documented.
fn plainly(data: &[u8]) -> Body {
    let mut content = Vec::new();
    let end = match chunks(data, &mut content) {
        Ok(rest) => End::At(data.len() - rest.len()),
        Err(end) => end,
    };
    Body { content, end }
}

/// Reads all chunks and the trailer section, and returns what follows.
fn chunks<'a>(mut rest: &'a [u8], content: &mut Vec<u8>) -> Result<&'a [u8], End> {
    loop {
        let (line, after) = line(rest)?;
        let size = size(line).ok_or(End::Refused)?;
        if size == 0 {
            return trailers(after);
        }
        let here = after.len().min(size);
        content.extend_from_slice(&after[..here]);
        let after = after.get(size..).ok_or(End::Missing)?;
        rest = match after {
            [b'\r', b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return Err(End::Missing),
            _ => return Err(End::Refused),
        };
    }
}

/// The first line, without its CR and LF, and what follows; 256 bytes with them at most.
fn line(text: &[u8]) -> Result<(&[u8], &[u8]), End> {
    let seen = &text[..text.len().min(256)];
    let end = seen.iter().position(|byte| b"\r\n".contains(byte));
    match end.map(|end| (&seen[..end], &seen[end..])) {
        Some((line, [b'\r', b'\n', ..])) => Ok((line, &text[line.len() + 2..])),
        Some((_, [b'\r'])) | None if text.len() < 256 => Err(End::Missing),
        _ => Err(End::Refused),
    }
}

fn size(line: &[u8]) -> Option<usize> {
    let line = str::from_utf8(line).ok()?;
    let (digits, extension) = line.split_once(';').unwrap_or((line, ""));
    let is_good = (1..=15).contains(&digits.len())
        && digits.chars().all(|digit| digit.is_ascii_hexdigit())
        && extension
            .chars()
            .all(|c| c == '\t' || (' '..='~').contains(&c));
    let size = usize::from_str_radix(digits, 16).ok()?;
    is_good.then_some(size)
}

/// Reads fields up to an empty line, 8 KiB of them at most.
fn trailers(mut rest: &[u8]) -> Result<&[u8], End> {
    let mut read = 0;
    loop {
        let (line, after) = line(rest)?;
        if line.is_empty() {
            return Ok(after);
        }
        read += line.len();
        if read > 8192 || !is_trailer(line) {
            return Err(End::Refused);
        }
        rest = after;
    }
}

fn is_trailer(line: &[u8]) -> bool {
    // A character per byte: values may hold opaque bytes.
    let line: String = line.iter().copied().map(char::from).collect();
    let Some((name, value)) = line.split_once(':') else {
        return false;
    };
    let in_name = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(c);
    let is_framing =
        ["content-length", "transfer-encoding", "host"].contains(&&*name.to_ascii_lowercase());
    let is_name = !name.is_empty() && name.chars().all(in_name) && !is_framing;
    is_name
        && value
            .chars()
            .all(|c| c == '\t' || (c >= ' ' && c != '\x7f'))
}
