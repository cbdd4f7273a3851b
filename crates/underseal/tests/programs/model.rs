//! Random programs, writes, reads and sockets: what comes out is what the filter alone makes of the
//! same bytes.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::message::{ByMessage, Filter, LengthPrefixed, Message, Peer, Program, StreamParser};
use underseal::message::{Verdict, Width};

use crate::pairs::{pair, soon};

/// One byte of length, then so many bytes.
fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let body = prop::collection::vec(any::<u8>(), 1..200);
    prop::collection::vec(body, 1..60)
}

fn encode(messages: &[Vec<u8>]) -> Vec<u8> {
    let encoded = messages
        .iter()
        .map(|body| [&[body.len() as u8][..], body].concat());
    encoded.collect::<Vec<_>>().concat()
}

/// By the first byte of each message: drops it, cuts it, lengthens it, or lets it pass.
fn judge(body: &[u8]) -> Option<Vec<u8>> {
    let encoded = [&[body.len() as u8][..], body].concat();
    match body[0] % 4 {
        0 => None,
        1 => Some(encoded[..1].to_vec()),
        2 => Some([&encoded[..], b"+++"].concat()),
        _ => Some(encoded),
    }
}

/// The same as a program; on egress nothing is dropped, so that every write is taken.
fn program(may_drop: bool) -> impl Program<Peer> + Send + 'static {
    let parser = StreamParser::new(LengthPrefixed::new(Width::U8), 256);
    ByMessage::new(parser, move |message: &mut Message<'_>| {
        let len = message.len();
        let first = message.pull(1..2).unwrap()[0];
        match first % 4 {
            0 if may_drop => return Verdict::<Peer>::Drop,
            1 => message.pop(1..len).unwrap(),
            2 => message.push(len, b"+++").unwrap(),
            _ => {}
        }
        Verdict::Pass
    })
}

fn expected(messages: &[Vec<u8>], may_drop: bool) -> Vec<u8> {
    let judged = messages.iter().filter_map(|body| match judge(body) {
        None if !may_drop => Some([&[body.len() as u8][..], body].concat()),
        judged => judged,
    });
    judged.collect::<Vec<_>>().concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_is_judged_once_in_order(
        messages in messages(),
        capacity in 1_000..20_000usize,
        sizes in prop::collection::vec(1..3_000usize, 1..10),
        on_egress in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let got = runtime.block_on(soon(async {
            let (mut server, mut client) = pair(capacity).await;
            match on_egress {
                true => client.attach(Filter::egress(program(false))).unwrap(),
                false => server.attach(Filter::ingress(program(true))).unwrap(),
            }
            let bytes = encode(&messages);
            let send = async {
                let mut rest = &bytes[..];
                for size in sizes.iter().cycle() {
                    let (now, later) = rest.split_at(rest.len().min(*size));
                    client.write_all(now).await.unwrap();
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                client.shutdown().await.unwrap();
            };
            let receive = async {
                let mut got = Vec::new();
                for size in sizes.iter().rev().cycle() {
                    let mut buffer = vec![0; *size];
                    match server.read(&mut buffer).await.unwrap() {
                        0 => break,
                        n => got.extend_from_slice(&buffer[..n]),
                    }
                }
                got
            };
            let ((), got) = tokio::join!(send, receive);
            got
        }));
        prop_assert_eq!(got, expected(&messages, !on_egress));
    }
}
