//! A client's body that may have to be sent once more: what is short is kept until its response begins.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use underseal_http::Outgoing;

use crate::exchange::MAX_KEPT;
use crate::flow::Broken;
use crate::parts::{Part, Parts, Received};

/// Into how many parts what is kept may be cut.
const MAX_PARTS: usize = 256;

/// A body, and what of it may have to be sent once more.
pub(super) struct Kept(Rc<RefCell<Inner>>);

/// A body as one try sends it, from its start.
pub(super) struct Reader {
    inner: Rc<RefCell<Inner>>,
    /// Which try.
    number: u32,
}

struct Inner {
    source: Received,
    has_ended: bool,
    /// What came of it, and how much of that the current reader was given.
    parts: VecDeque<Part>,
    given: usize,
    len: usize,
    /// Whether parts are kept that were given.
    keeps: bool,
    /// The current reader: those before it get nothing any more.
    number: u32,
}

impl Kept {
    /// The body of what goes on; one that says that it is long is not kept.
    pub(super) fn new(source: Received, outgoing: &Outgoing) -> Self {
        let request = outgoing.request();
        let mut lengths = request.header(b"content-length");
        let is_long = lengths.any(|length| {
            let length = str::from_utf8(length).ok();
            !length
                .is_some_and(|length| length.parse().is_ok_and(|length: usize| length <= MAX_KEPT))
        });
        Self(Rc::new(RefCell::new(Inner {
            source,
            has_ended: false,
            parts: VecDeque::new(),
            given: 0,
            len: 0,
            keeps: !is_long,
            number: 0,
        })))
    }

    /// Whether all that came of it is still there.
    pub(super) fn is_whole(&self) -> bool {
        self.0.borrow().keeps
    }

    /// The body from its start, in the place of any reader before.
    pub(super) fn reader(&self) -> Reader {
        let mut inner = self.0.borrow_mut();
        inner.number += 1;
        inner.given = 0;
        Reader {
            inner: Rc::clone(&self.0),
            number: inner.number,
        }
    }

    /// Takes what has come, while nobody passes it on: see [`Parts::hold`].
    pub(super) fn hold(&self, cx: &mut Context<'_>) {
        self.0.borrow_mut().source.hold(cx);
    }

    /// Keeps nothing any more: the response has begun.
    pub(super) fn forget(&self) {
        self.0.borrow_mut().forget();
    }
}

impl Parts for Reader {
    fn is_at_end(&self) -> bool {
        let inner = self.inner.borrow();
        inner.given == inner.parts.len() && inner.source.is_at_end()
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        let mut inner = self.inner.borrow_mut();
        if inner.number != self.number {
            let replaced = io::ErrorKind::ConnectionAborted.into();
            return Poll::Ready(Some(Err(Broken::Source(replaced))));
        }
        inner.poll_part(cx)
    }

    fn hold(&mut self, cx: &mut Context<'_>) {
        let mut inner = self.inner.borrow_mut();
        if inner.number == self.number {
            inner.source.hold(cx);
        }
    }
}

impl Inner {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        if let Some(part) = self.next_kept() {
            return Poll::Ready(Some(Ok(part)));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        let part = match ready!(self.source.poll_part(cx)) {
            Some(Ok(part)) => part,
            None => {
                self.has_ended = true;
                return Poll::Ready(None);
            }
            broken => return Poll::Ready(broken),
        };
        self.keep(&part);
        Poll::Ready(Some(Ok(part)))
    }

    fn next_kept(&mut self) -> Option<Part> {
        if !self.keeps {
            return self.parts.pop_front();
        }
        let part = self.parts.get(self.given)?;
        self.given += 1;
        Some(part.clone())
    }

    fn keep(&mut self, part: &Part) {
        if !self.keeps {
            return;
        }
        self.len += len(part);
        self.parts.push_back(match part {
            // A copy: what came in pieces would hold a buffer for each of them.
            Part::Data(data) => Part::Data(Bytes::copy_from_slice(data)),
            trailers @ Part::Trailers(_) => trailers.clone(),
        });
        self.given += 1;
        if self.len > MAX_KEPT || self.parts.len() > MAX_PARTS {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.parts.drain(..self.given);
        self.given = 0;
        self.keeps = false;
    }
}

/// Bytes that a part takes.
fn len(part: &Part) -> usize {
    match part {
        Part::Data(data) => data.len(),
        Part::Trailers(trailers) => {
            let fields = trailers.iter();
            let lengths = fields.map(|(name, value)| name.as_str().len() + value.len());
            lengths.sum()
        }
    }
}
