//! Peers that say much besides data: what it costs, and when it is too much.

use std::io::{ErrorKind, Read, Write, pipe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::AsyncReadExt;
use underseal::record::AlertDescription;
use underseal::{Direction, Engine, Error, PeerMisbehaved};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::case::Case;
use crate::connect::{Peer, Server, on_tokio, pattern};
use crate::full::while_full;
use crate::key_updates::send_update;
use crate::no_rekey::can_rekey;

/// More than come with no data between them: see `engine::control`.
const MANY: u8 = 100;

/// After this long a socket that was full takes nothing more.
const SETTLED: Duration = Duration::from_millis(300);

/// Repeats `call` whenever the socket is not ready for `events`.
fn until_done<T>(
    stream: &mut Server,
    events: PollFlags,
    mut call: impl FnMut(&mut Server) -> std::io::Result<T>,
) -> T {
    loop {
        match call(stream) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(stream.get_ref().0, events)], None).unwrap();
            }
            result => return result.unwrap(),
        }
    }
}

/// Fills the socket, has the peer ask [`MANY`] times, reads all of that, and returns the control
/// messages that come until close_notify.
fn answers(case: Case, ask: impl Fn(&mut Peer, u8)) -> Vec<(u8, Vec<u8>)> {
    while_full(|| answers_while_full(case, &ask))
}

fn answers_while_full(case: Case, ask: impl Fn(&mut Peer, u8)) -> Option<Vec<(u8, Vec<u8>)>> {
    let (mut stream, mut peer) = case.server();
    set_socket_send_buffer_size(stream.get_ref().0, 4_096).unwrap();
    stream.get_ref().0.set_nonblocking(true).unwrap();
    let data = pattern(100_000);
    // What the socket has taken goes on to the peer's for a while, and makes room again: on a busy machine
    // also after a pause.
    let mut pauses = 0;
    while pauses < 3 {
        thread::sleep(SETTLED / 3);
        pauses += 1;
        while stream.write(&data).is_ok() {
            pauses = 0;
        }
    }
    (0..MANY).for_each(|n| ask(&mut peer, n));
    for n in 0..MANY {
        let mut received = [0];
        until_done(&mut stream, PollFlags::IN, |stream| {
            stream.read_exact(&mut received)
        });
        assert_eq!(received, [n]);
    }
    if stream.write(&data).is_ok() {
        return None;
    }
    let peer = thread::spawn(move || {
        let mut answers = Vec::new();
        loop {
            match peer.receive().unwrap() {
                (ALERT, alert) if alert == [1, 0] => break answers,
                (APPLICATION_DATA, _) => {}
                (HANDSHAKE, message) if message[0] != 24 => {}
                (content_type, message) => {
                    if content_type == HANDSHAKE {
                        peer.update_rx();
                    }
                    answers.push((content_type, message));
                }
            }
        }
    });
    until_done(&mut stream, PollFlags::OUT, Write::flush);
    until_done(&mut stream, PollFlags::OUT, Server::shutdown);
    Some(peer.join().unwrap())
}

/// One answer to all requests that came while nothing could be sent; where the kernel has all data
/// the first is on its way already, and one more answers the rest.
fn assert_one_answer(case: Case, answers: &[(u8, Vec<u8>)], expected: &(u8, Vec<u8>)) {
    let most = match case.engines.tx {
        Engine::Kernel => 2,
        _ => 1,
    };
    assert!((1..=most).contains(&answers.len()), "{answers:?}");
    assert!(
        answers.iter().all(|answer| answer == expected),
        "{answers:?}"
    );
}

/// RFC 8446 section 4.6.3.
pub(crate) fn key_updates_asked_of_a_full_socket_get_one_answer(case: Case) {
    if can_rekey(case, &Direction::ALL) {
        let answers = answers(case, |peer, n| send_update(peer, 1, &[n]));
        assert_one_answer(case, &answers, &(HANDSHAKE, key_update(0).to_vec()));
    }
}

pub(crate) fn renegotiation_asked_of_a_full_socket_gets_one_answer(case: Case) {
    let answers = answers(case, |peer, n| {
        peer.send(HANDSHAKE, &[1, 0, 0, 1, 0]);
        peer.send(APPLICATION_DATA, &[n]);
    });
    let declined = vec![1, AlertDescription::NO_RENEGOTIATION.0];
    assert_one_answer(case, &answers, &(ALERT, declined));
}

/// What is sent earns control messages as what is received does, by whichever way it is sent.
pub(crate) fn a_peer_that_only_receives_may_update_its_key_as_often(case: Case) {
    if !can_rekey(case, &[Direction::Rx]) {
        return;
    }
    let (mut stream, mut peer) = case.server();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"f").unwrap();
    let (pipe, mut into_pipe) = pipe().unwrap();
    let mut sent = 0;
    while sent < MANY {
        stream.write_all(b"w").unwrap();
        assert_eq!(stream.send_file(&file, 0..1).unwrap(), 1);
        into_pipe.write_all(b"p").unwrap();
        assert_eq!(stream.splice_from(&pipe, 1).unwrap(), 1);
        stream.flush().unwrap();
        sent += 3;
    }
    for _ in 0..sent {
        peer.send(HANDSHAKE, &key_update(0));
        peer.update_tx();
    }
    peer.send(APPLICATION_DATA, b"!");
    let mut received = [0];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"!");
}

/// What a peer makes a task do is bounded between two turns of another task.
pub(crate) fn other_tasks_have_their_turn_in_a_storm(case: Case) {
    const ROUNDS: u32 = 300;
    if !can_rekey(case, &[Direction::Rx]) {
        return;
    }
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        for _ in 0..ROUNDS {
            send_update(&mut peer, 0, b"d");
        }
        let turns = Arc::new(AtomicU32::new(0));
        let others = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                others.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let reader = tokio::spawn(async move {
            let mut received = [0; ROUNDS as usize];
            stream.read_exact(&mut received).await.unwrap();
            stream
        });
        reader.await.unwrap();
        other.abort();
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns >= ROUNDS / 20, "{turns} turns in {ROUNDS} updates");
    });
}

/// A ticket message whose ticket is `len` bytes long.
fn ticket(len: u16) -> Vec<u8> {
    let mut body = vec![0, 0, 28, 32, 0, 0, 0, 1, 1, 9];
    body.extend_from_slice(&len.to_be_bytes());
    body.resize(body.len() + usize::from(len), 7);
    body.extend_from_slice(&[0, 0]);
    [&[4, 0], &(body.len() as u16).to_be_bytes()[..], &body].concat()
}

/// RFC 9149 lets a client ask for 255.
pub(crate) fn as_many_tickets_as_a_client_may_ask_for_are_taken(case: Case) {
    let (mut stream, mut peer) = case.client();
    for _ in 0..51 {
        peer.send(HANDSHAKE, &ticket(200).repeat(5));
    }
    peer.send(APPLICATION_DATA, b"!");
    let mut received = [0];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"!");
}

/// A ticket that there is no memory for is not even looked at, until data comes.
pub(crate) fn tickets_hold_a_bounded_amount_of_memory(case: Case) {
    /// A message that is long enough for the last place, and no ticket.
    fn nonsense() -> Vec<u8> {
        [&[4, 0, 4, 0], &[0; 1_024][..]].concat()
    }
    let (mut stream, mut peer) = case.client();
    for _ in 0..200 {
        peer.send(HANDSHAKE, &ticket(1_010));
    }
    peer.send(HANDSHAKE, &nonsense());
    peer.send(APPLICATION_DATA, &[0; 5_000]);
    stream.read_exact(&mut [0; 5_000]).unwrap();
    peer.send(HANDSHAKE, &nonsense());
    let error = stream.read(&mut [0]).unwrap_err();
    let Some(Error::PeerMisbehaved(fault)) = Error::of(&error) else {
        panic!("{error}");
    };
    assert_eq!(fault, PeerMisbehaved::InvalidTicket);
}
