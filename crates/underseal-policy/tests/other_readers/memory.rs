//! A connection whose peer has said everything already.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a peer sent, piece by piece. It pauses after each, and ends when it is told to.
pub(crate) struct Memory {
    sent: Vec<u8>,
    at: usize,
    piece: usize,
    pauses: bool,
    peer: Rc<Peer>,
}

/// The other end of a [`Memory`].
#[derive(Default)]
pub(crate) struct Peer {
    answers: RefCell<Vec<u8>>,
    /// Counts whatever happens.
    progress: Cell<usize>,
    ends: Cell<bool>,
}

impl Memory {
    /// A peer that sent these bytes, of which `piece` come at a time.
    pub(crate) fn new(sent: &[u8], piece: usize) -> (Self, Rc<Peer>) {
        let peer = Rc::default();
        let memory = Self {
            sent: sent.to_vec(),
            at: 0,
            piece: piece.max(1),
            pauses: false,
            peer: Rc::clone(&peer),
        };
        (memory, peer)
    }
}

impl Peer {
    /// What it was answered.
    pub(crate) fn answers(&self) -> Vec<u8> {
        self.answers.borrow().clone()
    }

    /// Notes that something happened.
    pub(crate) fn progress(&self) {
        self.progress.set(self.progress.get() + 1);
    }

    /// Polls until there is a result, and ends the peer's bytes once nothing happens any more: only
    /// then, because `h2` forgets the requests that it has not handed out when a connection ends.
    ///
    /// Nothing waits for anybody, so that the number of polls is bounded by what there is to read.
    pub(crate) fn drive<T>(
        &self,
        limit: usize,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> T {
        let mut context = Context::from_waker(Waker::noop());
        let (mut before, mut idle) = (0, 0);
        for _ in 0..limit {
            if let Poll::Ready(done) = poll(&mut context) {
                return done;
            }
            let now = self.progress.get();
            idle = if now == before { idle + 1 } else { 0 };
            before = now;
            if idle > 4 {
                self.ends.set(true);
            }
        }
        panic!("no end after {limit} polls");
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.sent.len() - self.at;
        if left == 0 && self.peer.ends.get() {
            return Poll::Ready(Ok(()));
        }
        self.pauses = !self.pauses;
        if left == 0 || !self.pauses {
            return Poll::Pending;
        }
        let len = left.min(self.piece).min(buffer.remaining());
        buffer.put_slice(&self.sent[self.at..self.at + len]);
        self.at += len;
        self.peer.progress();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.peer.answers.borrow_mut().extend_from_slice(bytes);
        self.peer.progress();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
