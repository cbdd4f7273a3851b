//! What tests of exchanges need.

use underseal_http::{Framing, Outgoing, Passage, ReadOptions, Scratch, Version, http2};

/// What goes on of a request without a body.
pub(crate) fn outgoing(method: &[u8]) -> Outgoing {
    let fields: [http2::Field<'_>; 4] = [
        (b":method", method),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"a"),
    ];
    let mut scratch = Scratch::default();
    let request = http2::read(&fields, &ReadOptions::default(), &mut scratch);
    let passage = Passage::new(Version::Http2, Framing::Empty);
    let mut outgoing = Outgoing::default();
    outgoing.write(&request.expect("a request"), &passage);
    outgoing
}
