//! A datagram that does not open is dropped, counted by its reason, and never answered.

use std::io::ErrorKind;
use std::time::Duration;

use underseal_dtls::{Discard, Error};

use crate::{recv, socket_and_wire};

#[test]
fn what_does_not_open_is_counted_by_its_reason_and_never_answered() {
    let (socket, mut wire) = socket_and_wire();
    let good = wire.data("good");
    let changed = |at: usize, byte: u8| {
        let mut changed = good.clone();
        changed[at] = byte;
        changed
    };
    let ahead: Vec<_> = (0..2048).map(|_| wire.data("ahead")).collect();
    for (datagram, reason) in [
        (changed(20, !good[20]), Discard::Forged),
        (changed(4, 0), Discard::Epoch),
        (changed(4, 2), Discard::Epoch),
        (changed(1, 3), Discard::Header),
        (changed(0, 25), Discard::ConnectionId),
        (good[..good.len() - 1].to_vec(), Discard::Truncated),
        ([&good[..11], &[0xff; 2]].concat(), Discard::Oversized),
        ([&good[..11], &[0; 2]].concat(), Discard::TooShort),
    ] {
        let before = socket.counters().dropped(reason);
        wire.send(&datagram);
        let marker = wire.data("marker");
        wire.send(&marker);
        assert_eq!(recv(&socket).unwrap(), "marker");
        assert_eq!(socket.counters().dropped(reason), before + 1, "{reason}");
        wire.send(&marker);
    }
    // Behind all markers `good` is out of the window, and `ahead` half in it.
    wire.send(&good);
    wire.send(&ahead[100]);
    wire.send(&ahead[100]);
    assert_eq!(recv(&socket).unwrap(), "ahead");
    let marker = wire.data("marker");
    wire.send(&marker);
    assert_eq!(recv(&socket).unwrap(), "marker");
    let counters = socket.counters();
    assert_eq!(counters.dropped(Discard::Replayed), 8 + 1);
    assert_eq!(counters.dropped(Discard::TooOld), 1);
    assert_eq!(counters.all_dropped(), 8 + 8 + 1 + 1);
    wire.socket.set_nonblocking(true).unwrap();
    let answer = wire.socket.recv(&mut [0; 100]);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn an_empty_datagram_is_passed_over() {
    let (socket, mut wire) = socket_and_wire();
    wire.send(&[]);
    let good = wire.data("good");
    wire.send(&good);
    assert_eq!(recv(&socket).unwrap(), "good");
}

#[test]
fn the_read_timeout_bounds_a_wait_among_forged_datagrams() {
    let (socket, wire) = socket_and_wire();
    let timeout = Duration::from_millis(20);
    socket.socket().set_read_timeout(Some(timeout)).unwrap();
    std::thread::scope(|scope| {
        let (over, told) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            while told.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let _ = wire.socket.send(b"forged");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let waited = recv(&socket);
        assert!(
            matches!(waited, Err(Error::Socket(error)) if error.kind() == ErrorKind::WouldBlock)
        );
        drop(over);
    });
    assert!(socket.counters().dropped(Discard::Truncated) > 0);
}
