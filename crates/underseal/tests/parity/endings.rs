//! How connections end, in order and not.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_socket_send_buffer_size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::Error;
use underseal::record::AlertDescription;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{Server, on_tokio};

pub(crate) const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// Reads until reading ends: the data, and how it ended.
pub(crate) fn read_to_end(stream: &mut Server) -> (Vec<u8>, std::io::Result<()>) {
    let mut data = Vec::new();
    let mut buffer = [0; 5_000];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (data, Ok(())),
            Ok(n) => data.extend(&buffer[..n]),
            Err(error) => return (data, Err(error)),
        }
    }
}

pub(crate) fn close_notify_is_the_end_and_nothing_after_it_is_delivered(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(APPLICATION_DATA, b"all of it");
    let end = peer.record(ALERT, &CLOSE_NOTIFY);
    let late = peer.record(APPLICATION_DATA, b"too late");
    peer.send_bytes(&[&end, &late, &b"and garbage"[..]].concat());
    let (data, end) = read_to_end(&mut stream);
    end.unwrap();
    assert_eq!(data, b"all of it");
    assert_eq!(stream.read(&mut [0; 100]).unwrap(), 0);
    stream.write_all(b"half closed").unwrap();
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"half closed".to_vec(), true));
}

pub(crate) fn a_fin_between_records_is_a_truncation(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(APPLICATION_DATA, b"how much more?");
    peer.io().shutdown(Shutdown::Write).unwrap();
    let (data, end) = read_to_end(&mut stream);
    assert_eq!(data, b"how much more?");
    is_truncated(end.unwrap_err());
    is_truncated(stream.read(&mut [0]).unwrap_err());
}

/// In its header, and in its body.
pub(crate) fn a_fin_inside_a_record_is_a_truncation(case: Case) {
    for cut in [3, 40] {
        let (mut stream, mut peer) = case.server();
        peer.send(APPLICATION_DATA, b"whole");
        let record = peer.record(APPLICATION_DATA, &[7; 100]);
        peer.send_bytes(&record[..cut]);
        peer.io().shutdown(Shutdown::Write).unwrap();
        let (data, end) = read_to_end(&mut stream);
        assert_eq!(data, b"whole");
        is_truncated(end.unwrap_err());
        is_truncated(stream.read(&mut [0]).unwrap_err());
    }
}

fn is_truncated(error: std::io::Error) {
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(
        matches!(Error::of(&error), Some(Error::Truncated)),
        "{error}"
    );
}

pub(crate) fn a_reset_is_an_error_of_the_socket(case: Case) {
    let (mut stream, mut peer) = case.server();
    let record = peer.record(APPLICATION_DATA, &[7; 100]);
    peer.send_bytes(&record[..50]);
    set_socket_linger(peer.io(), Some(Duration::ZERO)).unwrap();
    drop(peer);
    let error = stream.read(&mut [0; 100]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    assert!(Error::of(&error).is_none(), "not a fault of TLS");
    let write = stream.write_all(b"gone").and_then(|()| stream.flush());
    assert!(write.is_err());
}

/// A writer that never reads is told as well, and once it was told it stays so.
pub(crate) fn a_reset_ends_a_writer(case: Case) {
    let (mut stream, peer) = case.server();
    set_socket_linger(peer.into_io(), Some(Duration::ZERO)).unwrap();
    let failed = |stream: &mut Server| {
        let write = stream.write_all(&[7; 1_000]).and_then(|()| stream.flush());
        write.is_err()
    };
    // TCP takes what comes before the reset does.
    while !failed(&mut stream) {
        thread::yield_now();
    }
    for _ in 0..3 {
        assert!(failed(&mut stream), "as if it had been sent");
    }
}

/// More than the sockets of both ends hold.
const MUCH: usize = 1 << 26;

/// The peer leaves while a writer waits for it: by a reset alone, and behind its end of the stream.
pub(crate) fn a_peer_that_leaves_a_waiting_writer_ends_it(case: Case) {
    for says_end in [false, true] {
        // In one record for each call, and in more.
        for len in [16_000, 300_000] {
            let (mut stream, mut peer) = case.server();
            set_socket_send_buffer_size(stream.get_ref().0, 64 * 1024).unwrap();
            let peer = thread::spawn(move || {
                thread::sleep(Duration::from_millis(300));
                if says_end {
                    peer.io().shutdown(Shutdown::Write).unwrap();
                }
                // What it has not read makes it a reset.
                drop(peer);
            });
            let (data, mut written) = (vec![7; len], 0);
            while let Ok(n) = stream.write(&data) {
                written += n;
                assert!(written < MUCH, "as if it had been sent: {says_end} {len}");
            }
            peer.join().unwrap();
            stream.write(&data).unwrap_err();
            stream.shutdown().unwrap_err();
        }
    }
}

pub(crate) fn a_fatal_alert_is_the_end_of_both_directions(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(APPLICATION_DATA, b"before");
    peer.send(ALERT, &[2, AlertDescription::ACCESS_DENIED.0]);
    let mut before = [0; 6];
    stream.read_exact(&mut before).unwrap();
    for _ in 0..2 {
        let error = stream.read(&mut before).unwrap_err();
        let Some(Error::AlertReceived(alert)) = Error::of(&error) else {
            panic!("{error}");
        };
        assert_eq!(alert, AlertDescription::ACCESS_DENIED);
    }
    let error = stream.write(b"too late").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

pub(crate) fn this_side_closes_first_and_reads_on(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.write_all(b"the last of ours").unwrap();
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"the last of ours".to_vec(), true));
    let error = stream.write(b"more").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);

    peer.send(APPLICATION_DATA, b"still sending");
    let mut buffer = [0; 13];
    stream.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"still sending");
    peer.send(ALERT, &CLOSE_NOTIFY);
    assert_eq!(stream.read(&mut buffer).unwrap(), 0);
}

pub(crate) fn the_peer_closes_first_and_is_written_to(case: Case) {
    let (mut stream, mut peer) = case.client();
    peer.send(ALERT, &CLOSE_NOTIFY);
    peer.io().shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0);
    stream.write_all(b"still answering").unwrap();
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"still answering".to_vec(), true));
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "the end stays");
}

pub(crate) fn close_notify_is_sent_once(case: Case) {
    let (mut stream, mut peer) = case.server();
    for _ in 0..3 {
        stream.shutdown().unwrap();
    }
    drop(stream);
    assert_eq!(peer.receive_data(), (Vec::new(), true));
    assert_eq!(peer.receive(), None);
}

/// And reading goes on, which a peer on the same terms makes use of.
pub(crate) fn a_tokio_shutdown_sends_close_notify_and_a_fin(case: Case) {
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        stream.write_all(b"question").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(peer.receive_data(), (b"question".to_vec(), true));
        assert_eq!(peer.receive(), None, "the stream below has ended too");
        peer.send(APPLICATION_DATA, b"answer");
        peer.send(ALERT, &CLOSE_NOTIFY);
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"answer");
    });
}

/// A peer must be able to tell a transfer that was cut short from one that is complete.
pub(crate) fn a_dropped_stream_sends_no_close_notify(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.write_all(b"and then?").unwrap();
    drop(stream);
    assert_eq!(peer.receive_data(), (b"and then?".to_vec(), false));
}
