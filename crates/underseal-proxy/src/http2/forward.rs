//! Requests on their way: judged, sent, and sent once more where that is certain to do no harm.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use underseal_http::Outgoing;

use super::Client;
use super::exchange::{Exchange, Outcome, Stopped};
use super::kept::Kept;
use crate::backend::Unreachable;
use crate::exchange::{self as rules, Allowed, Denied, Retry, Unreached};
use crate::http1::Fault;
use crate::parts::Received;
use crate::upstream::{Lost, Reached, Sends, Upstream};
use crate::websocket;
use underseal_server::deadline::Deadline;

/// A request that goes on, if policies allow that.
pub(super) struct Forwarding<'a> {
    pub(super) client: &'a Client,
    pub(super) deadline: &'a Deadline,
    pub(super) outgoing: &'a Outgoing,
    pub(super) is_head: bool,
    /// Of a request for WebSocket.
    pub(super) websocket: Option<websocket::Key>,
}

impl Forwarding<'_> {
    /// Has a backend answer, and once more where that is certain to do no harm.
    pub(super) async fn run(
        &self,
        respond: &mut SendResponse<Bytes>,
        body: Option<Received>,
        (line, begun): (&mut Vec<u8>, usize),
    ) -> Outcome {
        let Self {
            client,
            deadline,
            is_head,
            ..
        } = *self;
        let body = body.map(|body| Kept::new(body, self.outgoing));
        let mut retry = Retry::new(self.outgoing);
        let mut again = None;
        loop {
            let sends = match self.websocket {
                Some(key) => Sends::WebSocket(key),
                None => Sends::body(body.is_some()),
            };
            let waiting = (&mut *respond, body.as_ref());
            let sent = self.send(waiting, sends, (&mut *line, begun), again);
            let upstream = match sent.await {
                Ok(upstream) => upstream,
                Err(NotSent::Denied) => return Outcome::answered(client, respond, 403, is_head),
                Err(NotSent::ClientLeft) => return Stopped::ClientCut.reset(respond),
                // The next one is a new one.
                Err(NotSent::Lost(lost)) if retry.follows(lost.why) => continue,
                Err(NotSent::Lost(Lost { fault, .. }) | NotSent::Fault(fault)) => {
                    return Outcome::failed(client, respond, fault, is_head);
                }
            };
            let target = upstream.target();
            let source = body.as_ref().map(Kept::reader);
            let mut exchange = Exchange::new(client, deadline, respond, (upstream, source));
            let stopped = match exchange.head().await {
                Ok(found) => {
                    body.iter().for_each(Kept::forget);
                    return exchange.body(found, is_head).await;
                }
                Err(stopped) => stopped,
            };
            let is_whole = body.as_ref().is_none_or(Kept::is_whole);
            if let Stopped::Lost(lost) = stopped
                && is_whole
                && retry.follows(lost.once_begun(exchange.interims.have_come()).why)
            {
                again = Some(target);
                continue;
            }
            let upstream = exchange.upstream;
            let mut outcome = stopped.unanswered(client, respond, &upstream, is_head);
            outcome.bytes_in = upstream.passed();
            outcome.backend = Some(client.service.backends.name_of(target).into());
            upstream.abort();
            return outcome;
        }
    }

    /// Has what goes on judged, and begins to send it to a backend, if the client waits for that.
    async fn send(
        &self,
        client: (&mut SendResponse<Bytes>, Option<&Kept>),
        sends: Sends,
        line: (&mut Vec<u8>, usize),
        again: Option<usize>,
    ) -> Result<Upstream, NotSent> {
        let (reached, allowed) = self.reach(client, line, again).await?;
        let worker = &self.client.worker;
        let head = (allowed, &rules::scheme(&self.client.session));
        Upstream::begin(&worker.process, reached, head, sends).map_err(NotSent::Lost)
    }

    /// A connection to a backend, and what may be sent on it.
    async fn reach(
        &self,
        (respond, body): (&mut SendResponse<Bytes>, Option<&Kept>),
        line: (&mut Vec<u8>, usize),
        again: Option<usize>,
    ) -> Result<(Reached, Allowed<&Outgoing>), NotSent> {
        let (worker, service) = (&self.client.worker, &*self.client.service);
        let (session, upstreams) = (&self.client.session, &self.client.upstreams);
        let parts = (&worker.listener, &worker.process);
        let connect = async || match upstreams.at_hand(service, again) {
            Ok(reached) => Ok(reached),
            Err(index) => {
                let reach = upstreams.reach((parts.1, service), self.deadline, index);
                // Boxed because it is rare and large.
                unless_reset((&mut *respond, body), Box::pin(reach).as_mut()).await
            }
        };
        match rules::reach_for(parts, session, self.outgoing, line, connect).await {
            Ok(reached) => Ok(reached),
            Err(Unreached::Nobody(not_sent)) => Err(not_sent),
            Err(Unreached::Denied(denied, unused)) => {
                unused
                    .into_iter()
                    .for_each(|unused| upstreams.give_back(unused));
                Err(match denied {
                    Denied::Policy => NotSent::Denied,
                    Denied::Unasked(fault) => NotSent::Fault(fault),
                })
            }
        }
    }
}

/// Why a request is not sent.
#[derive(Clone, Copy, Debug)]
enum NotSent {
    /// By a policy.
    Denied,
    /// The client reset its stream, or its connection ended.
    ClientLeft,
    /// There was a connection, and nothing was sent on it.
    Lost(Lost),
    Fault(Fault),
}

/// Runs `future` as long as the client waits for an answer; what comes of its body meanwhile is held.
///
/// # Errors
/// Those of `future`; [`NotSent::ClientLeft`] if nobody waits any more.
async fn unless_reset<T, F: Future<Output = Result<T, Unreachable>>>(
    (respond, body): (&mut SendResponse<Bytes>, Option<&Kept>),
    mut future: Pin<&mut F>,
) -> Result<T, NotSent> {
    poll_fn(|cx| {
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(done.map_err(|why| NotSent::Fault(Fault::Unreachable(why))));
        }
        body.into_iter().for_each(|body| body.hold(cx));
        respond.poll_reset(cx).map(|_| Err(NotSent::ClientLeft))
    })
    .await
}
