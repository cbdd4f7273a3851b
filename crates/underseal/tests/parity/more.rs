//! `write_more`: the last record stays open until something closes it.

use std::io::{ErrorKind, Write};
use std::thread;

use underseal::record::{ContentType, MAX_PLAINTEXT};
use underseal::{Direction, KeyUpdateRequest};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::case::Case;
use crate::connect::{Peer, Server, on_tokio, pattern};
use crate::files::file_of;
use crate::writing::receive_records;

/// Writes all of `data`, and leaves the last record open.
fn write_all_more(stream: &mut Server, mut data: &[u8]) {
    while !data.is_empty() {
        let n = stream.write_more(data).unwrap();
        assert_ne!(n, 0);
        data = &data[n..];
    }
}

/// The next record, tickets left out.
fn receive(peer: &mut Peer) -> (u8, Vec<u8>) {
    loop {
        match peer.receive().unwrap() {
            (HANDSHAKE, message) if message[0] == 4 => {}
            record => return record,
        }
    }
}

pub(crate) fn open_records_are_merged_until_one_is_closed(case: Case) {
    let (mut stream, mut peer) = case.server();
    write_all_more(&mut stream, b"a ");
    write_all_more(&mut stream, b"response's ");
    write_all_more(&mut stream, b"head, ");
    stream.write_all(b"its body").unwrap();
    stream.write_all(b"the next one").unwrap();
    write_all_more(&mut stream, b"flushed");
    stream.flush().unwrap();
    stream.flush().unwrap();
    write_all_more(&mut stream, b"closed by close_notify");
    stream.shutdown().unwrap();
    let expected = [
        &b"a response's head, its body"[..],
        b"the next one",
        b"flushed",
        b"closed by close_notify",
    ];
    assert_eq!(receive_records(&mut peer), expected);
}

/// Nothing of it is on its way before that.
pub(crate) fn an_open_record_is_not_sent(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.write_all(b"first").unwrap();
    assert_eq!(receive(&mut peer), (APPLICATION_DATA, b"first".to_vec()));
    write_all_more(&mut stream, b"second");
    peer.io().set_nonblocking(true).unwrap();
    let error = peer.io().peek(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    peer.io().set_nonblocking(false).unwrap();
    stream.flush().unwrap();
    assert_eq!(receive(&mut peer), (APPLICATION_DATA, b"second".to_vec()));
}

pub(crate) fn a_full_record_is_closed_by_itself(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(MAX_PLAINTEXT * 3 + 5);
    let peer = thread::spawn(move || receive_records(&mut peer));
    write_all_more(&mut stream, &data[..MAX_PLAINTEXT - 7]);
    write_all_more(&mut stream, &data[MAX_PLAINTEXT - 7..MAX_PLAINTEXT * 2 + 9]);
    stream.write_all(&data[MAX_PLAINTEXT * 2 + 9..]).unwrap();
    write_all_more(&mut stream, &pattern(MAX_PLAINTEXT));
    stream.shutdown().unwrap();
    let records = peer.join().unwrap();
    let lens: Vec<_> = records.iter().map(Vec::len).collect();
    let full = MAX_PLAINTEXT;
    assert_eq!(lens, [full, full, full, 5, full]);
    assert!(records[..4].concat() == data);
}

/// Data never comes after a control record that was sent after it.
pub(crate) fn control_records_close_an_open_record(case: Case) {
    let (mut stream, mut peer) = case.server();
    write_all_more(&mut stream, b"before");
    stream.send_record(ContentType(24), &b"beat"[..]).unwrap();
    write_all_more(&mut stream, b"between");
    let rekeyed = case.can_update_keys(&[Direction::Tx]);
    if rekeyed {
        stream.key_update(KeyUpdateRequest::NotRequested).unwrap();
    }
    write_all_more(&mut stream, b"after");
    stream.shutdown().unwrap();
    assert_eq!(receive(&mut peer), (APPLICATION_DATA, b"before".to_vec()));
    assert_eq!(receive(&mut peer), (24, b"beat".to_vec()));
    if rekeyed {
        assert_eq!(receive(&mut peer), (APPLICATION_DATA, b"between".to_vec()));
        assert_eq!(receive(&mut peer), (HANDSHAKE, key_update(0).to_vec()));
        peer.update_rx();
        assert_eq!(receive(&mut peer), (APPLICATION_DATA, b"after".to_vec()));
    } else {
        let data = b"betweenafter".to_vec();
        assert_eq!(receive(&mut peer), (APPLICATION_DATA, data));
    }
    assert_eq!(receive(&mut peer), (ALERT, vec![1, 0]));
}

/// A response's head and the file behind it, which is what `MSG_MORE` is for.
pub(crate) fn a_file_follows_an_open_record(case: Case) {
    let content = pattern(50_000);
    let file = file_of(&content);
    let (mut stream, mut peer) = case.server();
    let peer = thread::spawn(move || peer.receive_data());
    write_all_more(&mut stream, b"head");
    assert_eq!(stream.send_file(&file, 1..u64::MAX).unwrap(), 49_999);
    write_all_more(&mut stream, b"head");
    assert_eq!(stream.send_file(&file, 50_000..u64::MAX).unwrap(), 0);
    stream.write_all(b"tail").unwrap();
    stream.shutdown().unwrap();
    let expected = [b"head", &content[1..], b"head", b"tail"].concat();
    assert!(peer.join().unwrap() == (expected, true));
}

/// As a kernel's `close` has it.
pub(crate) fn an_open_record_is_lost_with_its_stream(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.write_all(b"sent").unwrap();
    write_all_more(&mut stream, b"never closed");
    drop(stream);
    assert_eq!(peer.receive_data(), (b"sent".to_vec(), false));
}

pub(crate) fn open_records_of_tokio_streams_are_merged(case: Case) {
    use tokio::io::AsyncWriteExt;
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        assert_eq!(stream.write_more(b"one, ").await.unwrap(), 5);
        assert_eq!(stream.write_more(b"two, ").await.unwrap(), 5);
        stream.write_all(b"three").await.unwrap();
        assert_eq!(stream.write_more(b"four").await.unwrap(), 4);
        stream.shutdown().await.unwrap();
        assert_eq!(
            receive_records(&mut peer),
            [&b"one, two, three"[..], b"four"]
        );
    });
}
