//! `send_file`.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{on_tokio, pattern};

pub(crate) fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

const LEN: u64 = 300_001;

/// Ranges with nothing, with odd ends, over record and page boundaries, and past the end.
fn ranges() -> Vec<Range<u64>> {
    vec![
        0..0,
        5..5,
        0..1,
        1..2,
        13..4_110,
        4_095..4_097,
        16_384..32_768,
        16_383..32_769,
        65_535..65_537,
        1..LEN - 1,
        0..LEN,
        LEN - 1..LEN,
        LEN..LEN + 10,
        LEN - 7..LEN + 1_000_000,
        200_003..u64::MAX,
        LEN * 50..LEN * 60,
        Range { start: 9, end: 3 },
    ]
}

fn expected<'a>(content: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let end = range.end.min(content.len() as u64) as usize;
    let start = range.start.min(end as u64) as usize;
    &content[start..end]
}

pub(crate) fn ranges_of_a_file_are_sent(case: Case) {
    let content = pattern(LEN as usize);
    let mut file = file_of(&content);
    file.seek(SeekFrom::Start(3)).unwrap();
    let (mut stream, mut peer) = case.server();
    let peer = thread::spawn(move || peer.receive_data());
    let mut whole = Vec::new();
    for range in ranges() {
        let expected = expected(&content, &range);
        let sent = stream.send_file(&file, range.clone()).unwrap();
        assert_eq!(sent, expected.len() as u64, "{range:?}");
        whole.extend_from_slice(expected);
        stream.write_all(b"|").unwrap();
        whole.push(b'|');
    }
    stream.shutdown().unwrap();
    assert!(peer.join().unwrap() == (whole, true));
    let cursor = file.stream_position().unwrap();
    assert_eq!(cursor, 3, "the cursor stays where it was");
}

pub(crate) fn files_and_writes_take_turns(case: Case) {
    let content = pattern(100_000);
    let file = file_of(&content);
    let (mut stream, mut peer) = case.client();
    let peer = thread::spawn(move || peer.receive_data());
    stream.write_all(b"head").unwrap();
    stream.send_file(&file, 10..90_000).unwrap();
    stream.send_file(&file, 90_000..100_000).unwrap();
    stream.write_all(b"tail").unwrap();
    stream.send_file(&file, 0..7).unwrap();
    stream.shutdown().unwrap();
    let whole = [b"head", &content[10..], b"tail", &content[..7]].concat();
    assert!(peer.join().unwrap() == (whole, true));
}

pub(crate) fn a_tokio_stream_sends_a_file_to_a_slow_reader(case: Case) {
    let content = pattern(700_000);
    let file = file_of(&content);
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_both().await;
        let send = async {
            stream.write_all(b"head").await.unwrap();
            let sent = stream.send_file(&file, 7..u64::MAX).await.unwrap();
            assert_eq!(sent, 699_993);
            stream.shutdown().await.unwrap();
        };
        let receive = async {
            let mut received = Vec::new();
            let mut buffer = [0; 3_000];
            loop {
                match peer.read(&mut buffer).await.unwrap() {
                    0 => break received,
                    n => received.extend_from_slice(&buffer[..n]),
                }
                tokio::task::yield_now().await;
            }
        };
        let ((), received) = tokio::join!(send, receive);
        assert!(received == [b"head", &content[7..]].concat());
    });
}

/// What cannot be read is the caller's fault, and not the connection's.
pub(crate) fn a_source_that_cannot_be_read_costs_no_connection(case: Case) {
    let (mut stream, mut peer) = case.server();
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), b"content").unwrap();
    let write_only = File::options().write(true).open(path.path()).unwrap();
    let directory = File::open("/").unwrap();
    let (pipe, write_end) = std::io::pipe().unwrap();
    for (at, file) in [
        (0, &write_only),
        (0, &directory),
        (1 << 63, &path.as_file().try_clone().unwrap()),
    ] {
        stream.send_file(file, at..u64::MAX).unwrap_err();
        stream.write_all(b"a").unwrap();
    }
    stream.splice_from(&write_end, 10).unwrap_err();
    stream.splice_from(&directory, 10).unwrap_err();
    stream.write_all(b"b").unwrap();
    drop(pipe);
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"aaab".to_vec(), true));
}

/// There are files that can be read, and not spliced.
pub(crate) fn a_file_that_cannot_be_spliced_is_read(case: Case) {
    let (mut stream, mut peer) = case.server();
    let file = File::open("/proc/self/environ").unwrap();
    let expected = std::fs::read("/proc/self/environ").unwrap();
    let peer = thread::spawn(move || peer.receive_data());
    let sent = stream.send_file(&file, 0..u64::MAX).unwrap();
    assert_eq!(sent, expected.len() as u64);
    stream.shutdown().unwrap();
    assert!(peer.join().unwrap() == (expected, true));
}

/// From an odd offset to the end.
pub(crate) fn a_file_of_64_mib_is_sent(case: Case) {
    const MIB_64: usize = 64 << 20;
    let file = file_of(&pattern(MIB_64 + 13));
    let (mut stream, mut peer) = case.server();
    let peer = thread::spawn(move || {
        // Compared record by record: all of it twice in memory is much for a small machine.
        let expected = pattern(MIB_64 + 13);
        let mut at = 13;
        loop {
            match peer.receive().unwrap() {
                (APPLICATION_DATA, data) => {
                    assert!(data[..] == expected[at..][..data.len()], "at byte {at}");
                    at += data.len();
                }
                (ALERT, alert) => break assert_eq!(alert, [1, 0]),
                _ => {}
            }
        }
        at
    });
    assert_eq!(
        stream.send_file(&file, 13..u64::MAX).unwrap(),
        MIB_64 as u64
    );
    stream.shutdown().unwrap();
    assert_eq!(peer.join().unwrap(), MIB_64 + 13);
}
