//! What comes on a stream of HTTP/2.

use std::io;
use std::mem;
use std::task::{Context, Poll, ready};

use h2::RecvStream;

use super::{Part, Parts};
use crate::flow::Broken;

/// The body that is received on a stream. The other end may send more as it is passed on.
pub(crate) struct Received {
    stream: RecvStream,
    /// Whether all of the data has come, and trailers may.
    after_data: bool,
    /// Bytes that were given out and whose window was not given back yet.
    unreleased: usize,
}

impl From<RecvStream> for Received {
    fn from(stream: RecvStream) -> Self {
        Self {
            stream,
            after_data: false,
            unreleased: 0,
        }
    }
}

impl Parts for Received {
    fn is_at_end(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        let passed_on = mem::take(&mut self.unreleased);
        if passed_on > 0
            && let Err(error) = self.stream.flow_control().release_capacity(passed_on)
        {
            return Poll::Ready(Some(Err(broken(error))));
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
