//! The fuzz targets' entry points as properties, so that every test run drives them.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_message::fuzz;

proptest! {
    #[test]
    fn a_filter_does_as_its_model(
        start in vec(any::<u8>(), 3),
        direction in prop_oneof![Just(0), Just(16)],
        writes in vec(0..40u8, 15),
        script in vec(any::<u8>(), 0..300),
    ) {
        let mut data = [start, writes, script].concat();
        data[2] = 15 | direction;
        fuzz::filter(&data);
    }
}

/// Bytes that a fuzzer would find soon: heads and bodies of HTTP/1.1, whole and in parts.
fn http1_stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "GET / HTTP/1.1\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: a\r\n",
        "\r\n",
        "\r\n",
        "abc",
        "3\r\nabc\r\n",
        "0\r\n",
        "0;x\r\n\r\n",
        "\n",
    ];
    let pieces = vec(proptest::sample::select(pieces.to_vec()), 0..16);
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let put = "PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    let post = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let whole = vec(proptest::sample::select(vec![get, put, post]), 0..6);
    (whole, pieces).prop_map(|(whole, pieces)| [whole.concat(), pieces.concat()].concat().into())
}

proptest! {
    #[test]
    fn every_parser_holds_its_invariants(
        choice in any::<u8>(),
        cut in 0..20u8,
        stream in vec(prop_oneof![0..3u8, 0..30u8, Just(b'a'), Just(b'b')], 0..600),
    ) {
        fuzz::parsers(&[&[choice, cut], &stream[..]].concat());
    }

    #[test]
    fn http1_holds_its_invariants(choice in 0..40u8, stream in http1_stream()) {
        fuzz::http1(&[&[choice], &stream[..]].concat());
    }
}
