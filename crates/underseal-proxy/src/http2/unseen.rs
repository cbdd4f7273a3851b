//! Requests that the library refuses by itself. Nobody is given them, so that what goes by on the wire has
//! to say that they were there: each request has its line in the log.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use super::frames::{Frame, HEADERS, RST_STREAM};

/// Most streams that are remembered, more than a client may have at once: of those that come after the
/// end was announced, the library says nothing.
const MOST: usize = 256;

/// How a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its list of fields is too long: it was answered, 431.
    TooLong,
    /// It is none, or one too many at once: its stream was reset.
    Reset,
}

/// The streams of a connection that nobody was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Unseen(Rc<RefCell<Streams>>);

#[derive(Debug, Default)]
struct Streams {
    /// The last that was begun.
    last: u32,
    /// Those that were, in their order.
    begun: VecDeque<u32>,
    /// Those of them whose end was said.
    refused: Vec<(u32, Refused)>,
}

impl Unseen {
    /// Looks at a frame of the client.
    pub(super) fn received(&self, frame: &Frame) {
        if frame.kind != HEADERS {
            return;
        }
        let mut streams = self.0.borrow_mut();
        if frame.stream <= streams.last {
            return;
        }
        streams.last = frame.stream;
        if streams.begun.len() == MOST {
            streams.begun.pop_front();
        }
        streams.begun.push_back(frame.stream);
    }

    /// Looks at a frame that goes to it: of a stream that nobody was given, it is the library's.
    pub(super) fn sent(&self, frame: &Frame) {
        let refused = match frame.kind {
            HEADERS => Refused::TooLong,
            RST_STREAM => Refused::Reset,
            _ => return,
        };
        let mut streams = self.0.borrow_mut();
        if streams.forget(frame.stream) {
            streams.refused.push((frame.stream, refused));
        }
    }

    /// Somebody was given a stream. It may have been reset before.
    pub(super) fn give(&self, stream: u32) {
        let mut streams = self.0.borrow_mut();
        if !streams.forget(stream) {
            streams.refused.retain(|(refused, _)| *refused != stream);
        }
    }

    /// How those were refused that nobody will be given: to be called where there is none to be given.
    pub(super) fn refused(&self) -> Vec<Refused> {
        let refused = mem::take(&mut self.0.borrow_mut().refused);
        refused.into_iter().map(|(_, refused)| refused).collect()
    }
}

impl Streams {
    /// Says whether it had begun, and nobody been given it.
    fn forget(&mut self, stream: u32) -> bool {
        let place = self.begun.iter().position(|begun| *begun == stream);
        place.is_some_and(|place| self.begun.remove(place).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32) -> Frame {
        Frame {
            length: 0,
            kind,
            flags: 0,
            stream,
        }
    }

    #[test]
    fn a_stream_that_ends_without_being_given_was_refused() {
        let unseen = Unseen::default();
        for stream in [1, 3, 5, 7] {
            unseen.received(&frame(HEADERS, stream));
        }
        unseen.give(1);
        for sent in [
            frame(HEADERS, 1),
            frame(HEADERS, 3),
            frame(RST_STREAM, 3),
            frame(RST_STREAM, 5),
            frame(RST_STREAM, 7),
        ] {
            unseen.sent(&sent);
        }
        // Trailers begin nothing.
        unseen.received(&frame(HEADERS, 3));
        // It was reset before somebody looked.
        unseen.give(7);
        assert_eq!(unseen.refused(), [Refused::TooLong, Refused::Reset]);
        assert_eq!(unseen.refused(), []);
    }

    #[test]
    fn streams_that_are_never_spoken_of_are_forgotten() {
        let unseen = Unseen::default();
        for stream in 0..10_000 {
            unseen.received(&frame(HEADERS, 2 * stream + 1));
        }
        assert_eq!(unseen.0.borrow().begun.len(), MOST);
    }
}
