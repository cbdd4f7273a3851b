//! Requests on their way: judged, sent, and sent once more where that is certain to do no harm.

use h2::server::SendResponse;
use http::uri::Scheme;
use hyper::body::Bytes;
use underseal_http::Outgoing;

use super::Client;
use super::exchange::{Ending, Exchange, Stopped};
use super::kept::Kept;
use super::pump::Source;
use super::upstream::{Begun, Reached};
use crate::backend::{Known, Unreachable};
use crate::exchange::{self as rules, Allowed, Denied, Retry, Unanswered, Unreached};
use crate::http1::Fault;
use underseal_server::watch::Watch;

/// A request that goes on, if policies allow that.
pub(super) struct Forwarding<'a> {
    pub(super) client: &'a Client,
    pub(super) watch: &'a Watch,
    pub(super) outgoing: &'a Outgoing,
    pub(super) scheme: Scheme,
    pub(super) is_head: bool,
}

impl Forwarding<'_> {
    /// Has a backend answer, and once more where that is certain to do no harm.
    pub(super) async fn run(
        &self,
        respond: &mut SendResponse<Bytes>,
        body: Option<Source>,
        (line, begun): (&mut Vec<u8>, usize),
    ) -> Ending {
        let Self {
            client,
            watch,
            is_head,
            ..
        } = *self;
        let body = body.map(|body| Kept::new(body, self.outgoing));
        let mut retry = Retry::new(self.outgoing);
        let mut again = None;
        loop {
            let mut source = body.as_ref().map(|body| Source::Kept(body.reader()));
            let sent = self.send(&mut source, (&mut *line, begun), again).await;
            let begun = match sent {
                Ok(begun) => begun,
                Err(NotSent::Denied) => return Ending::answered(client, respond, 403, is_head),
                // The next one is a new one.
                Err(NotSent::Ended(_)) if retry.follows(Unanswered::Unprocessed) => continue,
                Err(NotSent::Ended(fault) | NotSent::Fault(fault)) => {
                    return Ending::failed(client, respond, fault, is_head);
                }
            };
            let Begun {
                awaited,
                upload,
                link,
                is_reused,
            } = begun;
            let backend = Some(link.name().into());
            let mut exchange = Exchange::new(client, watch, respond, upload);
            let found = exchange.head(awaited).await;
            let bytes_in = exchange.upload.passed();
            let stopped = match found {
                Ok(found) => {
                    body.iter().for_each(Kept::forget);
                    return exchange.body(found, link, is_head).await;
                }
                Err(stopped) => stopped,
            };
            let is_whole = body.as_ref().is_none_or(Kept::is_whole);
            if let Stopped::Lost(lost) = stopped
                && exchange.interim == 0
                && is_whole
                && retry.follows(lost.why(is_reused))
            {
                again = Some(link.target());
                if lost.is_over {
                    link.distrust();
                }
                continue;
            }
            let mut ending = stopped.unanswered(client, respond, link, is_head);
            ending.bytes_in = bytes_in;
            ending.backend = backend;
            return ending;
        }
    }

    /// Has what goes on judged, and sent to a backend.
    async fn send(
        &self,
        body: &mut Option<Source>,
        line: (&mut Vec<u8>, usize),
        again: Option<usize>,
    ) -> Result<Begun, NotSent> {
        let (reached, allowed) = self.reach(line, again).await?;
        let worker = &self.client.worker;
        let head = (allowed, &self.scheme);
        let begun = reached.send(worker, self.watch, head, body).await?;
        // A connection may end in the moment that it is to be used.
        begun.ok_or(NotSent::Ended(Fault::Unreachable(Unreachable::Refused)))
    }

    /// A connection to a backend, and what may be sent on it.
    async fn reach(
        &self,
        (line, begun): (&mut Vec<u8>, usize),
        again: Option<usize>,
    ) -> Result<(Reached, Allowed<&Outgoing>), NotSent> {
        let worker = &self.client.worker;
        let session = &self.client.session;
        let judge = |target: Option<&Known>| {
            rules::judge(worker, session, target, self.outgoing, (&mut *line, begun))
        };
        let upstreams = self.client.upstreams();
        let proxied = self.client.proxied();
        let connect = async || Box::pin(upstreams.reach(worker, self.watch, proxied, again)).await;
        match rules::reach(worker, judge, connect).await {
            Ok(reached) => Ok(reached),
            Err(Unreached::Nobody(fault)) => {
                rules::unjudged(worker, self.outgoing, (line, begun));
                Err(NotSent::Fault(fault))
            }
            Err(Unreached::Denied(denied, unused)) => {
                unused.into_iter().for_each(Reached::keep);
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
    /// The connection ended before.
    Ended(Fault),
    Fault(Fault),
}

impl From<Fault> for NotSent {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
