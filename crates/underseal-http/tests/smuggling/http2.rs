//! HTTP/2: what a program that speaks HTTP/1.1 behind would read differently (H2.TE, H2.CL).

use underseal_http::http2::{self, Field};
use underseal_http::{PathFault, ReadOptions, Refusal, Scratch};

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
