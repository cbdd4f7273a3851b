//! Heads of HTTP/1.1, against httparse and against a reader of lines and colons.

use crate::fields::is_ours;
use crate::host::Authority;
use crate::http1::{self, Target};
use crate::path::{PathOptions, normalise};
use crate::{Framing, Outgoing, Passage, ReadOptions, Refusal, Scratch, Upgrade, Version};

/// Reads arbitrary bytes as a request: a head that is accepted says what httparse and a reader
/// that knows nothing but lines and colons say, one that only httparse accepts is refused for a
/// reason that it has, and no part of a head is a head. What goes on of it is a head that says what
/// rules see of it.
pub fn http1_head(data: &[u8]) {
    let options = ReadOptions::default();
    let mut scratch = Scratch::default();
    let whole = http1::read(data, &options, &mut scratch);
    let whole_len = whole.map(|head| head.map(|head| head.len()));
    as_httparse(data, &whole);
    if let Ok(Some(head)) = whole {
        as_lines(&data[..head.len()], &head);
        goes_on(&head);
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

/// Compares with httparse, both ways: what is accepted is the same head to it, and what it accepts
/// and is refused has a reason for that.
fn as_httparse(data: &[u8], read: &Result<Option<http1::Head<'_>>, Refusal>) {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut headers);
    let seen = &data[..data.len().min(ReadOptions::default().max_head)];
    match (parsed.parse(seen), read) {
        (Ok(httparse::Status::Complete(len)), Ok(Some(head))) => {
            assert_eq!(len, head.len());
            same(&parsed, head);
            assert_eq!(reasons(&parsed, &seen[..len]), []);
        }
        (Ok(httparse::Status::Complete(len)), Err(refusal)) => {
            let reasons = reasons(&parsed, &seen[..len]);
            assert!(
                reasons.contains(refusal),
                "{refusal:?} is not in {reasons:?}"
            );
        }
        (Ok(httparse::Status::Complete(_)), Ok(None)) => panic!("a head is not seen"),
        (parsed, Ok(Some(_))) => panic!("httparse sees no head: {parsed:?}"),
        (Err(error), Ok(None)) => panic!("more is waited for in vain: {error}"),
        (Ok(httparse::Status::Partial), Ok(None) | Err(_)) | (Err(_), Err(_)) => {}
    }
}

fn same(parsed: &httparse::Request<'_, '_>, head: &http1::Head<'_>) {
    let request = head.request();
    assert_eq!(parsed.method.map(str::as_bytes), Some(request.method()));
    assert_eq!(parsed.path.map(str::as_bytes), Some(head.target()));
    assert_eq!(parsed.version, Some(head.minor_version()));
    for header in parsed.headers.iter() {
        let name = header.name.to_ascii_lowercase();
        let mut values = request.header(name.as_bytes());
        assert!(values.any(|value| value == header.value));
    }
}

/// Every reason there is to refuse a head that httparse accepts: all the differences between it
/// and [`http1::read`].
fn reasons(parsed: &httparse::Request<'_, '_>, text: &[u8]) -> Vec<Refusal> {
    let mut reasons = line_reasons(text);
    let named = |name: &str| -> Vec<&[u8]> {
        let fields = parsed.headers.iter();
        let fields = fields.filter(|field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| field.value).collect()
    };
    reasons.extend(framing_reasons(
        &named("content-length"),
        &named("transfer-encoding"),
        parsed.version,
    ));
    let options = named("connection").join(&b","[..]);
    if names_framing(&options) || has_many(&options) {
        reasons.push(Refusal::Connection);
    }
    if parsed.method.is_some_and(|method| method.len() > 64) {
        reasons.push(Refusal::MethodTooLong);
    }
    match *named("host") {
        [] => reasons.push(Refusal::NoHost),
        [host] => reasons.extend(target_reasons(parsed, host)),
        _ => reasons.push(Refusal::SeveralHosts),
    }
    reasons
}

fn line_reasons(text: &[u8]) -> Vec<Refusal> {
    let mut reasons = Vec::new();
    let text = text.strip_prefix(b"\r\n").unwrap_or(text);
    if text.starts_with(b"\r") || text.starts_with(b"\n") {
        reasons.push(Refusal::RequestLine);
    }
    let mut lines = text.split(|byte| *byte == b'\n').rev();
    // What is behind the last LF: nothing.
    lines.next();
    if lines.any(|line| !line.ends_with(b"\r")) {
        reasons.push(Refusal::BareLineFeed);
    }
    reasons
}

fn framing_reasons(lengths: &[&[u8]], codings: &[&[u8]], version: Option<u8>) -> Vec<Refusal> {
    let mut reasons = Vec::new();
    if !lengths.is_empty() && !codings.is_empty() {
        reasons.push(Refusal::BothLengths);
    }
    if lengths.len() > 1 || lengths.iter().any(|length| length.contains(&b',')) {
        reasons.push(Refusal::SeveralLengths);
    }
    let is_number = |text: &str| {
        let length = text.parse::<u64>().ok();
        text.len() <= 18 && !text.starts_with('+') && length.is_some()
    };
    if !lengths
        .iter()
        .all(|length| str::from_utf8(length).is_ok_and(is_number))
    {
        reasons.push(Refusal::Length);
    }
    let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let is_refused = codings.len() > 1 || version != Some(1) || !codings.iter().all(chunked);
    if !codings.is_empty() && is_refused {
        reasons.push(Refusal::TransferEncoding);
    }
    reasons
}

/// Whether a Connection field names one that says how the request is read.
fn names_framing(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let options = value.split(|byte| *byte == b',');
    let mut options = options.map(|option| String::from_utf8_lossy(option).trim().to_owned());
    options.any(|option| ["host", "content-length", "transfer-encoding"].contains(&&*option))
}

/// Whether there are more options than a connection has.
fn has_many(value: &[u8]) -> bool {
    let options = value.split(|byte| *byte == b',');
    options
        .filter(|option| !option.trim_ascii().is_empty())
        .count()
        > 32
}

/// Hosts, targets and paths have targets of their own: here they are only told apart.
fn target_reasons(parsed: &httparse::Request<'_, '_>, host: &[u8]) -> Option<Refusal> {
    let host = match Authority::read(host) {
        Ok(host) => host,
        Err(refusal) => return Some(refusal),
    };
    let (method, target) = (parsed.method?.as_bytes(), parsed.path?.as_bytes());
    match Target::read(method, target, Some(&host)).and_then(Target::with_ascii_query) {
        Err(refusal) => Some(refusal),
        Ok(Target::Path(path, _)) => {
            let mut out = [0; crate::head::MAX_PATH];
            let normal = normalise(path, &PathOptions::default(), &mut out);
            normal.err().map(Refusal::Path)
        }
        Ok(Target::Server | Target::Tunnel) => None,
    }
}

/// Reads what goes on of a head, and compares it with what rules see.
fn goes_on(head: &http1::Head<'_>) {
    let request = head.request();
    if request.path().is_none() {
        return;
    }
    let mut outgoing = Outgoing::default();
    for version in [Version::Http11, Version::Http2] {
        let passage = Passage {
            upgrade: match version {
                Version::Http11 => Upgrade::AsAsked,
                Version::Http2 => Upgrade::None,
            },
            ours: &[("X-Forwarded-For", "192.0.2.1".into())],
            ..Passage::new(version, head.framing())
        };
        outgoing.write(&request, &passage);
        let judged = outgoing.request();
        assert_eq!(request.method(), judged.method());
        assert_eq!(request.path(), judged.path());
        assert_eq!(request.query(), judged.query());
        assert_eq!(request.authority(), judged.authority());
        assert!(judged.header(b"cookie").count() <= 1, "crumbs");
        let ours = judged.fields().filter(|(name, _)| is_ours(name));
        assert_eq!(
            ours.map(|(_, value)| value).collect::<Vec<_>>(),
            [b"192.0.2.1"]
        );
        reads_the_same(
            &outgoing,
            (version == Version::Http11).then_some(head.framing()),
        );
    }
}

/// `framing` is that of the body, if this version says how it is delimited.
fn reads_the_same(outgoing: &Outgoing, framing: Option<Framing>) {
    let options = ReadOptions {
        max_head: usize::from(u16::MAX),
        ..ReadOptions::default()
    };
    let mut scratch = Scratch::default();
    let judged = outgoing.request();
    let read = match http1::read(outgoing.head(), &options, &mut scratch) {
        // What we say of it ourselves may be too much for our own reader.
        Err(Refusal::TooManyFields | Refusal::HeadTooLong) => return,
        read => read.expect("one reading").expect("a whole head"),
    };
    assert_eq!(read.len(), outgoing.head().len());
    assert_eq!(read.target(), outgoing.target());
    if let Some(framing) = framing {
        assert_eq!(read.framing(), framing);
    }
    let fields = read.request();
    let mut fields = fields
        .fields()
        .filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
    assert!(judged.fields().eq(&mut fields), "other fields");
    assert_eq!(read.request().authority(), judged.authority());
}

fn as_lines(text: &[u8], head: &http1::Head<'_>) {
    let text = text.strip_prefix(b"\r\n").unwrap_or(text);
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
