//! `send_file`.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal_testkit::Suite;

use crate::pairs::{both, pattern, with_record_peer, with_tokio_rustls};

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// Ranges with nothing, with odd ends, over many batches, and past the end of a file of 1 MiB.
fn ranges() -> Vec<Range<u64>> {
    const MIB: u64 = 1 << 20;
    vec![
        0..0,
        5..5,
        0..1,
        1..2,
        13..4_110,
        16_384..32_768,
        16_383..32_769,
        65_535..65_537,
        1..MIB - 1,
        0..MIB,
        MIB - 1..MIB,
        MIB..MIB + 10,
        MIB - 7..MIB + 1_000_000,
        0..u64::MAX,
        MIB * 50..MIB * 60,
        Range { start: 9, end: 3 },
    ]
}

fn expected(content: &[u8], range: &Range<u64>) -> Vec<u8> {
    let end = range.end.min(content.len() as u64) as usize;
    let start = range.start.min(end as u64) as usize;
    content[start..end].to_vec()
}

#[test]
fn blocking_streams_send_the_bytes_of_the_range() {
    let content = pattern(1 << 20);
    let mut file = file_of(&content);
    file.seek(SeekFrom::Start(3)).unwrap();
    for suite in Suite::ALL {
        for range in ranges() {
            let (mut stream, mut peer) = with_record_peer(suite, 1 << 22);
            let sent = stream.send_file(&file, range.clone()).unwrap();
            stream.shutdown().unwrap();
            let (received, closed) = peer.receive_data();
            assert!(closed);
            assert!(
                received == expected(&content, &range),
                "{suite:?} {range:?}"
            );
            assert_eq!(sent, received.len() as u64);
        }
    }
    assert_eq!(
        file.stream_position().unwrap(),
        3,
        "the cursor stays where it was"
    );
}

#[tokio::test]
async fn tokio_streams_send_the_bytes_of_the_range() {
    let content = pattern(1 << 20);
    let file = file_of(&content);
    for suite in Suite::EACH_VERSION {
        for range in ranges() {
            let (mut stream, mut peer) = with_tokio_rustls(suite, 30_000).await;
            let send = async {
                let sent = stream.send_file(&file, range.clone()).await.unwrap();
                stream.shutdown().await.unwrap();
                sent
            };
            let mut received = Vec::new();
            let (sent, end) = both(send, peer.read_to_end(&mut received)).await;
            end.unwrap();
            assert!(
                received == expected(&content, &range),
                "{suite:?} {range:?}"
            );
            assert_eq!(sent, received.len() as u64);
        }
    }
}

#[test]
fn files_and_writes_take_turns() {
    let content = pattern(100_000);
    let file = file_of(&content);
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 22);
        stream.write_all(b"head").unwrap();
        stream.send_file(&file, 10..90_000).unwrap();
        stream.write_all(b"tail").unwrap();
        stream.send_file(&file, 0..7).unwrap();
        stream.shutdown().unwrap();
        let whole = [b"head", &content[10..90_000], b"tail", &content[..7]].concat();
        assert!(peer.receive_data() == (whole, true));
    }
}

/// A file that loses its end while it is sent: what is there is sent, and the count says so.
#[test]
fn a_file_that_shrinks_is_sent_as_far_as_it_goes() {
    const MIB: usize = 1 << 20;
    let content = pattern(4 * MIB);
    for suite in Suite::EACH_VERSION {
        let file = file_of(&content);
        let own = file.try_clone().unwrap();
        let (mut stream, mut peer) = with_record_peer(suite, 20_000);
        let sender = thread::spawn(move || {
            let sent = stream.send_file(&own, 0..4 * MIB as u64).unwrap();
            stream.shutdown().unwrap();
            sent
        });
        // The first record is here, so the transfer is under way, and most of it is blocked.
        let mut received = Vec::new();
        while received.is_empty() {
            let (content_type, data) = peer.receive().unwrap();
            if content_type == 23 {
                received = data;
            }
        }
        file.set_len(MIB as u64 + 11).unwrap();
        let (rest, closed) = peer.receive_data();
        received.extend(rest);
        assert!(closed, "the connection is fine, the file is short");
        let sent = sender.join().unwrap() as usize;
        assert_eq!(sent, MIB + 11);
        assert!(received == content[..sent]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_the_stream_goes_on() {
    let directory = File::open("/").unwrap();
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 16);
        let error = stream.send_file(&directory, 0..10).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::IsADirectory);
        stream.write_all(b"500").unwrap();
        stream.shutdown().unwrap();
        assert_eq!(peer.receive_data(), (b"500".to_vec(), true));
    }
}
