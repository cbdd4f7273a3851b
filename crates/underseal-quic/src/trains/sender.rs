//! The task that sends what nobody else does.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use quinn::UdpPoller;

use super::socket::{PLACES, Socket};

/// Sends trains that did not grow since it looked last. It runs in turn with the connections that fill
/// them, so that each had its own turn meanwhile; and ends with the socket.
pub(super) struct Sender {
    socket: Weak<Socket>,
    poller: Pin<Box<dyn UdpPoller>>,
    /// Bytes of each train when it looked last.
    seen: [usize; PLACES],
}

impl Sender {
    pub(super) fn of(socket: &Arc<Socket>) -> Self {
        Self {
            socket: Arc::downgrade(socket),
            poller: socket.poller(),
            seen: [0; PLACES],
        }
    }

    /// Sends what it should now; whether something may grow still.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] where the socket is full.
    fn send(&mut self, socket: &Socket) -> io::Result<bool> {
        let mut seen = [0; PLACES];
        for place in socket.held() {
            seen[place] = socket.send_at(place, self.seen[place])?;
        }
        self.seen = seen;
        Ok(socket.held().next().is_some())
    }
}

impl Future for Sender {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(socket) = this.socket.upgrade() else {
            return Poll::Ready(());
        };
        // Before it looks, so that what is held meanwhile wakes it.
        socket.register(cx.waker());
        loop {
            match this.send(&socket) {
                Ok(false) => return Poll::Pending,
                Ok(true) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(_) => {
                    if ready!(this.poller.as_mut().poll_writable(cx)).is_err() {
                        // The runtime ends. What is held leaves with what is sent next, if anything is.
                        return Poll::Ready(());
                    }
                }
            }
        }
    }
}
