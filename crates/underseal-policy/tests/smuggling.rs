//! Request smuggling: heads that programs have been seen to read differently, each refused with
//! its reason, or read in the one right way. From RFC 9110 to 9113 and from known classes of CVEs;
//! the classes are named as the literature names them.

use proptest::prelude::*;
use underseal_policy::http2::Field;
use underseal_policy::{Framing, PathFault, ReadOptions, Refusal, Scratch, http1, http2};

/// What the head that `bytes` begins with comes to, if it is whole.
fn outcome(bytes: &[u8]) -> Result<Option<(usize, Vec<u8>, Framing)>, Refusal> {
    let mut scratch = Scratch::default();
    let head = http1::read(bytes, &ReadOptions::default(), &mut scratch)?;
    Ok(head.map(|head| {
        let path = head.request().path().unwrap_or(b"").to_vec();
        (head.len(), path, head.framing())
    }))
}

/// The refusal of a request with these fields after `Host: a`.
fn fields(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n").into_bytes()
}

/// The refusal of a GET of `target`, whose Host is `a`.
fn target(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// Name, head and why it is refused.
fn refused() -> Vec<(&'static str, Vec<u8>, Refusal)> {
    use Refusal as R;
    let raw = |text: &str| text.as_bytes().to_vec();
    let path = |fault| R::Path(fault);
    vec![
        // Lengths: CL.TE, TE.CL, TE.TE, CL.CL.
        (
            "CL.TE",
            fields("Content-Length: 6\r\nTransfer-Encoding: chunked"),
            R::BothLengths,
        ),
        (
            "TE.CL",
            fields("Transfer-Encoding: chunked\r\nContent-Length: 6"),
            R::BothLengths,
        ),
        (
            "CL.0 with TE",
            fields("Content-Length: 0\r\ntransfer-encoding: chunked"),
            R::BothLengths,
        ),
        (
            "CL.CL, different",
            fields("Content-Length: 6\r\nContent-Length: 5"),
            R::SeveralLengths,
        ),
        (
            "CL.CL, alike",
            fields("Content-Length: 6\r\nContent-Length: 6"),
            R::SeveralLengths,
        ),
        ("CL list", fields("Content-Length: 6, 6"), R::SeveralLengths),
        ("CL with a sign", fields("Content-Length: +6"), R::Length),
        ("CL below zero", fields("Content-Length: -6"), R::Length),
        ("CL hexadecimal", fields("Content-Length: 0x6"), R::Length),
        (
            "CL with a space within",
            fields("Content-Length: 1 0"),
            R::Length,
        ),
        (
            "CL with a fraction",
            fields("Content-Length: 6.0"),
            R::Length,
        ),
        (
            "CL with an underscore",
            fields("Content-Length: 1_0"),
            R::Length,
        ),
        ("CL without digits", fields("Content-Length:"), R::Length),
        (
            "CL beyond 64 bits",
            fields("Content-Length: 18446744073709551622"),
            R::Length,
        ),
        (
            "TE another coding",
            fields("Transfer-Encoding: identity"),
            R::TransferEncoding,
        ),
        (
            "TE two codings",
            fields("Transfer-Encoding: gzip, chunked"),
            R::TransferEncoding,
        ),
        (
            "TE chunked not last",
            fields("Transfer-Encoding: chunked, identity"),
            R::TransferEncoding,
        ),
        (
            "TE.TE, twice",
            fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: x"),
            R::TransferEncoding,
        ),
        (
            "TE.TE, alike",
            fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            R::TransferEncoding,
        ),
        (
            "TE xchunked",
            fields("Transfer-Encoding: xchunked"),
            R::TransferEncoding,
        ),
        (
            "TE in quotes",
            fields("Transfer-Encoding: \"chunked\""),
            R::TransferEncoding,
        ),
        (
            "TE with a parameter",
            fields("Transfer-Encoding: chunked;a=b"),
            R::TransferEncoding,
        ),
        (
            "TE empty",
            fields("Transfer-Encoding:"),
            R::TransferEncoding,
        ),
        (
            "TE with a vertical tab",
            fields("Transfer-Encoding:\x0bchunked"),
            R::FieldValue,
        ),
        (
            "TE in HTTP/1.0",
            raw("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            R::TransferEncoding,
        ),
        // Names and colons.
        (
            "space before the colon",
            fields("Content-Length : 6"),
            R::SpaceBeforeColon,
        ),
        (
            "tab before the colon",
            fields("Transfer-Encoding\t: chunked"),
            R::SpaceBeforeColon,
        ),
        (
            "space within a name",
            fields("Transfer Encoding: chunked"),
            R::FieldName,
        ),
        (
            "NUL in a name",
            fields("Transfer-Encoding\0: chunked"),
            R::FieldName,
        ),
        (
            "a name without colon",
            fields("Transfer-Encoding chunked"),
            R::FieldName,
        ),
        ("no name", fields(": chunked"), R::FieldName),
        ("a name in quotes", fields("\"Host\": b"), R::FieldName),
        (
            "a name that is no ASCII",
            fields("Transfer\u{2010}Encoding: chunked"),
            R::FieldName,
        ),
        // Lines.
        ("obs-fold, space", fields("X: a\r\n b"), R::LineFolding),
        (
            "obs-fold, tab",
            fields("Transfer-Encoding: chunked\r\n\t, identity"),
            R::LineFolding,
        ),
        (
            "obs-fold of the first field",
            raw("GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
            R::LineFolding,
        ),
        (
            "LF alone after the request line",
            raw("GET / HTTP/1.1\nHost: a\r\n\r\n"),
            R::BareLineFeed,
        ),
        (
            "LF alone after a field",
            raw("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
            R::BareLineFeed,
        ),
        (
            "LF alone at the end",
            raw("GET / HTTP/1.1\r\nHost: a\r\n\n"),
            R::BareLineFeed,
        ),
        (
            "LF alone within a value",
            fields("X: a\nTransfer-Encoding: chunked"),
            R::BareLineFeed,
        ),
        (
            "CR alone within a value",
            fields("X: a\rTransfer-Encoding: chunked"),
            R::BareCarriageReturn,
        ),
        ("CR CR LF", fields("X: a\r\r\nY: b"), R::BareCarriageReturn),
        ("NUL in a value", fields("X: a\0b"), R::FieldValue),
        ("escape in a value", fields("X: a\x1b[2Jb"), R::FieldValue),
        // Request lines.
        (
            "an empty line first",
            raw("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::RequestLine,
        ),
        (
            "LF first",
            raw("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::RequestLine,
        ),
        (
            "space first",
            raw(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::RequestLine,
        ),
        (
            "two spaces",
            raw("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::RequestLine,
        ),
        (
            "two spaces before the version",
            raw("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::RequestLine,
        ),
        (
            "tab for a space",
            raw("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::RequestLine,
        ),
        (
            "space at the end",
            raw("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
            R::RequestLine,
        ),
        (
            "a method that is no token",
            raw("G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::RequestLine,
        ),
        (
            "a second version",
            raw("GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::RequestLine,
        ),
        ("HTTP/0.9", raw("GET /\r\n\r\n"), R::RequestLine),
        (
            "HTTP/2.0",
            raw("GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
            R::Version,
        ),
        (
            "HTTP/1.2",
            raw("GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
            R::Version,
        ),
        (
            "http/1.1",
            raw("GET / http/1.1\r\nHost: a\r\n\r\n"),
            R::Version,
        ),
        (
            "HTTP/01.1",
            raw("GET / HTTP/01.1\r\nHost: a\r\n\r\n"),
            R::Version,
        ),
        (
            "the preface of HTTP/2",
            raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            R::Version,
        ),
        // Hosts.
        ("no Host", raw("GET / HTTP/1.1\r\nX: y\r\n\r\n"), R::NoHost),
        (
            "no Host in HTTP/1.0",
            raw("GET / HTTP/1.0\r\n\r\n"),
            R::NoHost,
        ),
        ("two Hosts", fields("Host: b"), R::SeveralHosts),
        ("two Hosts, alike", fields("host: a"), R::SeveralHosts),
        (
            "an empty Host",
            raw("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
            R::Host,
        ),
        (
            "a list of Hosts",
            raw("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
            R::Host,
        ),
        (
            "user information in Host",
            raw("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
            R::Host,
        ),
        (
            "a path in Host",
            raw("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            R::Host,
        ),
        (
            "a port that is none",
            raw("GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n"),
            R::Host,
        ),
        (
            "another host in the target",
            target("http://b/"),
            R::HostDisagrees,
        ),
        (
            "another port in the target",
            target("http://a:81/"),
            R::HostDisagrees,
        ),
        (
            "CONNECT elsewhere",
            raw("CONNECT b:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
            R::HostDisagrees,
        ),
        (
            "Connection: Host",
            fields("Connection: close, Host"),
            R::Connection,
        ),
        (
            "Connection: Content-Length",
            fields("Connection: content-length"),
            R::Connection,
        ),
        (
            "Connection: Transfer-Encoding",
            fields("Connection: Transfer-Encoding"),
            R::Connection,
        ),
        // Targets.
        ("a relative path", target("a/b"), R::Target),
        ("`*` without OPTIONS", target("*"), R::Target),
        ("another scheme", target("ftp://a/"), R::Target),
        ("a scheme without slashes", target("http:a"), R::Target),
        ("an authority without CONNECT", target("a:80"), R::Target),
        (
            "a path with CONNECT",
            raw("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::Target,
        ),
        (
            "CONNECT without port",
            raw("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
            R::Target,
        ),
        (
            "user information in the target",
            target("http://a@a/"),
            R::Target,
        ),
        ("a fragment", target("/a#b"), R::Target),
        ("a fragment in the query", target("/a?b#c"), R::Target),
        // Paths.
        (
            "an encoded slash",
            target("/a%2fb"),
            path(PathFault::EncodedSlash),
        ),
        (
            "an encoded slash to climb",
            target("/a/..%2fadmin"),
            path(PathFault::EncodedSlash),
        ),
        (
            "an encoded backslash",
            target("/a%5c..%5cadmin"),
            path(PathFault::EncodedBackslash),
        ),
        (
            "a backslash",
            target("/a\\..\\admin"),
            path(PathFault::Byte),
        ),
        (
            "an encoded NUL",
            target("/admin%00.png"),
            path(PathFault::EncodedControl),
        ),
        (
            "an encoded CR LF",
            target("/a%0d%0aX:%20y"),
            path(PathFault::EncodedControl),
        ),
        (
            "`..;`",
            target("/public/..;/admin"),
            path(PathFault::DotParameter),
        ),
        ("half an escape", target("/a%2"), path(PathFault::Percent)),
        (
            "overlong UTF-8 in raw bytes",
            target("/\u{c0}\u{ae}"),
            path(PathFault::Byte),
        ),
    ]
}

#[test]
fn every_ambiguous_head_is_refused_with_its_reason() {
    let wrong: Vec<_> = refused()
        .into_iter()
        .map(|(name, head, refusal)| (name, outcome(&head), refusal))
        .filter(|(_, outcome, refusal)| *outcome != Err(*refusal))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_refused_head_is_refused_however_it_arrives() {
    for (name, head, _) in refused() {
        for len in 0..head.len() {
            let part = outcome(&head[..len]);
            assert!(
                !matches!(part, Ok(Some(_))),
                "{name}: {len} bytes of it are taken for a head"
            );
        }
    }
}

#[test]
fn what_has_one_reading_is_read_so() {
    for (name, head, path, framing) in [
        ("no body", target("/a"), "/a", Framing::Empty),
        (
            "a length",
            fields("Content-Length: 007"),
            "/",
            Framing::Length(7),
        ),
        (
            "chunks",
            fields("transfer-ENCODING:  Chunked \t"),
            "/",
            Framing::Chunked,
        ),
        (
            "dot segments",
            target("/a/%2e%2e/./b"),
            "/b",
            Framing::Empty,
        ),
        ("many slashes", target("//a//b"), "/a/b", Framing::Empty),
        (
            "encoded twice",
            target("/%252e%252e/b"),
            "/%252e%252e/b",
            Framing::Empty,
        ),
        (
            "absolute-form",
            target("HTTP://A:80/b?c"),
            "/b",
            Framing::Empty,
        ),
        (
            "absolute-form without path",
            target("http://a"),
            "/",
            Framing::Empty,
        ),
        (
            "a query that looks like a path",
            target("/a?/../b%2f"),
            "/a",
            Framing::Empty,
        ),
        (
            "overlong UTF-8, encoded",
            target("/%c0%ae"),
            "/%C0%AE",
            Framing::Empty,
        ),
        (
            "the server",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            "*",
            Framing::Empty,
        ),
        (
            "a tunnel",
            b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_vec(),
            "",
            Framing::Empty,
        ),
        (
            "HTTP/1.0",
            b"GET / HTTP/1.0\r\nHost: a\r\n\r\n".to_vec(),
            "/",
            Framing::Empty,
        ),
        (
            "a field that only looks like one",
            fields("X-Transfer-Encoding: x"),
            "/",
            Framing::Empty,
        ),
    ] {
        let expected = (head.len(), path.as_bytes().to_vec(), framing);
        assert_eq!(outcome(&head), Ok(Some(expected.clone())), "{name}");
        let next = [&head[..], b"GET /next HTTP/1.1\r\n"].concat();
        assert_eq!(
            outcome(&next),
            Ok(Some(expected)),
            "{name}, and another after it"
        );
        for len in 0..head.len() {
            assert_eq!(outcome(&head[..len]), Ok(None), "{name}: {len} bytes of it");
        }
    }
}

#[test]
fn heads_are_bounded() {
    let long = fields(&format!("X: {}", "a".repeat(33_000)));
    assert_eq!(outcome(&long), Err(Refusal::HeadTooLong));
    assert_eq!(outcome(&long[..32 * 1024]), Err(Refusal::HeadTooLong));
    assert_eq!(outcome(&long[..32 * 1024 - 1]), Ok(None));
    let many = fields(&"X: y\r\n".repeat(100));
    assert_eq!(outcome(&many), Err(Refusal::TooManyFields));
    let path = target(&format!("/{}/../b", "a".repeat(9000)));
    assert_eq!(outcome(&path), Err(Refusal::Path(PathFault::TooLong)));
}

/// The head of an HTTP/2 request for `https://a/`, with `more` after it.
fn h2(more: &[Field<'_>]) -> Result<Vec<u8>, Refusal> {
    let mut fields: Vec<Field<'_>> = vec![
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"a"),
        (b":path", b"/"),
    ];
    fields.extend_from_slice(more);
    h2_raw(&fields)
}

fn h2_raw(fields: &[Field<'_>]) -> Result<Vec<u8>, Refusal> {
    let mut scratch = Scratch::default();
    let request = http2::read(fields, &ReadOptions::default(), &mut scratch)?;
    Ok(request.path().unwrap_or(b"").to_vec())
}

#[test]
fn fields_that_http1_would_read_differently_are_refused_in_http2() {
    use Refusal as R;
    for (name, value, refusal) in [
        (
            &b"transfer-encoding"[..],
            &b"chunked"[..],
            R::ConnectionField,
        ), // H2.TE
        (b"connection", b"close", R::ConnectionField),
        (b"upgrade", b"h2c", R::ConnectionField),
        (b"te", b"gzip", R::ConnectionField),
        (b"content-length", b"5, 5", R::Length), // H2.CL
        (b"x", b"a\r\nTransfer-Encoding: chunked", R::FieldValue), // CRLF injection
        (b"x", b"a\nb", R::FieldValue),
        (b"x", b"a\0b", R::FieldValue),
        (b"x", b" a", R::FieldValue),
        (b"x", b"a ", R::FieldValue),
        (b"x: y\r\nhost", b"b", R::FieldName),
        (b"Transfer-Encoding", b"chunked", R::FieldName),
        (b"x y", b"z", R::FieldName),
        (b"", b"z", R::FieldName),
        (b"host", b"b", R::HostDisagrees),
        (b"host", b"a:80", R::HostDisagrees),
        (b":path", b"/admin", R::PseudoField),
        (b":status", b"200", R::PseudoField),
    ] {
        assert_eq!(
            h2(&[(name, value)]),
            Err(refusal),
            "{}",
            String::from_utf8_lossy(name)
        );
    }
    assert_eq!(h2(&[(b"x", b"y"), (b":path", b"/b")]), Err(R::PseudoField));
    assert_eq!(
        h2(&[(b"host", b"a"), (b"host", b"a")]),
        Err(R::SeveralHosts)
    );
    assert_eq!(
        h2(&[(b"content-length", b"1"), (b"content-length", b"1")]),
        Err(R::SeveralLengths)
    );
    assert_eq!(
        h2(&[(b"host", b"A:443"), (b"te", b"trailers")]),
        Ok(b"/".to_vec())
    );
}

#[test]
fn pseudo_fields_make_a_request_or_nothing() {
    use Refusal as R;
    let get = |path: &'static [u8]| -> Vec<Field<'static>> {
        vec![
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"a"),
            (b":path", path),
        ]
    };
    for (index, refusal) in [R::PseudoField, R::PseudoField, R::NoHost, R::PseudoField]
        .into_iter()
        .enumerate()
    {
        let mut fields = get(b"/");
        fields.remove(index);
        assert_eq!(h2_raw(&fields), Err(refusal), "without field {index}");
    }
    assert_eq!(h2_raw(&get(b"/a/../b?c")), Ok(b"/b".to_vec()));
    assert_eq!(h2_raw(&get(b"")), Err(R::Target));
    assert_eq!(h2_raw(&get(b"*")), Err(R::Target));
    assert_eq!(h2_raw(&get(b"http://a/")), Err(R::Target));
    assert_eq!(h2_raw(&get(b"/a b")), Err(R::Path(PathFault::Byte)));
    assert_eq!(
        h2_raw(&get(b"/a%2fb")),
        Err(R::Path(PathFault::EncodedSlash))
    );
    let mut method = get(b"/");
    method[0].1 = b"GET / HTTP/1.1\r\nX:";
    assert_eq!(h2_raw(&method), Err(R::Method));
    let tunnel: [Field<'_>; 2] = [(b":method", b"CONNECT"), (b":authority", b"a:1")];
    assert_eq!(h2_raw(&tunnel), Ok(Vec::new()));
    let mut websocket = get(b"/chat");
    websocket[0].1 = b"CONNECT";
    assert_eq!(h2_raw(&websocket), Err(R::Target));
    websocket.insert(0, (b":protocol", b"websocket"));
    assert_eq!(h2_raw(&websocket), Ok(b"/chat".to_vec()));
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
        let whole = outcome(head.as_bytes());
        for len in 0..head.len() {
            match (&whole, outcome(&head.as_bytes()[..len])) {
                (Ok(Some((end, ..))), Ok(Some(part))) => {
                    prop_assert!(len >= *end);
                    prop_assert_eq!(&Ok(Some(part)), &whole);
                }
                (Ok(Some((end, ..))), Ok(None)) => prop_assert!(len < *end),
                (_, Ok(Some(part))) => prop_assert!(false, "{:?} of {:?}", part, head),
                (Ok(Some(_)), Err(refusal)) => prop_assert!(false, "{} of {:?}", refusal, head),
                (_, Ok(None) | Err(_)) => {}
            }
        }
    }

    #[test]
    fn normal_form_is_normal(path in "/([a./;]|%2[eEfF5]|%[0-9A-Fa-f]{2}|\\.\\.){0,12}", merge in any::<bool>()) {
        let options = underseal_policy::PathOptions {
            merge_slashes: merge,
            encoded_slash: true,
            encoded_backslash: true,
            encoded_control: true,
        };
        let mut out = vec![0; path.len()];
        if let Ok(normal) = underseal_policy::normalise(path.as_bytes(), &options, &mut out) {
            let normal = normal.to_vec();
            let mut again = vec![0; normal.len()];
            let twice = underseal_policy::normalise(&normal, &options, &mut again);
            prop_assert_eq!(twice, Ok(&normal[..]));
            prop_assert_eq!(normal.first(), Some(&b'/'));
            let climbs = normal.split(|b| *b == b'/').any(|s| s == b"." || s == b"..");
            prop_assert!(!climbs);
        }
    }
}
