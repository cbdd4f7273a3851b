//! Programs that end a stream: README's example, and what a task that reads is told.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::Error;
use underseal::message::{ByMessage, Denied, Filter, LengthPrefixed, Message, MessageDirection};
use underseal::message::{ParseError, Peer, Program, StreamParser, Verdict};

use crate::pairs::{pair, pattern, soon};

const LONGEST: usize = 2 + 65_535;

/// README's: nothing but queries comes in.
fn queries_only(max: u64) -> impl Program<Peer> + Send + 'static {
    let parser = StreamParser::new(LengthPrefixed::dns(), max);
    ByMessage::new(parser, |message: &mut Message<'_>| {
        match message.pull(4..5) {
            Ok([flags]) if flags & 0x80 == 0 => Verdict::<Peer>::Pass,
            _ => Verdict::Drop,
        }
    })
}

/// A query of `len` bytes, and its length before it.
fn query(len: u16) -> Vec<u8> {
    let mut query = [&len.to_be_bytes()[..], &pattern(len.into())].concat();
    query[4] = 0;
    query
}

#[tokio::test(start_paused = true)]
async fn the_longest_query_and_the_one_behind_it_arrive_whole() {
    let (mut server, mut client) = pair(20_000).await;
    let refused = server.attach(Filter::ingress(queries_only(LONGEST as u64)));
    let expected = (
        65_537,
        Filter::<fn(&mut Message<'_>) -> Verdict>::DEFAULT_CORK_LIMIT,
    );
    match refused {
        Err(Error::CorkLimit { longest, limit }) => assert_eq!((longest, limit), expected),
        other => panic!("{other:?}"),
    }
    let filter = Filter::ingress(queries_only(LONGEST as u64)).cork_limit(LONGEST);
    server.attach(filter).unwrap();
    let queries = [query(65_535), query(12)].concat();
    let send = async {
        client.write_all(&queries).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let ((), read) = soon(async { tokio::join!(send, server.read_to_end(&mut got)) }).await;
    read.unwrap();
    assert!(got == queries, "{} bytes of {}", got.len(), queries.len());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_reads_is_told_why_after_what_passed() {
    let (mut server, mut client) = pair(20_000).await;
    server.attach(Filter::ingress(queries_only(100))).unwrap();
    let good = query(50);
    client.write_all(&good).await.unwrap();
    client.write_all(&query(99)).await.unwrap();
    client.write_all(&good).await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    let error = soon(server.read_to_end(&mut got)).await.unwrap_err();
    assert_eq!(got, good);
    let reason = ParseError::TooLong { len: 101, max: 100 };
    assert!(
        matches!(Error::of(&error), Some(Error::Denied(Denied::Ended(why))) if why == reason),
        "{error}"
    );
}

/// It would wait for ever: nobody reads there any more.
#[tokio::test(start_paused = true)]
async fn nothing_is_redirected_to_a_reader_whose_program_ended_the_stream() {
    let (mut server, mut client) = pair(20_000).await;
    let redirects = server.redirect_peer(100);
    server.attach(Filter::ingress(queries_only(10))).unwrap();
    client.write_all(&query(99)).await.unwrap();
    soon(server.read_u8()).await.unwrap_err();
    assert!(redirects.is_closed(MessageDirection::Ingress));
    assert!(!redirects.is_closed(MessageDirection::Egress));
}
