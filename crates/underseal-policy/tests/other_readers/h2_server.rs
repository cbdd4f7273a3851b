//! A server of the crate `h2` that is given bytes, and what it made of them.

use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection};
use http::{Request, Response};

use super::memory::{Memory, Peer};

/// What `h2` made of a connection.
pub(crate) struct Seen {
    /// The requests that it handed out.
    pub(crate) requests: Vec<SeenRequest>,
    /// What it sent.
    pub(crate) answers: Vec<u8>,
    /// Whether the connection ended as one does that nothing is wrong with.
    pub(crate) is_clean: bool,
}

/// A request that `h2` handed out.
pub(crate) struct SeenRequest {
    pub(crate) stream: u32,
    pub(crate) head: http::request::Parts,
    /// Bytes of its body.
    pub(crate) content: usize,
    /// Whether the body came to its end.
    pub(crate) is_whole: bool,
}

/// Gives `bytes` to a server that answers each request with 200 and reads its body.
pub(crate) fn serve(bytes: &[u8], piece: usize) -> Seen {
    let (memory, peer) = Memory::new(bytes, piece);
    let polls = 16 * bytes.len() + 1000;
    let mut handshake = pin!(Builder::new().handshake::<_, Bytes>(memory));
    let mut server = Server::default();
    let handshake = peer.drive(polls, |context| handshake.as_mut().poll(context));
    let is_clean = handshake.is_ok_and(|mut connection| {
        peer.drive(polls, |context| {
            server.poll(&mut connection, &peer, context)
        })
    });
    Seen {
        requests: server.open.into_iter().map(|(seen, _)| seen).collect(),
        answers: peer.answers(),
        is_clean,
    }
}

/// The requests so far, and what is left of their bodies.
#[derive(Default)]
struct Server {
    open: Vec<(SeenRequest, RecvStream)>,
}

impl Server {
    /// Ready when the connection has ended; whether it ended well.
    fn poll(
        &mut self,
        connection: &mut Connection<Memory, Bytes>,
        peer: &Peer,
        context: &mut Context<'_>,
    ) -> Poll<bool> {
        let accepted = connection.poll_accept(context);
        if let Poll::Ready(Some(Ok((request, mut respond)))) = accepted {
            let stream = respond.stream_id().as_u32();
            // The stream may be gone already, and then nobody waits for the answer.
            let _ = respond.send_response(Response::new(()), true);
            self.add(stream, request);
            peer.progress();
            return Poll::Pending;
        }
        for (seen, body) in &mut self.open {
            read_body(seen, body, context);
        }
        match accepted {
            Poll::Ready(None) => Poll::Ready(true),
            Poll::Ready(Some(Err(_))) => Poll::Ready(false),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => Poll::Pending,
        }
    }

    fn add(&mut self, stream: u32, request: Request<RecvStream>) {
        let (head, body) = request.into_parts();
        let seen = SeenRequest {
            stream,
            head,
            content: 0,
            is_whole: false,
        };
        self.open.push((seen, body));
    }
}

fn read_body(seen: &mut SeenRequest, body: &mut RecvStream, context: &mut Context<'_>) {
    while let Poll::Ready(read) = body.poll_data(context) {
        match read {
            Some(Ok(content)) => {
                seen.content += content.len();
                let _ = body.flow_control().release_capacity(content.len());
            }
            Some(Err(_)) => return,
            None => {
                let trailers = body.poll_trailers(context);
                seen.is_whole |= matches!(trailers, Poll::Ready(Ok(_)));
                return;
            }
        }
    }
}
