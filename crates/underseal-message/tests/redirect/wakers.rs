//! Senders that block and senders that are polled, with the same notification.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use underseal_message::{Inbox, MessageDirection, Notify, Peer, RedirectError};

const STREAM: usize = 300_000;
const LIMIT: usize = 4096;

fn stream() -> Vec<u8> {
    (0..STREAM).map(|at| (at % 251) as u8).collect()
}

fn unpark(thread: Thread) -> Arc<dyn Notify> {
    Arc::new(move || thread.unpark())
}

fn send_blocking(peer: &Peer, bytes: &[u8]) {
    let sender = unpark(thread::current());
    for piece in bytes.chunks(1500) {
        while let Err(error) = peer.send(MessageDirection::Egress, piece.into(), &sender) {
            assert_eq!(error, RedirectError::Full);
            thread::park();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// As a runtime does: polls when the waker says so.
fn send_polled(peer: &Peer, bytes: &[u8]) {
    let waker = Arc::new(Mutex::new(Waker::noop().clone()));
    let sender: Arc<dyn Notify> = {
        let waker = Arc::clone(&waker);
        Arc::new(move || waker.lock().expect("nobody panics with it").wake_by_ref())
    };
    let mut pieces = bytes.chunks(1500).peekable();
    let mut sending = pin!(poll_fn(|cx| {
        while let Some(piece) = pieces.peek() {
            *waker.lock().expect("nobody panics with it") = cx.waker().clone();
            match peer.send(MessageDirection::Egress, (*piece).into(), &sender) {
                Ok(_) => pieces.next(),
                Err(RedirectError::Full) => return Poll::Pending,
                Err(error) => panic!("{error}"),
            };
        }
        Poll::Ready(())
    }));
    let task = Waker::from(Arc::new(Unpark(thread::current())));
    while sending
        .as_mut()
        .poll(&mut Context::from_waker(&task))
        .is_pending()
    {
        thread::park();
    }
}

fn receive(mut inbox: Inbox) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < STREAM {
        let chunk = inbox.chunk(MessageDirection::Egress);
        assert!(chunk.len() <= LIMIT, "more than the limit");
        received.extend_from_slice(chunk);
        let len = chunk.len();
        match len {
            0 => thread::park(),
            _ => inbox.consume(MessageDirection::Egress, len),
        }
    }
    received
}

#[test]
fn a_stream_goes_through_a_small_inbox() {
    for send in [send_blocking, send_polled] {
        let inbox = Inbox::new(LIMIT, unpark(thread::current()));
        let peer = inbox.peer();
        let sender = thread::spawn(move || send(&peer, &stream()));
        assert!(receive(inbox) == stream());
        sender.join().expect("the sender is done");
    }
}
