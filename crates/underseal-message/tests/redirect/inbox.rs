use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use underseal_message::MessageDirection::{Egress, Ingress};
use underseal_message::{Inbox, Notify, RedirectError};

/// Counts how often it is notified.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Bell {
    pub(crate) fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Notify for Bell {
    fn notify(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A bell, and the same one as a sender or an owner has it.
pub(crate) fn bell() -> (Arc<Bell>, Arc<dyn Notify>) {
    let bell = Arc::new(Bell::default());
    (Arc::clone(&bell), bell)
}

#[test]
fn bytes_come_out_in_order_and_by_direction() {
    let mut inbox = Inbox::new(100, bell().1);
    let (peer, other, sender) = (inbox.peer(), inbox.peer(), bell().1);
    assert_eq!(peer.send(Ingress, b"ab"[..].into(), &sender), Ok(2));
    assert_eq!(other.send(Egress, b"12"[..].into(), &sender), Ok(2));
    assert_eq!(other.send(Ingress, b"cd"[..].into(), &sender), Ok(2));
    assert_eq!(inbox.chunk(Ingress), b"abcd");
    inbox.consume(Ingress, 1);
    assert_eq!(peer.waiting(Ingress), 3);
    assert_eq!(peer.send(Ingress, b"ef"[..].into(), &sender), Ok(2));
    assert_eq!(inbox.chunk(Ingress), b"bcd");
    inbox.consume(Ingress, 3);
    assert_eq!(inbox.chunk(Ingress), b"ef");
    assert_eq!(inbox.chunk(Egress), b"12");
    inbox.consume(Egress, 2);
    assert_eq!(inbox.chunk(Egress), b"");
    assert_eq!(peer.send(Egress, b""[..].into(), &sender), Ok(0));
    assert_eq!(format!("{peer:?}"), "Peer { egress: 0, ingress: 2 }");
}

#[test]
fn what_does_not_fit_is_not_accepted_and_its_sender_waits() {
    let mut inbox = Inbox::new(10, bell().1);
    let (bell, sender) = bell();
    let peer = inbox.peer();
    assert_eq!(peer.send(Egress, b"123456"[..].into(), &sender), Ok(6));
    for _ in 0..3 {
        let full = peer.send(Egress, b"abcde"[..].into(), &sender);
        assert_eq!(full, Err(RedirectError::Full));
    }
    // The other direction has room of its own.
    assert_eq!(peer.send(Ingress, b"abcde"[..].into(), &sender), Ok(5));
    inbox.chunk(Egress);
    assert_eq!(bell.rings(), 0);
    inbox.consume(Egress, 1);
    assert_eq!(bell.rings(), 1, "once, however often it tried");
    inbox.consume(Egress, 5);
    assert_eq!(bell.rings(), 1);
    assert_eq!(peer.send(Egress, b"abcde"[..].into(), &sender), Ok(5));
}

#[test]
fn a_sender_is_notified_when_half_of_the_room_is_free() {
    let mut inbox = Inbox::new(10, bell().1);
    let ((first, second), peer) = ((bell(), bell()), inbox.peer());
    peer.send(Egress, b"0123456789"[..].into(), &first.1)
        .unwrap();
    for sender in [&first.1, &second.1] {
        let full = peer.send(Egress, b"x"[..].into(), sender);
        assert_eq!(full, Err(RedirectError::Full));
    }
    inbox.chunk(Egress);
    inbox.consume(Egress, 4);
    assert_eq!((first.0.rings(), second.0.rings()), (0, 0));
    inbox.consume(Egress, 1);
    assert_eq!((first.0.rings(), second.0.rings()), (1, 1));
}

#[test]
fn a_chunk_longer_than_the_limit_goes_in_pieces() {
    let mut inbox = Inbox::new(4, bell().1);
    let (peer, sender) = (inbox.peer(), bell().1);
    assert_eq!(peer.send(Egress, b"012345"[..].into(), &sender), Ok(4));
    let full = peer.send(Egress, b"45"[..].into(), &sender);
    assert_eq!(full, Err(RedirectError::Full));
    assert_eq!(inbox.chunk(Egress), b"0123");
    inbox.consume(Egress, 4);
    assert_eq!(peer.send(Egress, b"45"[..].into(), &sender), Ok(2));
}

#[test]
fn small_pieces_are_joined_and_large_ones_are_not() {
    let mut inbox = Inbox::new(1 << 20, bell().1);
    let (peer, sender) = (inbox.peer(), bell().1);
    for len in [96, 4000, 1, 5000, 2] {
        assert_eq!(peer.send(Egress, vec![0; len][..].into(), &sender), Ok(len));
    }
    for len in [4096, 1, 5000, 2, 0] {
        assert_eq!(inbox.chunk(Egress).len(), len);
        inbox.consume(Egress, len);
    }
}

#[test]
fn a_limit_of_nothing_lets_one_byte_through() {
    let mut inbox = Inbox::new(0, bell().1);
    let (peer, sender) = (inbox.peer(), bell().1);
    assert_eq!(peer.send(Egress, b"ab"[..].into(), &sender), Ok(1));
    assert_eq!(inbox.chunk(Egress), b"a");
}

#[test]
fn an_owner_is_notified_when_bytes_come_where_none_were() {
    let (owner_bell, owner) = bell();
    let mut inbox = Inbox::new(100, owner);
    let (peer, sender) = (inbox.peer(), bell().1);
    for (rings, bytes) in [(1, "a"), (1, "b")] {
        peer.send(Ingress, bytes.as_bytes().into(), &sender)
            .unwrap();
        assert_eq!(owner_bell.rings(), rings);
    }
    peer.send(Egress, b"c"[..].into(), &sender).unwrap();
    assert_eq!(owner_bell.rings(), 2);
    assert_eq!(inbox.chunk(Ingress), b"ab");
    inbox.consume(Ingress, 2);
    peer.send(Ingress, b"d"[..].into(), &sender).unwrap();
    assert_eq!(owner_bell.rings(), 3);
}

#[test]
fn a_closed_direction_takes_nothing_and_keeps_what_it_has() {
    let mut inbox = Inbox::new(4, bell().1);
    let ((bell, sender), peer) = (bell(), inbox.peer());
    peer.send(Egress, b"abcd"[..].into(), &sender).unwrap();
    peer.send(Egress, b"e"[..].into(), &sender).unwrap_err();
    inbox.close(Egress);
    assert_eq!(bell.rings(), 1, "to find out");
    let closed = peer.send(Egress, b"e"[..].into(), &sender);
    assert_eq!(closed, Err(RedirectError::Closed));
    assert!(peer.is_closed(Egress) && !peer.is_closed(Ingress));
    assert_eq!(inbox.chunk(Egress), b"abcd");
    assert_eq!(peer.send(Ingress, b"f"[..].into(), &sender), Ok(1));
}

#[test]
fn a_dropped_inbox_is_closed_and_frees_what_waited() {
    let inbox = Inbox::new(4, bell().1);
    let ((bell, sender), peer) = (bell(), inbox.peer());
    peer.send(Ingress, b"abcd"[..].into(), &sender).unwrap();
    peer.send(Ingress, b"e"[..].into(), &sender).unwrap_err();
    drop(inbox);
    assert_eq!(bell.rings(), 1);
    assert_eq!(peer.waiting(Ingress), 0);
    for direction in [Egress, Ingress] {
        let closed = peer.send(direction, b"e"[..].into(), &sender);
        assert_eq!(closed, Err(RedirectError::Closed));
    }
}

#[test]
fn errors_have_the_meaning_of_a_sockets() {
    let kind = |error| io::Error::from(error).kind();
    assert_eq!(kind(RedirectError::Full), io::ErrorKind::WouldBlock);
    assert_eq!(kind(RedirectError::Closed), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_sender_that_waited_and_is_gone_is_not_kept() {
    let inbox = Inbox::new(1, bell().1);
    let peer = inbox.peer();
    peer.send(Egress, b"0"[..].into(), &bell().1).unwrap();
    let (sender_bell, sender) = bell();
    let full = peer.send(Egress, b"1"[..].into(), &sender);
    assert_eq!(full, Err(RedirectError::Full));
    drop(sender);
    assert_eq!(Arc::strong_count(&sender_bell), 1);
}
