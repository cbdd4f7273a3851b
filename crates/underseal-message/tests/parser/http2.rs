use underseal_message::{Boundary, Http2, StreamParser};

use crate::run::{assert_messages, refusal};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(len: usize) -> Vec<u8> {
    let length = u32::try_from(len).expect("frames are short").to_be_bytes();
    [&length[1..], &[0, 0, 0, 0, 0, 1], &vec![7; len]].concat()
}

#[test]
fn a_client_sends_a_preface_and_frames() {
    let stream = [PREFACE, &frame(0), &frame(300), &frame(1)].concat();
    assert_messages(Http2::client, &stream, &[24, 9, 309, 10]);
    assert_messages(Http2::server, &stream[24..], &[9, 309, 10]);
}

#[test]
fn another_protocol_is_refused_at_its_first_wrong_byte() {
    let mut parser = StreamParser::new(Http2::client(), 100);
    assert_eq!(parser.next(b"P"), Ok(Boundary::Needs(23)));
    let error = parser.next(b"OST / HTTP/1.1\r\n").unwrap_err();
    assert_eq!(error.to_string(), "malformed: not the preface of HTTP/2");
}

#[test]
fn a_frame_may_be_as_long_as_was_announced() {
    assert_messages(Http2::server, frame(16_384), &[9 + 16_384]);
    let why = "a length of 16385: more than the maximum frame size";
    assert_eq!(refusal(Http2::server, frame(16_385)), why);
    let announced = || Http2::server().max_frame_size(16_385);
    assert_messages(announced, frame(16_385), &[9 + 16_385]);
    // Once its length is there.
    let mut parser = StreamParser::new(Http2::server(), 1 << 20);
    assert_eq!(parser.next(&[0xff, 0xff]), Ok(Boundary::Needs(7)));
    assert!(parser.next(&[0xff]).is_err());
}

#[test]
fn a_setting_holds_for_what_comes_after_it() {
    let mut parser = StreamParser::new(Http2::server(), 1 << 20);
    parser.parser_mut().set_max_frame_size(20_000);
    assert_eq!(parser.next(&frame(20_000)), Ok(Boundary::Ends(20_009)));
}
