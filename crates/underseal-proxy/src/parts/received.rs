//! What comes on a stream of HTTP/2.

use std::io;
use std::mem;
use std::task::{Context, Poll, ready};

use h2::RecvStream;

use super::held::Held;
use super::{Part, Parts};
use crate::flow::Broken;

/// The body that is received on a stream. The other end may send more as it is passed on.
pub(crate) struct Received {
    stream: RecvStream,
    /// Boxed because few hold anything.
    held: Option<Box<Held>>,
    /// Whether all of the data has come, and trailers may.
    after_data: bool,
    /// Bytes that were given out and whose window was not given back yet.
    unreleased: usize,
}

impl From<RecvStream> for Received {
    fn from(stream: RecvStream) -> Self {
        Self {
            stream,
            held: None,
            after_data: false,
            unreleased: 0,
        }
    }
}

#[cfg(test)]
impl Received {
    /// Whether all of the data has come, and been taken.
    pub(crate) fn has_come(&self) -> bool {
        self.stream.is_end_stream()
    }
}

impl Parts for Received {
    fn is_at_end(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.is_empty()) && self.stream.is_end_stream()
    }

    fn hold(&mut self, cx: &mut Context<'_>) {
        while !self.after_data
            && let Poll::Ready(Some(Ok(data))) = self.stream.poll_data(cx)
        {
            self.held.get_or_insert_default().put(data);
        }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        let passed_on = mem::take(&mut self.unreleased);
        if passed_on > 0
            && let Err(error) = self.stream.flow_control().release_capacity(passed_on)
        {
            return Poll::Ready(Some(Err(broken(error))));
        }
        if let Some(data) = self.held.as_mut().and_then(|held| held.take()) {
            self.unreleased = data.len();
            return Poll::Ready(Some(Ok(Part::Data(data))));
        }
        if !self.after_data {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.unreleased = data.len();
                    return Poll::Ready(Some(Ok(Part::Data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
                None => self.after_data = true,
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Part::Trailers(trailers))),
            Err(error) => Some(Err(broken(error))),
        })
    }
}

fn broken(error: h2::Error) -> Broken {
    Broken::Source(io::Error::other(error))
}
