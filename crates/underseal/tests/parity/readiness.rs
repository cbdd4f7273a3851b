//! A reader is woken when there is something to read, and never waits for what is there already.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{on_tokio, pattern};

/// Sends `data` there and back, again and again.
fn ping_pong(case: Case, data: Vec<u8>, rounds: usize) {
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_both().await;
        let own = data.clone();
        let ping = async {
            let mut received = vec![0; own.len()];
            for _ in 0..rounds {
                stream.write_all(&own).await.unwrap();
                stream.flush().await.unwrap();
                stream.read_exact(&mut received).await.unwrap();
                assert!(received == own);
            }
        };
        let pong = async {
            let mut received = vec![0; data.len()];
            for _ in 0..rounds {
                peer.read_exact(&mut received).await.unwrap();
                peer.write_all(&received).await.unwrap();
                peer.flush().await.unwrap();
            }
        };
        tokio::join!(ping, pong);
    });
}

pub(crate) fn many_small_messages_go_back_and_forth(case: Case) {
    ping_pong(case, pattern(10), 300);
}

pub(crate) fn big_messages_go_back_and_forth(case: Case) {
    ping_pong(case, pattern(200_000), 3);
}

/// A stream that is split between tasks carries both directions at once.
pub(crate) fn both_directions_flow_at_once(case: Case) {
    async fn exchange(stream: impl AsyncRead + AsyncWrite, data: &[u8]) {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut received = Vec::new();
        let write = async {
            writer.write_all(data).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let (end, ()) = tokio::join!(reader.read_to_end(&mut received), write);
        end.unwrap();
        assert!(received == data);
    }
    on_tokio(async {
        let (stream, peer) = case.tokio_both().await;
        let data = pattern(700_000);
        tokio::join!(exchange(stream, &data), exchange(peer, &data));
    });
}

/// One record has come, and nothing else will wake anybody.
pub(crate) fn what_was_decrypted_already_is_read_without_waiting(case: Case) {
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        let data = pattern(2_000);
        let records = data
            .chunks(1_000)
            .map(|chunk| peer.record(APPLICATION_DATA, chunk));
        let records: Vec<_> = records.collect();
        peer.send_bytes(&records.concat());
        let mut received = [0; 2_000];
        for piece in received.chunks_mut(9) {
            stream.read_exact(piece).await.unwrap();
        }
        assert_eq!(received[..], data);
        peer.send(ALERT, &[1, 0]);
        assert_eq!(stream.read(&mut received).await.unwrap(), 0);
    });
}

/// A part of one is nothing to be read, whatever the socket says.
pub(crate) fn a_reader_is_woken_when_a_record_is_complete(case: Case) {
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        let record = peer.record(APPLICATION_DATA, b"complete");
        let mut received = [0; 8];
        for piece in [&record[..3], &record[3..5], &record[5..20]] {
            peer.send_bytes(piece);
            tokio::select! {
                read = stream.read(&mut received) => panic!("{read:?} of a part of a record"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
        let (read, ()) = tokio::join!(stream.read_exact(&mut received), async {
            tokio::task::yield_now().await;
            peer.send_bytes(&record[20..]);
        });
        read.unwrap();
        assert_eq!(&received, b"complete");
    });
}

pub(crate) fn a_blocking_stream_over_a_non_blocking_socket_says_would_block(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.get_ref().0.set_nonblocking(true).unwrap();
    let mut received = [0; 4];
    let record = peer.record(APPLICATION_DATA, b"data");
    let (first, second) = record.split_at(10);
    let error = stream.read(&mut received).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    peer.send_bytes(first);
    let error = stream.read(&mut received).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    peer.send_bytes(second);
    let n = loop {
        let socket = PollFd::new(stream.get_ref().0, PollFlags::IN);
        poll(&mut [socket], None).unwrap();
        match stream.read(&mut received) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => break read.unwrap(),
        }
    };
    assert_eq!(&received[..n], b"data");
}
