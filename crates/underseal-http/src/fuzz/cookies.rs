//! Cookies, in one line or in crumbs.

use crate::{Framing, Outgoing, Passage, ReadOptions, Request, Scratch, Version, http1, http2};

/// A name that the fuzzer finds.
const NAME: &[u8] = b"a";

/// Takes each line of arbitrary bytes for a line of cookies.
///
/// They go on in one line, in which the same cookies are found as in what came, whichever version they came
/// in and go on in.
pub fn cookies(data: &[u8]) {
    let lines: Vec<_> = data.split(|byte| *byte == b'\n').collect();
    let mut scratch = Scratch::default();
    let options = ReadOptions::default();
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for line in &lines {
        head.extend([b"Cookie: ", *line, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    if let Ok(Some(read)) = http1::read(&head, &options, &mut scratch) {
        go_on_in_one_line(&read.request());
    }
    let pseudo: [http2::Field<'_>; 4] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/"),
        (b":authority", b"a"),
    ];
    let crumbs = lines.iter().map(|line| (&b"cookie"[..], *line));
    let fields: Vec<_> = pseudo.into_iter().chain(crumbs).collect();
    if let Ok(request) = http2::read(&fields, &options, &mut scratch) {
        go_on_in_one_line(&request);
    }
}

fn go_on_in_one_line(request: &Request<'_>) {
    let mut outgoing = Outgoing::default();
    for version in [Version::Http11, Version::Http2] {
        outgoing.write(request, &Passage::new(version, Framing::Empty));
        let judged = outgoing.request();
        assert!(judged.header(b"cookie").count() <= 1, "crumbs");
        assert!(
            judged.cookie(NAME).eq(request.cookie(NAME)),
            "other cookies"
        );
        let lines: Vec<_> = request.header(b"cookie").collect();
        let line = lines.into_iter().filter(|line| !line.is_empty());
        let line = line.collect::<Vec<_>>().join(&b"; "[..]);
        assert_eq!(judged.header(b"cookie").next().unwrap_or_default(), line);
    }
}
