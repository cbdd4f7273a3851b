//! What comes back on a stream of HTTP/2 to a backend: heads, and then a body.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::client::ResponseFuture;
use underseal_http::http1::ResponseRefusal;

use super::Event;
use crate::exchange::response::{MAX_INTERIM, from_http2};
use crate::flow::Broken;
use crate::parts::{Part, Parts, Received};

/// The answer to a request. Its parts are those of the body, once the head has come.
pub(super) struct Answer {
    response: ResponseFuture,
    /// Boxed because few have any.
    early: Option<Box<Early>>,
    body: Option<Received>,
}

/// Heads that came before anybody wanted them.
#[derive(Default)]
struct Early {
    heads: VecDeque<Result<Event, Unanswerable>>,
}

/// Why no head comes.
#[derive(Debug)]
pub(super) enum Unanswerable {
    Lost(h2::Error),
    Bad(ResponseRefusal),
}

impl From<ResponseFuture> for Answer {
    fn from(response: ResponseFuture) -> Self {
        Self {
            response,
            early: None,
            body: None,
        }
    }
}

impl Answer {
    /// The next head: interim ones, and then one that is final.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Unanswerable>> {
        if let Some(early) = &mut self.early
            && let Some(head) = early.heads.pop_front()
        {
            return Poll::Ready(head);
        }
        self.poll_received(cx)
    }

    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Unanswerable>> {
        if let Poll::Ready(Some(interim)) = self.response.poll_informational(cx) {
            let interim = interim.map_err(Unanswerable::Lost)?;
            let (head, ()) = interim.into_parts();
            let head = from_http2(head).map_err(Unanswerable::Bad)?;
            return Poll::Ready(Ok(Event::Interim(head)));
        }
        let response = ready!(Pin::new(&mut self.response).poll(cx)).map_err(Unanswerable::Lost)?;
        let (head, body) = response.into_parts();
        let head = from_http2(head).map_err(Unanswerable::Bad)?;
        self.body = Some(Received::from(body));
        Poll::Ready(Ok(Event::Final(head)))
    }

    /// Whether another head may come that can be kept. Beyond so many the response is refused.
    fn may_keep_head(&self) -> bool {
        let early = self.early.as_deref().map(|early| &early.heads);
        let has_room = early.is_none_or(|heads| heads.len() <= MAX_INTERIM.into());
        let is_lost = early.is_some_and(|heads| matches!(heads.back(), Some(Err(_))));
        self.body.is_none() && has_room && !is_lost
    }
}

impl Parts for Answer {
    fn is_at_end(&self) -> bool {
        self.body.is_at_end()
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        self.body.poll_part(cx)
    }

    fn hold(&mut self, cx: &mut Context<'_>) {
        while self.may_keep_head()
            && let Poll::Ready(head) = self.poll_received(cx)
        {
            self.early.get_or_insert_default().heads.push_back(head);
        }
        self.body.hold(cx);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};

    use super::*;

    /// Pieces of a body, which are more than the library leaves unread.
    const PIECE: &[u8] = b"twenty bytes of data";
    const PIECES: usize = 3000;
    const BURST: usize = 100;

    /// A server that sends two interim responses, and then a body in small pieces.
    async fn serve(io: tokio::io::DuplexStream) -> Result<(), h2::Error> {
        let mut connection = h2::server::handshake(io).await?;
        let (_, mut respond) = connection.accept().await.expect("a request")?;
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        for hint in ["a", "b"] {
            let interim = Response::builder().status(103).header("hint", hint);
            respond.send_informational(interim.body(()).expect("a head"))?;
        }
        let mut sink = respond.send_response(Response::new(()), false)?;
        for piece in 1..=PIECES {
            sink.reserve_capacity(PIECE.len());
            poll_fn(|cx| sink.poll_capacity(cx)).await;
            sink.send_data(Bytes::from_static(PIECE), piece == PIECES)?;
            if piece % BURST == 0 {
                // The clock stands until there is nothing else to do: all of it is received, and may be taken.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    async fn next_head(answer: &mut Answer) -> Result<Event, Unanswerable> {
        poll_fn(|cx| answer.poll_head(cx)).await
    }

    /// Whoever waits to pass an interim response on leaves nothing in the connection that others share:
    /// not the heads behind it, and not the body.
    #[tokio::test(start_paused = true)]
    async fn what_comes_behind_a_head_that_cannot_be_passed_on_is_held() {
        let (near, far) = tokio::io::duplex(4 * 1024 * 1024);
        tokio::spawn(serve(far));
        let (mut sender, connection) = h2::client::Builder::new()
            .data_frame_budget(PIECES / 4 * 256)
            .handshake::<_, Bytes>(near)
            .await
            .expect("HTTP/2");
        let mut connection = tokio::spawn(connection);
        let request = Request::get("http://a.test/").body(()).expect("a request");
        let (response, _) = sender.send_request(request, true).expect("a stream");
        let mut answer = Answer::from(response);

        let Ok(Event::Interim(first)) = next_head(&mut answer).await else {
            panic!("no interim response");
        };
        assert_eq!(first.headers()["hint"], "a");
        // Nobody takes it meanwhile.
        let held = poll_fn(|cx| {
            answer.hold(cx);
            match answer.body.as_ref().is_some_and(Received::has_come) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        tokio::select! {
            ended = &mut connection => panic!("the connection ended: {ended:?}"),
            held = tokio::time::timeout(Duration::from_secs(30), held) => held.expect("it is held"),
        }

        let Ok(Event::Interim(second)) = next_head(&mut answer).await else {
            panic!("no other interim response");
        };
        assert_eq!(second.headers()["hint"], "b");
        assert!(matches!(next_head(&mut answer).await, Ok(Event::Final(_))));
        let mut length = 0;
        while let Some(part) = poll_fn(|cx| answer.poll_part(cx)).await {
            let Ok(Part::Data(data)) = part else {
                panic!("no data: {part:?}");
            };
            length += data.len();
        }
        assert_eq!(length, PIECES * PIECE.len());
    }
}
