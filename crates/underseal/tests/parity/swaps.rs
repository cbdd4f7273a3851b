//! Engines that change in the middle of a connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::{Engine, Engines, Error, Offload, Refusal, blocking};
use underseal_testkit::RecordPeer;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{Server, on_tokio, pattern, sockets};
use crate::endings::CLOSE_NOTIFY;
use crate::moving::again;

/// Sends and receives messages of all lengths, and moves in the middle of one: with plaintext not
/// read, and records behind it received.
fn exchange<Session>(mut stream: blocking::TlsStream<TcpStream, Session>, case: Case) {
    for round in 0..24 {
        let message = pattern(round * 1_499 + 1);
        stream.write_all(&message).unwrap();
        let mut received = vec![0; message.len()];
        let (first, second) = received.split_at_mut(round * 700);
        stream.read_exact(first).unwrap();
        if round == 12 {
            stream.set_offload(case.offloads()).unwrap();
        }
        for piece in second.chunks_mut(5_000) {
            stream.read_exact(piece).unwrap();
        }
        assert!(received == message, "round {round}");
    }
    assert_eq!(stream.engines(), case.engines);
}

pub(crate) fn both_ends_swap_engines_while_data_flows(case: Case) {
    let (server, client) = case.on_user_engines().both();
    let client = thread::spawn(move || exchange(client, case));
    exchange(server, case);
    client.join().unwrap();
}

pub(crate) fn a_tokio_stream_swaps_engines_while_data_flows(case: Case) {
    on_tokio(async {
        let (mut stream, mut peer) = case.on_user_engines().tokio_both().await;
        let data = pattern(400_000);
        let upload = async {
            peer.write_all(&data).await.unwrap();
            let mut received = vec![0; data.len()];
            peer.read_exact(&mut received).await.unwrap();
            assert!(received == data);
        };
        let echo = async {
            let mut received = vec![0; data.len()];
            let (first, second) = received.split_at_mut(100_001);
            stream.read_exact(first).await.unwrap();
            stream.set_offload(case.offloads()).unwrap();
            for piece in second.chunks_mut(9_999) {
                stream.read_exact(piece).await.unwrap();
            }
            stream.write_all(&received).await.unwrap();
            stream.flush().await.unwrap();
        };
        tokio::join!(upload, echo);
        assert_eq!(stream.engines(), case.engines);
    });
}

/// The peer sees to it that no explicit nonce comes twice. The first of a connection is random, and
/// engines count on from it in different ways: half of all connections would repeat one if the
/// direction moved as it is.
pub(crate) fn a_sender_that_moves_repeats_no_nonce(case: Case) {
    for _ in 0..6 {
        let (mut stream, mut peer) = case.on_user_engines().server();
        for round in 0..50 {
            if round == 19 {
                stream.set_offload(case.offloads()).unwrap();
            }
            stream.write_all(&[round]).unwrap();
        }
        assert_eq!(stream.engines().tx, case.engines.tx);
        let received = (0..50).map(|_| peer.receive().unwrap().1);
        assert!(received.eq((0..50).map(|round| [round])));
        // And back into this process, on another socket.
        let mut parts = stream.into_parts().unwrap();
        (parts.io, *peer.io()) = sockets();
        let mut stream = blocking::TlsStream::from_parts(parts).unwrap();
        for round in 50..100 {
            stream.write_all(&[round]).unwrap();
        }
        stream.shutdown().unwrap();
        assert_eq!(peer.receive_data(), ((50..100).collect(), true));
    }
}

/// A record has come in part: the direction moves behind it.
pub(crate) fn a_direction_moves_between_two_records(case: Case) {
    moves_between_two_records(case, |stream| stream);
}

/// And the stream is taken apart before it can: what was asked for goes along.
pub(crate) fn a_move_that_was_asked_for_goes_along(case: Case) {
    moves_between_two_records(case, again);
}

fn moves_between_two_records(case: Case, meanwhile: fn(Server) -> Server) {
    let (mut stream, mut peer) = case.on_user_engines().server();
    let first = peer.record(APPLICATION_DATA, b"first");
    let second = peer.record(APPLICATION_DATA, b"second");
    let third = peer.record(APPLICATION_DATA, b"third");
    peer.send_bytes(&[&first[..], &second[..9]].concat());
    let mut received = [0; 6];
    stream.read_exact(&mut received[..5]).unwrap();
    assert_eq!(&received[..5], b"first");
    stream.set_offload(case.offloads()).unwrap();
    stream = meanwhile(stream);
    peer.send_bytes(&[&second[9..], &third[..7]].concat());
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"second");
    peer.send_bytes(&third[7..]);
    stream.read_exact(&mut received[..5]).unwrap();
    assert_eq!(&received[..5], b"third");
    peer.send(APPLICATION_DATA, b"fourth");
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"fourth");
    assert_eq!(stream.engines(), case.engines);
    peer.send(ALERT, &CLOSE_NOTIFY);
    assert_eq!(stream.read(&mut received).unwrap(), 0);
}

/// Only TCP sockets can be handed to the kernel: whoever insists on it is told.
pub(crate) fn a_stream_over_memory_is_not_for_the_kernel(case: Case) {
    let (ours, theirs) = underseal_testkit::pair(1 << 16);
    let client = (*case.configs().client).clone();
    let peer = thread::spawn(move || RecordPeer::client(theirs, client));
    let accepted = case.acceptor().accept(ours);
    peer.join().unwrap();
    let held = [case.engines.tx, case.engines.rx].contains(&Engine::Kernel);
    match accepted {
        Ok(stream) => assert_eq!((stream.engines(), held), (case.engines, false)),
        Err(error) => {
            let Some(Error::Offload { refusal, .. }) = Error::of(&error) else {
                panic!("{error}");
            };
            assert!(matches!(refusal, Refusal::NotTcp), "{refusal}");
        }
    }
}

/// Linux does not give a direction back; asking for it harms nothing.
pub(crate) fn a_direction_that_the_kernel_holds_stays_there(case: Case) {
    let (mut stream, mut peer) = case.server();
    let held = [case.engines.tx, case.engines.rx].contains(&Engine::Kernel);
    match stream.set_offload(Offload::User) {
        Ok(()) => assert!(!held),
        Err(Error::Offload { refusal, .. }) => {
            assert!(held);
            assert!(matches!(refusal, Refusal::HeldByKernel), "{refusal}");
        }
        Err(error) => panic!("{error}"),
    }
    assert_eq!(stream.engines(), case.engines);
    stream.write_all(b"goes on").unwrap();
    peer.send(APPLICATION_DATA, b"both ways");
    let mut received = [0; 9];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"both ways");
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"goes on".to_vec(), true));
}

/// And the engines are those of another socket then: this process'.
pub(crate) fn a_stream_that_left_its_socket_is_on_the_user_engine(case: Case) {
    let (stream, _peer) = case.server();
    let mut parts = stream.into_parts().unwrap();
    let again = parts.io.try_clone().unwrap();
    (parts.io, _) = sockets();
    let user = Engines {
        tx: Engine::User,
        rx: Engine::User,
    };
    let mut moved = blocking::TlsStream::from_parts(parts).unwrap();
    assert_eq!(moved.engines(), user);
    // The old socket is no place for these keys any more if they have sealed elsewhere.
    moved.write_all(b"sealed elsewhere").unwrap();
    let mut parts = moved.into_parts().unwrap();
    parts.io = again;
    let held = case.engines.tx == Engine::Kernel;
    assert_eq!(blocking::TlsStream::from_parts(parts).is_err(), held);
}
