//! One end of a connection in a sequence: its stream, the tasks that read and write, and what is to
//! be read there.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use underseal::message::{MessageDirection, Notify, RedirectError};
use underseal::{KeyUpdateRequest, TlsStream};
use underseal_testkit::Faults;

use crate::stream_ends::Io;

/// Bytes that others may redirect to an end before it takes them.
const INBOX: usize = 5_000;

/// Bytes of one origin: how many were taken, and how many arrived, in order.
#[derive(Default)]
pub(crate) struct Flow {
    pub(crate) taken: usize,
    pub(crate) seen: usize,
}

impl Flow {
    pub(crate) fn is_whole(&self) -> bool {
        self.seen == self.taken
    }
}

/// The next `len` bytes of an origin. A prime, so that whole records that are lost show.
pub(crate) fn pattern(origin: u8, from: usize, len: usize) -> Vec<u8> {
    let numbers = from..from + len;
    numbers.map(|n| (n % 127) as u8 | origin << 7).collect()
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Call {
    Read(usize),
    FillBuf(usize),
    Write(usize),
    WriteMore(usize),
    Flush,
    Shutdown,
}

/// A task that is polled again only if it was woken.
#[derive(Default)]
pub(crate) struct Task {
    pub(crate) call: Option<Call>,
    woken: Arc<Woken>,
}

/// Whether somebody was told that it is worth to try again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.notify();
    }
}

impl Notify for Woken {
    fn notify(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    /// What the task waited for before is dropped.
    pub(crate) fn start(&mut self, call: Call) {
        self.call = Some(call);
        self.woken.notify();
    }

    fn waker(&self) -> Waker {
        self.woken.0.store(false, Ordering::Relaxed);
        Waker::from(Arc::clone(&self.woken))
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.call.is_some() && self.woken.0.load(Ordering::Relaxed)
    }
}

/// Somebody who redirects to one direction of a stream.
#[derive(Default)]
struct Sender {
    is_waiting: bool,
    woken: Arc<Woken>,
}

pub(crate) struct Side {
    pub(crate) stream: TlsStream<Io>,
    pub(crate) reader: Task,
    pub(crate) writer: Task,
    senders: [Sender; 2],
    /// What its peer sends, and what is redirected to be read here.
    pub(crate) incoming: [Flow; 2],
    pub(crate) is_closing: bool,
    pub(crate) is_closed: bool,
    pub(crate) has_ended: bool,
}

impl Side {
    pub(crate) fn new(stream: TlsStream<Io>) -> Self {
        Self {
            stream,
            reader: Task::default(),
            writer: Task::default(),
            senders: Default::default(),
            incoming: Default::default(),
            is_closing: false,
            is_closed: false,
            has_ended: false,
        }
    }

    pub(crate) fn set_faults(&mut self, write: Option<Faults>, read: Option<Faults>) {
        let (io, _) = self.stream.get_mut();
        if let Some(faults) = write {
            io.get_mut().set_write_faults(faults);
        }
        if let Some(faults) = read {
            io.get_mut().set_read_faults(faults);
        }
    }

    /// A future that is dropped after one poll: a flush sends what it left.
    pub(crate) fn update_key(&mut self, request: KeyUpdateRequest) {
        let updating = self.stream.key_update(request);
        if let Poll::Ready(result) = pin!(updating).poll(&mut Context::from_waker(Waker::noop())) {
            result.expect("a key update");
        }
        self.writer.start(Call::Flush);
    }

    /// Others' bytes: to be sent by this end, or to be read here. Returns how many it takes.
    pub(crate) fn redirect(&mut self, direction: MessageDirection, bytes: &[u8]) -> usize {
        let sender = &mut self.senders[direction as usize];
        let notify: Arc<dyn Notify> = Arc::clone(&sender.woken) as _;
        let target = self.stream.redirect_peer(INBOX);
        let sent = target.send(direction, bytes.into(), &notify);
        sender.is_waiting = sent == Err(RedirectError::Full);
        sender.woken.0.store(false, Ordering::Relaxed);
        sent.unwrap_or(0)
    }

    /// Whether nobody waits any more who redirects here.
    pub(crate) fn has_told_senders(&self) -> bool {
        let is_told = |sender: &Sender| sender.woken.0.load(Ordering::Relaxed);
        let mut senders = self.senders.iter();
        senders.all(|sender| !sender.is_waiting || is_told(sender))
    }

    pub(crate) fn shut_down(&mut self) {
        if !self.is_closed {
            self.is_closing = true;
            self.writer.start(Call::Shutdown);
        }
    }

    pub(crate) fn poll_reader(&mut self) {
        let waker = self.reader.waker();
        let mut cx = Context::from_waker(&waker);
        let stream = Pin::new(&mut self.stream);
        let polled = match self.reader.call {
            Some(Call::Read(len)) => {
                let mut out = vec![0; len];
                let mut out = ReadBuf::new(&mut out);
                let polled = stream.poll_read(&mut cx, &mut out);
                polled.map_ok(|()| out.filled().to_vec())
            }
            Some(Call::FillBuf(most)) => {
                let polled = stream.poll_fill_buf(&mut cx);
                polled.map_ok(|bytes| bytes[..most.min(bytes.len())].to_vec())
            }
            _ => return,
        };
        if let Poll::Ready(read) = polled {
            let read = read.expect("the peer breaks no rule");
            if let Some(Call::FillBuf(_)) = self.reader.call {
                Pin::new(&mut self.stream).consume(read.len());
            }
            self.reader.call = None;
            self.see(&read);
            self.has_ended |= read.is_empty();
        }
    }

    fn see(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let origin = byte >> 7;
            let flow = &mut self.incoming[usize::from(origin)];
            assert!(flow.seen < flow.taken, "bytes that nobody wrote");
            assert_eq!(*byte, pattern(origin, flow.seen, 1)[0], "out of order");
            flow.seen += 1;
        }
    }

    /// Polls what the writer waits for, whose next byte is the one at `from`. Returns how many bytes
    /// the stream takes.
    pub(crate) fn poll_writer(&mut self, from: usize) -> usize {
        let waker = self.writer.waker();
        let mut cx = Context::from_waker(&waker);
        let stream = Pin::new(&mut self.stream);
        let polled = match self.writer.call {
            Some(Call::Write(len)) => stream.poll_write(&mut cx, &pattern(0, from, len)),
            Some(Call::WriteMore(len)) => {
                let bytes = pattern(0, from, len);
                pin!(stream.get_mut().write_more(&bytes)).poll(&mut cx)
            }
            Some(Call::Shutdown) => stream.poll_shutdown(&mut cx).map_ok(|()| 0),
            _ => stream.poll_flush(&mut cx).map_ok(|()| 0),
        };
        let Poll::Ready(taken) = polled else {
            return 0;
        };
        self.is_closed |= self.writer.call == Some(Call::Shutdown);
        self.writer.call = None;
        taken.expect("the pipe is whole")
    }
}
