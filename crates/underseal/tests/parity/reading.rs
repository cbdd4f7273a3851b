//! Ways to read.

use std::future::poll_fn;
use std::io::{BufRead, Read};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::Poll;
use std::thread;

use tokio::io::{AsyncRead, ReadBuf};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{TokioServer, on_tokio, pattern};

const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// One byte at a time, odd sizes, exactly a record, and more than has come.
pub(crate) fn reads_of_any_size_deliver_the_same_bytes(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(120_000);
    let own = data.clone();
    let peer = thread::spawn(move || {
        for chunk in own.chunks(7_001) {
            peer.send(APPLICATION_DATA, chunk);
        }
        peer.send(ALERT, &CLOSE_NOTIFY);
        peer
    });
    let mut buffer = vec![0; 300_000];
    let mut received: Vec<u8> = Vec::new();
    let single = [1; 1_000];
    let sizes = [2, 7, 333, 4_095, 7_000, 7_001, 7_002, 16_384, 16_401];
    let mut sizes = single.into_iter().chain(sizes.into_iter().cycle().take(30));
    loop {
        let size = sizes.next().unwrap_or(buffer.len());
        match stream.read(&mut buffer[..size]).unwrap() {
            0 => break,
            n => received.extend(&buffer[..n]),
        }
    }
    assert!(received == data);
    peer.join().unwrap();
}

pub(crate) fn a_read_of_nothing_reads_nothing(case: Case) {
    let (mut stream, mut peer) = case.server();
    let nothing = stream.read(&mut []).unwrap();
    assert_eq!(nothing, 0, "it does not wait for a peer either");
    peer.send(APPLICATION_DATA, b"x");
    assert_eq!(stream.read(&mut []).unwrap(), 0);
    assert_eq!(stream.read(&mut [0; 4]).unwrap(), 1);
}

/// Records that have come are merged into one read, so that small ones do not cost a call each.
pub(crate) fn one_read_takes_several_records(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(10_000);
    let records: Vec<u8> = data
        .chunks(100)
        .flat_map(|chunk| peer.record(APPLICATION_DATA, chunk))
        .collect();
    peer.send_bytes(&records);
    peer.send(ALERT, &CLOSE_NOTIFY);
    let mut buffer = vec![0; 20_000];
    let (mut received, mut reads) = (0, 0);
    loop {
        match stream.read(&mut buffer[received..]).unwrap() {
            0 => break,
            n => received += n,
        }
        reads += 1;
    }
    assert!(buffer[..received] == data);
    assert!(reads <= 50, "{reads} reads for 100 records");
}

/// `fill_buf` shows, `consume` drops, and `read` goes on in between.
pub(crate) fn buffered_and_plain_reads_take_turns(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(50_000);
    for chunk in data.chunks(10_000) {
        peer.send(APPLICATION_DATA, chunk);
    }
    peer.send(ALERT, &CLOSE_NOTIFY);
    let mut received: Vec<u8> = Vec::new();
    let mut buffer = [0; 333];
    loop {
        let shown = stream.fill_buf().unwrap();
        if shown.is_empty() {
            break;
        }
        let used = shown.len().min(777);
        received.extend(&shown[..used]);
        stream.consume(used);
        let n = stream.read(&mut buffer).unwrap();
        received.extend(&buffer[..n]);
    }
    assert!(received == data);
    assert_eq!(stream.fill_buf().unwrap(), b"", "the end stays");
}

/// Polls a read into a large buffer that nobody has written to, once or until it gives something:
/// bytes that were read, and bytes that were cleared for them.
async fn read_uninitialized(stream: &mut TokioServer, waits: bool) -> (usize, usize) {
    let mut room = vec![MaybeUninit::uninit(); 1 << 20];
    let mut buffer = ReadBuf::uninit(&mut room);
    let read = poll_fn(|cx| {
        let polled = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
        match polled.is_pending() && !waits {
            true => Poll::Ready(Ok(())),
            false => polled,
        }
    });
    read.await.unwrap();
    (buffer.filled().len(), buffer.initialized().len())
}

pub(crate) fn no_more_of_a_buffer_is_cleared_than_arrives(case: Case) {
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        assert_eq!(read_uninitialized(&mut stream, false).await, (0, 0));
        for len in [1, 100, 16_000] {
            peer.send(APPLICATION_DATA, &pattern(len));
            let (read, cleared) = read_uninitialized(&mut stream, true).await;
            // A record is longer than its data.
            assert!(read == len && cleared <= len + 29, "{read}, {cleared}");
            assert_eq!(read_uninitialized(&mut stream, false).await, (0, 0));
        }
    });
}
