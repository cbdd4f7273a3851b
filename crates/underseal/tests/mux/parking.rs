//! A worker that parks, and a stream whose code parks, too.

use std::io;
use std::pin::Pin;
use std::sync::mpsc::channel;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use underseal::Mux;
use underseal_testkit::PATIENCE;

use crate::bed::{frame, framing};

/// Gives one message. It takes replies once it was asked for long enough; until then it says each
/// time that it can be asked again, and parks its thread for no time, as a lock or a channel might.
struct Parks {
    message: Option<Vec<u8>>,
    writes: u8,
}

impl AsyncRead for Parks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.message.take() {
            Some(bytes) => buf.put_slice(&bytes),
            None => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Parks {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        if self.writes < 6 {
            cx.waker().wake_by_ref();
            thread::park_timeout(Duration::ZERO);
            return Poll::Pending;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_wake_up_is_not_lost_to_who_parks_meanwhile() {
    let mux = Mux::builder(framing()).reply_limit(1).build();
    let stream = Parks {
        message: Some(frame(b"?")),
        writes: 0,
    };
    mux.attach(stream).expect("attach");
    let mut worker = mux.worker();
    let (sent, done) = channel();
    thread::spawn(move || {
        let (_, mut replier) = worker.recv_blocking().expect("a message").into_parts();
        for _ in 0..2 {
            replier.send_blocking(&frame(b"a")).expect("it is open");
        }
        replier.finish();
        sent.send(()).expect("the test waits");
    });
    done.recv_timeout(PATIENCE)
        .expect("the worker sleeps for ever");
}
