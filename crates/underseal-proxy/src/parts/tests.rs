//! What is put into a framing comes out of it again, however it is cut.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, HeaderName, HeaderValue};
use underseal_http::Refusal;
use underseal_http::http1::Chunks;

use super::*;
use crate::chunk::Chunk;
use crate::flow::{Body, Replay};
use crate::policy::Guard;

struct Pieces(VecDeque<Part>);

impl Parts for Pieces {
    fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn poll_part(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

fn pieces(content: &[u8], step: usize, trailers: Option<HeaderMap>) -> Pieces {
    let data = content.chunks(step);
    let data = data.map(|data| Part::Data(Bytes::copy_from_slice(data)));
    Pieces(data.chain(trailers.map(Part::Trailers)).collect())
}

/// The bytes that a body becomes.
fn framed(framer: &mut Framer, mut pieces: Pieces) -> Result<Vec<u8>, Broken> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut text = Vec::new();
    loop {
        let mut chunk = Chunk::default();
        match framer.poll_fill(&mut cx, &mut pieces, &mut chunk) {
            Poll::Ready(Ok(0)) => return Ok(text),
            Poll::Ready(Ok(_)) => text.extend_from_slice(chunk.bytes()),
            Poll::Ready(Err(broken)) => return Err(broken),
            Poll::Pending => panic!("all of it is there"),
        }
    }
}

/// What comes of `text` when it arrives in steps, and what is left of it.
fn unframed(text: &[u8], body: Body, step: usize) -> Result<(Vec<u8>, Unframed), Refusal> {
    let mut unframed = Unframed::new(Chunk::default(), body);
    unframed.replay = Replay::of(&unframed.body);
    let mut content = Vec::new();
    for part in text.chunks(step) {
        assert_eq!(unframed.chunk.append(part), part.len());
        while let Some(data) = unframed.next()? {
            content.extend_from_slice(&data);
        }
    }
    Ok((content, unframed))
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for name in ["x-sum", "x-other", "connection", "host"] {
        trailers.insert(name, HeaderValue::from_static("7"));
    }
    trailers
}

#[test]
fn a_body_comes_out_of_its_framing_as_it_went_in() {
    for length in [0, 1, 10, 4_000, 100_000] {
        let content: Vec<u8> = (0..length).map(|n: u32| (n % 251) as u8).collect();
        for (into, from) in [(1, 7), (16_384, 1), (50_000, 70_000), (7, 100_000)] {
            let of_length = Framer::of_length(content.len() as u64);
            let announced = [&b"X-Sum, connection"[..], b"host"];
            let in_chunks = Framer::in_chunks(announced.into_iter());
            for (mut framer, body) in [
                (of_length, Body::Length(content.len() as u64)),
                (in_chunks, Body::Chunked(Chunks::default())),
                (Framer::until_close(), Body::UntilClose),
            ] {
                let is_chunked = matches!(body, Body::Chunked(_));
                let pieces = pieces(&content, into, Some(trailers()));
                let mut text = framed(&mut framer, pieces).expect("framed");
                assert_eq!(framer.content, content.len() as u64);
                let body = match body {
                    Body::Length(0) => Body::Done,
                    body => body,
                };
                let ends = !matches!(body, Body::UntilClose);
                let len = text.len();
                if ends {
                    text.extend_from_slice(b"GET /next");
                }
                let (out, rest) = unframed(&text, body, from).expect("unframed");
                assert!(out == content, "{length} by {into} and {from}");
                assert_eq!(rest.body.is_done(), ends);
                assert_eq!(rest.taken, len as u64);
                if ends {
                    assert_eq!(rest.chunk.bytes(), b"GET /next");
                }
                // Those that were announced, and are not for the connection.
                assert_eq!(rest.trailers.len(), usize::from(is_chunked));
                assert_eq!(rest.trailers.contains_key("x-sum"), is_chunked);
            }
        }
    }
}

#[test]
fn a_body_is_as_long_as_its_head_says() {
    for (announced, sent) in [(5, 4), (5, 6), (0, 1), (1, 0)] {
        let mut framer = Framer::of_length(announced);
        let pieces = pieces(&vec![b'x'; sent], 3, None);
        let broken = framed(&mut framer, pieces).expect_err("another length");
        assert!(matches!(broken, Broken::Source(_)), "{broken}");
    }
}

#[test]
fn trailers_that_say_who_the_client_is_are_the_clients_fault() {
    let mut evil = HeaderMap::new();
    evil.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
    let pieces = || pieces(b"x", 1, Some(evil.clone()));
    let mut guarded = Framer::in_chunks([].into_iter()).guarded(Guard::new(None));
    let broken = framed(&mut guarded, pieces()).expect_err("refused");
    assert!(matches!(broken, Broken::Trailers), "{broken}");
    let mut response = Framer::in_chunks([].into_iter());
    framed(&mut response, pieces()).expect("dropped");
}

fn many_trailers(count: usize) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for number in 0..count {
        let name = format!("x-{number}").parse::<HeaderName>();
        trailers.insert(name.expect("a name"), HeaderValue::from_static("7"));
    }
    trailers
}

#[test]
fn trailers_and_the_names_that_are_kept_of_them_are_few() {
    let names: Vec<_> = (0..2 * MAX_TRAILERS).map(|n| format!("x-{n}")).collect();
    let names = names.join(",");
    for (sent, passed) in [(MAX_TRAILERS, Some(MAX_TRAILERS)), (MAX_TRAILERS + 1, None)] {
        let mut framer = Framer::in_chunks([names.as_bytes()].into_iter());
        let framed = framed(&mut framer, pieces(b"x", 1, Some(many_trailers(sent))));
        let count = |text: Vec<u8>| text.windows(4).filter(|part| part == b": 7\r").count();
        assert_eq!(framed.ok().map(count), passed, "{sent}");
    }
    // The library may have cut it short, which it does not say.
    let mut long = HeaderMap::new();
    for name in ["x-1", "x-2"] {
        let value = HeaderValue::from_bytes(&[b'7'; MAX_TRAILERS_SIZE / 2]);
        long.insert(name, value.expect("a value"));
    }
    let mut framer = Framer::in_chunks([names.as_bytes()].into_iter());
    let broken = framed(&mut framer, pieces(b"x", 1, Some(long))).expect_err("too much");
    assert!(matches!(broken, Broken::Trailers), "{broken}");
    // The last of those that are announced is none of those that are kept.
    let mut late = HeaderMap::new();
    late.insert("x-150", HeaderValue::from_static("7"));
    let mut framer = Framer::in_chunks([names.as_bytes()].into_iter());
    let text = framed(&mut framer, pieces(b"", 1, Some(late))).expect("framed");
    assert_eq!(text, b"0\r\n\r\n");
}

#[test]
fn what_is_no_chunk_has_no_parts() {
    for text in [&b"3\r\nabcX\r\n"[..], b"x\r\n", b"0\r\nHost: a\r\n\r\n"] {
        let chunked = Body::Chunked(Chunks::default());
        let read = unframed(text, chunked, 1).map(drop);
        assert_eq!(read.expect_err("no chunk"), Refusal::Chunk);
    }
}

#[test]
fn a_short_body_can_be_taken_once_more() {
    let text = b"3\r\nabc\r\n0\r\nX: y\r\n\r\nGET /next";
    let chunked = Body::Chunked(Chunks::default());
    let (_, taken) = unframed(text, chunked, 4).expect("chunks");
    let start = taken.replay.start(&taken.chunk).expect("all of it");
    assert_eq!(start.bytes(), text);
    let long = vec![b'x'; 100_000];
    let (_, taken) = unframed(&long, Body::UntilClose, 50_000).expect("bytes");
    assert!(taken.replay.start(&taken.chunk).is_none());
}
