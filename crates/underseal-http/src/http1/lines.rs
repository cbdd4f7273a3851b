//! How lines end, and what is said about those that httparse refuses.

use crate::refusal::Refusal;

/// Refuses what httparse forgives of part of a head: lines that end with LF alone, and empty lines before the first.
pub(super) fn check(head: &[u8]) -> Result<(), Refusal> {
    if matches!(head.first(), Some(b'\r' | b'\n')) {
        return Err(Refusal::RequestLine);
    }
    // Every byte is looked at and none branched on: lines are many and short, and this takes several
    // bytes at a time.
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    let is_bare = pairs.fold(false, |is_bare, (before, byte)| {
        is_bare | ((*byte == b'\n') & (*before != b'\r'))
    });
    if is_bare {
        return Err(Refusal::BareLineFeed);
    }
    Ok(())
}

/// The same for a whole head, of which httparse has found the `fields`: it lets no CR and no LF be in one.
pub(super) fn check_whole(head: &[u8], fields: &[httparse::Header<'_>]) -> Result<(), Refusal> {
    if matches!(head.first(), Some(b'\r' | b'\n')) {
        return Err(Refusal::RequestLine);
    }
    // The line before each field, and the last two.
    let start = |name: &str| name.as_ptr().addr() - head.as_ptr().addr();
    let follows_an_end = |name: &str| head[..start(name)].ends_with(b"\r\n");
    match fields.iter().all(|field| follows_an_end(field.name)) && head.ends_with(b"\r\n\r\n") {
        true => Ok(()),
        false => Err(Refusal::BareLineFeed),
    }
}

/// The reason behind an error of httparse: it names the place, not the trick.
pub(super) fn name(error: httparse::Error, head: &[u8]) -> Refusal {
    if let Err(refusal) = check(head) {
        return refusal;
    }
    match error {
        httparse::Error::HeaderName => field_name(head),
        httparse::Error::HeaderValue | httparse::Error::Status => field_value(head),
        httparse::Error::TooManyHeaders => Refusal::TooManyFields,
        _ if !has_three_words(head) => Refusal::RequestLine,
        httparse::Error::NewLine => Refusal::BareCarriageReturn,
        httparse::Error::Version => Refusal::Version,
        httparse::Error::Token => Refusal::RequestLine,
    }
}

/// Whether the first line is three words with one space between them.
fn has_three_words(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|byte| *byte == b' ');
    words.clone().count() == 3 && words.all(|word| !word.is_empty())
}

fn field_name(head: &[u8]) -> Refusal {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    for line in lines {
        let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if is_space(line.first()) {
            return Refusal::LineFolding;
        }
        let colon = memchr::memchr(b':', line).unwrap_or(0);
        if colon > 0 && is_space(line.get(colon - 1)) {
            return Refusal::SpaceBeforeColon;
        }
    }
    Refusal::FieldName
}

fn field_value(head: &[u8]) -> Refusal {
    let lone = memchr::memchr_iter(b'\r', head).any(|at| head.get(at + 1) != Some(&b'\n'));
    if lone {
        Refusal::BareCarriageReturn
    } else {
        Refusal::FieldValue
    }
}
