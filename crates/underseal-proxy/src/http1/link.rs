//! A request that is with a backend of either version, as its client of HTTP/1.1 sees it.

use std::task::{Context, Poll};

use crate::backend::Backend;
use crate::chunk::Chunk;
use crate::exchange::Unanswered;
use crate::flow::{Body, Broken, Flow, Replay, Waiting};
use crate::parts::{Framer, Framing, Parts as _, Unframed, Unframing};
use crate::policy::Guard;
use crate::stream::Stream;
use crate::upstream::Upstream;

/// What an exchange has of a backend.
pub(super) enum Link {
    /// Bodies pass as they are.
    Http1 { backend: Box<Backend>, up: Flow },
    /// Bodies are taken out of their framing, and put into it: the backend speaks HTTP/2, or the client
    /// HTTP/1.0, which has no chunks.
    Translated(Box<Translated>),
}

/// A request in another version than the client's, and its response.
pub(super) struct Translated {
    pub(super) upstream: Upstream,
    pub(super) up: Unframed,
    pub(super) down: Framer,
}

impl Link {
    /// To a backend of HTTP/1.1, which is to be sent `head` and `body`; that begins with what was
    /// `read` already.
    pub(super) fn http1(
        backend: Box<Backend>,
        head: Vec<u8>,
        (read, body): (Chunk, Body),
        guard: Guard,
    ) -> Self {
        let is_chunked = matches!(body, Body::Chunked(_));
        let mut up = Flow::new(read, body);
        if is_chunked {
            up = up.guarded(guard);
        }
        up.set_head(head);
        Self::Http1 { backend, up }
    }

    /// To one that has the head, in another version.
    pub(super) fn translated(upstream: Upstream, (read, body): (Chunk, Body)) -> Self {
        Self::Translated(Box::new(Translated {
            upstream,
            up: Unframed::new(read, body),
            down: Framer::until_close(),
        }))
    }

    /// Keeps what may have to be sent once more.
    pub(super) fn keep(&mut self) {
        match self {
            Self::Http1 { up, .. } => up.replay = Replay::of(&up.body),
            Self::Translated(far) => far.up.replay = Replay::of(&far.up.body),
        }
    }

    /// Keeps nothing any more.
    pub(super) fn forget(&mut self) {
        match self {
            Self::Http1 { up, .. } => up.replay.forget(),
            Self::Translated(far) => far.up.replay.forget(),
        }
    }

    /// Why there may be no response without anybody's fault, if that can be.
    pub(super) fn may_be_unanswered(&self) -> Option<Unanswered> {
        match self {
            Self::Http1 { backend, .. } => backend.may_be_unanswered(),
            Self::Translated(far) => far.upstream.may_be_unanswered(),
        }
    }

    /// Goes on with the request, until the backend has all of it.
    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        match self {
            Self::Http1 { backend, up } => up.poll(cx, client, &mut backend.stream),
            Self::Translated(far) => {
                let mut source = Unframing {
                    unframed: &mut far.up,
                    stream: client,
                };
                far.upstream.poll_upload(cx, &mut source)?;
                match far.upstream.is_sent() {
                    true => Poll::Ready(Ok(())),
                    false => Poll::Pending,
                }
            }
        }
    }

    /// Goes on with the response's body, until the client has all of it.
    pub(super) fn poll_download(
        &mut self,
        cx: &mut Context<'_>,
        flow: &mut Flow,
        client: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        match self {
            Self::Http1 { backend, .. } => flow.poll(cx, &mut backend.stream, client),
            Self::Translated(far) => {
                let mut source = Framing {
                    framer: &mut far.down,
                    parts: &mut far.upstream,
                };
                flow.poll(cx, &mut source, client)
            }
        }
    }

    /// Takes what has come of the response, though it cannot be passed on yet.
    pub(super) fn hold(&mut self, cx: &mut Context<'_>) {
        if let Self::Translated(far) = self {
            far.upstream.hold(cx);
        }
    }

    /// Where what the client sends can be read ahead to.
    pub(super) fn chunk(&mut self) -> &mut Chunk {
        match self {
            Self::Http1 { up, .. } => &mut up.chunk,
            Self::Translated(far) => &mut far.up.chunk,
        }
    }

    /// Whether more of the client may be read there: it comes behind all that was read before, and is
    /// not to be spliced.
    pub(super) fn may_read_ahead(&mut self, client: &mut Stream) -> bool {
        match self {
            Self::Http1 { backend, up } => up.may_read_ahead(client, &mut backend.stream),
            Self::Translated(_) => true,
        }
    }

    /// Whether the client is to send more, and what it sent has been taken.
    pub(super) fn waits_for_client(&self) -> bool {
        match self {
            Self::Http1 { up, .. } => up.waiting == Waiting::Source,
            Self::Translated(far) => far.upstream.waits_for_client(),
        }
    }

    /// Bytes of the request's body that were taken, framing included.
    pub(super) fn passed(&self) -> u64 {
        match self {
            Self::Http1 { up, .. } => up.passed,
            Self::Translated(far) => far.up.taken,
        }
    }

    /// Whether the client has sent all of its body.
    pub(super) fn is_read(&self) -> bool {
        match self {
            Self::Http1 { up, .. } => up.body.is_done(),
            Self::Translated(far) => far.up.body.is_done(),
        }
    }

    /// Has nobody else use the connection: its other end does not answer.
    pub(super) fn distrust(&self) {
        if let Self::Translated(far) = self {
            far.upstream.distrust();
        }
    }

    /// What was read, from the body's start; `None` if not all of that is there.
    pub(super) fn start(&self) -> Option<Chunk> {
        match self {
            Self::Http1 { up, .. } => up.replay.start(&up.chunk),
            Self::Translated(far) => far.up.replay.start(&far.up.chunk),
        }
    }

    /// Takes it apart: what was read beyond the body, and what is missing of it; a buffer that is not
    /// needed any more; and the backend.
    pub(super) fn into_rest(self) -> (Chunk, Body, Vec<u8>, Far) {
        match self {
            Self::Http1 { backend, mut up } => {
                let head = up.set_head(Vec::new());
                let (read, body) = up.into_rest();
                (read, body, head, Far::Http1(backend))
            }
            Self::Translated(mut far) => {
                let read = std::mem::take(&mut far.up.chunk);
                (read, far.up.body.clone(), Vec::new(), Far::Translated(far))
            }
        }
    }
}

/// A backend, after an exchange.
pub(super) enum Far {
    Http1(Box<Backend>),
    Translated(Box<Translated>),
}

impl Far {
    /// Ends what the exchange had of it, which is not whole.
    pub(super) fn abort(self) {
        match self {
            Self::Http1(backend) => backend.stream.abort(),
            Self::Translated(far) => far.upstream.abort(),
        }
    }
}
