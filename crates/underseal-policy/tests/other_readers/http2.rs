//! HTTP/2, against the crate `h2`: where its frames end, and what its requests say.

use std::sync::LazyLock;

use http::Method;
use underseal_http::{ReadOptions, Refusal, Scratch, http2};
use underseal_message::Http2;
use underseal_policy::model::TrafficDirection;
use underseal_policy::{Connection, Labels, Matcher, PolicyFile, Verdict, load};

use super::frames::{self, End, Frame};
use super::h2_server::{Seen, SeenRequest, serve};

/// What a client sends first (RFC 9113 section 3.4), and its empty SETTINGS.
pub(crate) const START: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Gives arbitrary bytes to a server: byte 0 says in what pieces they come, and whether the preface
/// and SETTINGS are before them.
///
/// The frames that we see are those that it acts on, what it sends is frames to us, it ends well
/// only where we see the end of a frame, and every request that it hands out comes to a decision.
pub fn http2_connection(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let start = if choice % 2 == 0 { START } else { b"" };
    let bytes = [start, rest].concat();
    let piece = match choice / 2 {
        0 => usize::MAX >> 1,
        piece => usize::from(piece),
    };
    let seen = serve(&bytes, piece);
    let (frames, end) = frames::split(Http2::client(), &bytes, true);
    ends_alike(&seen, &frames, end);
    answers_are_frames(&seen, &frames);
    for request in &seen.requests {
        comes_from_frames(request, &frames);
        let _: Result<_, Refusal> = judge(&borrowed(&fields(&request.head)));
    }
}

fn ends_alike(seen: &Seen, frames: &[Frame<'_>], end: End) {
    if seen.is_clean && !has_goodbye(frames) {
        assert_eq!(end, End::Between, "it sees an end where we see none");
    }
}

/// What `h2` sends is whole frames; it answers the PINGs that we see, in their order.
fn answers_are_frames(seen: &Seen, frames: &[Frame<'_>]) {
    let (answers, end) = frames::split(Http2::server(), &seen.answers, false);
    assert_eq!(end, End::Between, "an answer that is no frame");
    let pings = |frames: &[Frame<'_>], flags| -> Vec<Vec<u8>> {
        let pings = frames
            .iter()
            .filter(|frame| frame.kind == frames::PING && frame.flags & frames::ACK == flags);
        pings.map(|frame| frame.payload.to_vec()).collect()
    };
    let answered = pings(&answers, frames::ACK);
    let asked = pings(frames, 0);
    assert!(asked.starts_with(&answered), "it saw other frames");
    // The last answer may be lost with the connection.
    let all = asked.len().saturating_sub(1);
    assert!(
        !seen.is_clean || answered.len() >= all || has_goodbye(frames),
        "it saw fewer frames"
    );
}

/// A client that says goodbye is not listened to up to its last byte.
fn has_goodbye(frames: &[Frame<'_>]) -> bool {
    frames.iter().any(|frame| frame.kind == frames::GOAWAY)
}

/// The head of a request is a HEADERS frame to us, and its body our DATA frames.
fn comes_from_frames(request: &SeenRequest, frames: &[Frame<'_>]) {
    let of_stream = frames.iter().filter(|frame| frame.stream == request.stream);
    let mut heads = of_stream
        .clone()
        .filter(|frame| frame.kind == frames::HEADERS);
    assert!(heads.next().is_some(), "a request from nowhere");
    // What follows the end of a stream is not of it.
    let mut ended = false;
    let data = of_stream
        .take_while(|frame| !std::mem::replace(&mut ended, frame.ends_stream()))
        .filter(|frame| frame.kind == frames::DATA);
    let content: usize = data.filter_map(Frame::content).map(<[u8]>::len).sum();
    assert!(request.content <= content, "a body from nowhere");
    assert!(
        !request.is_whole || request.content == content,
        "a body that lacks bytes"
    );
}

/// Field lines, as `h2` gives them, in the order in which they may come.
fn fields(head: &http::request::Parts) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields = vec![(b":method".to_vec(), head.method.as_str().into())];
    let mut pseudo = |name: &str, value: Option<&[u8]>| {
        fields.extend(value.map(|value| (name.into(), value.to_vec())));
    };
    // A `Uri` without host has no scheme either: `h2` has checked that there was one.
    let is_tunnel = head.method == Method::CONNECT && head.uri.path_and_query().is_none();
    let scheme = head.uri.scheme_str().or((!is_tunnel).then_some("https"));
    pseudo(":scheme", scheme.map(str::as_bytes));
    let authority = head
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    pseudo(":authority", authority);
    let path = head
        .uri
        .path_and_query()
        .map(|path| path.as_str().as_bytes());
    pseudo(":path", path);
    let protocol = head.extensions.get::<h2::ext::Protocol>();
    pseudo(
        ":protocol",
        protocol.map(|protocol| protocol.as_str().as_bytes()),
    );
    let regular = head.headers.iter();
    fields.extend(regular.map(|(name, value)| (name.as_str().into(), value.as_bytes().into())));
    fields
}

fn borrowed(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<http2::Field<'_>> {
    fields
        .iter()
        .map(|(name, value)| (&name[..], &value[..]))
        .collect()
}

const POLICY: &str = "
apiVersion: underseal/v1alpha1
kind: AuthorizationPolicy
metadata: { name: no-admin }
spec:
  action: DENY
  rules: [{ to: [{ operation: { paths: ['/admin', '/admin/{**}'] } }] }]
---
apiVersion: underseal/v1alpha1
kind: AuthorizationPolicy
metadata: { name: reading }
spec:
  action: ALLOW
  rules: [{ to: [{ operation: { methods: [GET], paths: ['/*'] } }] }]
";

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| {
    let file = PolicyFile {
        name: "fuzz.yaml",
        text: POLICY,
    };
    let policies = load(&[file], &[]).expect("the policy loads");
    Matcher::new(&policies, &Labels::new(), TrafficDirection::Ingress).expect("it compiles")
});

/// What rules see of a request: method, path and host.
type View = (Vec<u8>, Option<Vec<u8>>, Vec<u8>);

/// Reads fields, and decides.
fn judge(fields: &[http2::Field<'_>]) -> Result<(View, Verdict), Refusal> {
    let mut scratch = Scratch::default();
    let request = http2::read(fields, &ReadOptions::default(), &mut scratch)?;
    let verdict = MATCHER
        .decide(&Connection::default(), Some(&request))
        .verdict;
    let is_admin = request
        .path()
        .is_some_and(|path| path == b"/admin" || path.starts_with(b"/admin/"));
    let is_allowed = request.method() == b"GET" && request.path().is_some() && !is_admin;
    assert_eq!(verdict == Verdict::Allow, is_allowed, "{request:?}");
    let path = request.path().map(<[u8]>::to_vec);
    Ok((
        (request.method().into(), path, request.host().into()),
        verdict,
    ))
}

/// Sends the fields that the lines of a text name, `name: value` each with `\n`, `\r`, `\t`, `\0`
/// and `\\` for these bytes, as one request; the first line says how the head is cut into frames.
///
/// Where `h2` hands the request out, it says the same to rules as the fields that were sent; or these
/// are refused, and it hands out nothing else than some of them.
pub fn http2_fields(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let cut = lines.next().and_then(<[u8]>::first).copied();
    let sent: Vec<_> = lines.filter(|line| !line.is_empty()).map(field).collect();
    let mut bytes = START.to_vec();
    head_frames(&mut bytes, &sent, cut.map_or(0, usize::from));
    let seen = serve(&bytes, usize::MAX >> 1);
    let (frames, end) = frames::split(Http2::client(), &bytes, true);
    assert_eq!(end, End::Between, "what was sent is frames");
    answers_are_frames(&seen, &frames);
    match &seen.requests[..] {
        [] => {}
        [request] => agree(&sent, &fields(&request.head)),
        _ => panic!("one request became several"),
    }
}

/// One line of the text.
fn field(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let colon = line.iter().skip(1).position(|byte| *byte == b':');
    let (name, value) = match colon.map(|at| line.split_at(at + 1)) {
        Some((name, value)) => (name, &value[1..]),
        None => (line, &b""[..]),
    };
    (
        unescape(name),
        unescape(value.strip_prefix(b" ").unwrap_or(value)),
    )
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.iter();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(other) => *other,
                None => b'\\',
            },
            byte => *byte,
        });
    }
    out
}

/// HEADERS and CONTINUATION frames of a request without a body; pieces of `cut` bytes.
fn head_frames(out: &mut Vec<u8>, fields: &[(Vec<u8>, Vec<u8>)], cut: usize) {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal field that is not indexed, with a new name (RFC 7541 section 6.2.2).
        block.push(0);
        for text in [name, value] {
            string(&mut block, text);
        }
    }
    let size = if cut < 2 { 16_384 } else { cut };
    let pieces: Vec<&[u8]> = block.chunks(size).collect();
    let pieces = if pieces.is_empty() {
        vec![&b""[..]]
    } else {
        pieces
    };
    for (index, piece) in pieces.iter().enumerate() {
        let (kind, first) = if index == 0 {
            (frames::HEADERS, frames::END_STREAM)
        } else {
            (9, 0)
        };
        let last = if index + 1 == pieces.len() {
            frames::END_HEADERS
        } else {
            0
        };
        frames::write(out, kind, first | last, 1, piece);
    }
}

/// A string without Huffman coding (RFC 7541 sections 5.1 and 5.2).
fn string(block: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()).ok().filter(|len| *len < 127) {
        Some(len) => block.push(len),
        None => {
            block.push(127);
            let mut left = text.len() - 127;
            while left >= 128 {
                block.push((left % 128) as u8 | 128);
                left /= 128;
            }
            block.push(left as u8);
        }
    }
    block.extend_from_slice(text);
}

/// Whether all that `h2` hands out was sent. It hands out requests that we refuse: it cuts the
/// fragment off a path, puts `/` where there is no path, forgets the scheme where there is no
/// authority, and leaves out a field that is malformed where CONTINUATION frames follow it, for
/// which it should refuse the request.
fn was_sent(handed_out: &[(Vec<u8>, Vec<u8>)], sent: &[(Vec<u8>, Vec<u8>)]) -> bool {
    handed_out.iter().all(|(name, value)| {
        let mut values = sent.iter().filter(|(other, _)| other == name);
        match &name[..] {
            b":scheme" => true,
            b":path" => {
                let before_fragment =
                    |path: &[u8]| path.split(|byte| *byte == b'#').next() == Some(value);
                value == b"/" || values.any(|(_, path)| before_fragment(path))
            }
            _ => values.any(|(_, other)| other == value),
        }
    })
}

/// Both come to the same; or the fields are refused as they were sent, and `h2` hands out some of
/// them.
fn agree(sent: &[(Vec<u8>, Vec<u8>)], handed_out: &[(Vec<u8>, Vec<u8>)]) {
    let ours = judge(&borrowed(sent));
    let theirs = judge(&borrowed(handed_out));
    let is_alike = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (Ok(_), Err(_)) => false,
        (Err(_), _) => was_sent(handed_out, sent),
    };
    let shown = |fields: &[(Vec<u8>, Vec<u8>)]| -> Vec<String> {
        let lines = fields.iter();
        let lines =
            lines.map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()));
        lines.collect()
    };
    assert!(
        is_alike,
        "{:#?}\n{ours:?}\n{:#?}\n{theirs:?}",
        shown(sent),
        shown(handed_out)
    );
}
