//! Requests on their way: judged, sent, and sent once more where that is certain to do no harm.

use std::future::poll_fn;

use underseal_http::Outgoing;

use super::departure::{Left, unless_left};
use super::exchange::{Exchange, Outcome, Rest};
use super::link::{Far, Link};
use super::request::{self, Prepared};
use super::{Connection, Fault};
use crate::backend::{Backend, Unreachable};
use crate::chunk::Chunk;
use crate::exchange::{self as rules, Allowed, Connected as _, Retry, Unreached};
use crate::log;
use crate::process::Process;
use crate::tunnel;
use crate::upstream::{Reached, Sends, Upstream};
use underseal_server::closing::End;

/// Why something is not sent.
enum NotSent {
    /// What the client is answered has been prepared.
    Answer,
    ClientLeft,
}

/// Why there is no backend.
enum NotFound {
    Unreachable(Unreachable),
    ClientLeft,
}

impl From<Unreachable> for NotFound {
    fn from(unreachable: Unreachable) -> Self {
        Self::Unreachable(unreachable)
    }
}

impl From<Left> for NotFound {
    fn from(Left: Left) -> Self {
        Self::ClientLeft
    }
}

/// A request that was sent, and what came of it.
struct Sent {
    outcome: Outcome,
    /// `None` if nothing was sent.
    far: Option<Far>,
    /// All from the start of the body on, if it can be sent once more.
    start: Option<Chunk>,
}

impl Connection<'_> {
    /// Has a backend answer, if policies allow that; says how the connection ends if it does.
    pub(super) async fn forward(&mut self, prepared: &mut Prepared) -> Option<End> {
        let outgoing = std::mem::take(&mut prepared.outgoing);
        let end = self.send_on(prepared, &outgoing).await;
        self.worker.process.heads.give(outgoing);
        end
    }

    async fn send_on(&mut self, prepared: &mut Prepared, outgoing: &Outgoing) -> Option<End> {
        let mut retry = Retry::new(outgoing);
        let mut again = None;
        loop {
            let body = prepared.body.clone();
            let sent = self.send_once(prepared, outgoing, (retry, again)).await;
            let Sent {
                outcome,
                far,
                start,
            } = match sent {
                Ok(sent) => sent,
                Err(NotSent::Answer) => return self.answer(prepared).await,
                Err(NotSent::ClientLeft) => {
                    let logged = log::Outcome {
                        error: Some("client-cut"),
                        ..log::Outcome::default()
                    };
                    self.log(prepared, logged);
                    return Some(End::Abort);
                }
            };
            let is_whole = far.is_none() || start.is_some();
            if let Some(why) = outcome.lost.filter(|_| is_whole)
                && retry.follows(why)
            {
                again = far.as_ref().map(Far::target);
                if let Some(start) = start {
                    (self.read, prepared.body) = (start, body);
                }
                continue;
            }
            return self.conclude(prepared, outcome, far).await;
        }
    }

    /// Has what is `outgoing` judged, and sent to a backend: with a new connection, to the one that did
    /// not answer, if that is to be tried `again`.
    async fn send_once(
        &mut self,
        prepared: &mut Prepared,
        outgoing: &Outgoing,
        (retry, again): (Retry, Option<usize>),
    ) -> Result<Sent, NotSent> {
        // What is said of the try before does not hold for this one, which may reach nobody.
        (prepared.backend, prepared.bytes_in) = (None, 0);
        let (reached, allowed) = self.reach(prepared, outgoing, again).await?;
        let target = reached.known().target;
        let begun = match reached {
            Reached::Http1(backend) if prepared.minor_version > 0 => {
                self.begin(prepared, backend, allowed)
            }
            reached => self.translate(prepared, reached, allowed),
        };
        let link = match begun {
            Ok(link) => link,
            Err(outcome) => {
                return Ok(Sent {
                    outcome,
                    far: None,
                    start: None,
                });
            }
        };
        prepared.backend = Some(target);
        let may_follow = |why| retry.may_follow(why);
        let keeps = link.may_be_unanswered().is_some_and(may_follow);
        let may_end = self.worker.listener.settings.half_close;
        let mut exchange = Exchange::new(&self.worker.process, may_end, prepared, (link, keeps));
        let outcome = {
            let (deadline, client) = (self.deadline, &mut self.client);
            poll_fn(|cx| exchange.poll(cx, deadline, client)).await
        };
        let (Rest { read, body, start }, far) = exchange.give_back();
        self.read = read;
        prepared.body = body;
        prepared.bytes_in = outcome.bytes_in;
        Ok(Sent {
            outcome,
            far: Some(far),
            start,
        })
    }

    /// A connection to a backend, and what may be sent on it.
    async fn reach<'o>(
        &mut self,
        prepared: &mut Prepared,
        outgoing: &'o Outgoing,
        again: Option<usize>,
    ) -> Result<(Reached, Allowed<&'o Outgoing>), NotSent> {
        let (worker, session) = (self.worker, self.session);
        let parts = (&worker.listener, &worker.process);
        let line = (&mut prepared.line, prepared.begun);
        let connect = async || self.backend(again).await;
        match rules::reach_for(parts, session, outgoing, line, connect).await {
            Ok(reached) => Ok(reached),
            Err(Unreached::Nobody(not_found)) => {
                Err(not_sent(&worker.process, prepared, not_found))
            }
            Err(Unreached::Denied(denied, unused)) => {
                let upstreams = &self.upstreams;
                unused
                    .into_iter()
                    .for_each(|unused| upstreams.give_back(unused));
                request::denied(&worker.process, prepared, denied);
                Err(NotSent::Answer)
            }
        }
    }

    /// A connection to a backend: a new one, to that one, if it is to be tried `again`.
    async fn backend(&mut self, again: Option<usize>) -> Result<Reached, NotFound> {
        let index = match self.upstreams.at_hand(self.service, again) {
            Ok(reached) => return Ok(reached),
            Err(index) => index,
        };
        let reach =
            self.upstreams
                .reach((&self.worker.process, self.service), self.deadline, index);
        let may_end = self.worker.listener.settings.half_close;
        let client = (&mut self.client, &mut self.read);
        // Boxed because it is rare and large.
        Ok(unless_left(client, may_end, Box::pin(reach).as_mut()).await??)
    }

    /// Begins to send a request.
    ///
    /// # Errors
    /// What comes of it if nothing can be sent.
    fn begin(
        &mut self,
        prepared: &Prepared,
        backend: Box<Backend>,
        allowed: Allowed<&Outgoing>,
    ) -> Result<Link, Outcome> {
        let Some((outgoing, guard)) = allowed.to(backend.known.target) else {
            return Err(Outcome::unanswered(Fault::BackendCut));
        };
        let mut head = self.worker.process.buffers.take();
        head.extend_from_slice(outgoing.head());
        let body = (std::mem::take(&mut self.read), prepared.body.clone());
        Ok(Link::http1(backend, head, body, guard))
    }

    /// The same in another version than the client's.
    fn translate(
        &mut self,
        prepared: &Prepared,
        reached: Reached,
        allowed: Allowed<&Outgoing>,
    ) -> Result<Link, Outcome> {
        let head = (allowed, &rules::scheme(self.session));
        let sends = Sends::body(!prepared.body.is_done());
        match Upstream::begin(&self.worker.process, reached, head, sends) {
            Ok(upstream) => {
                let body = (std::mem::take(&mut self.read), prepared.body.clone());
                Ok(Link::translated(upstream, body))
            }
            Err(lost) => Err(Outcome {
                lost: Some(lost.why),
                ..Outcome::unanswered(lost.fault)
            }),
        }
    }

    /// What follows from how an exchange ended.
    async fn conclude(
        &mut self,
        prepared: &mut Prepared,
        outcome: Outcome,
        far: Option<Far>,
    ) -> Option<End> {
        let worker = self.worker;
        let timeout = Fault::BackendTimeout;
        if outcome.unanswered == Some(timeout) || outcome.error == Some(timeout.word()) {
            far.iter().for_each(Far::distrust);
        }
        if let Some(failure) = outcome.unanswered {
            // Before the client takes its time: what the backend has is not to end as if it were whole.
            far.into_iter().for_each(Far::abort);
            request::failed(&worker.process, prepared, failure);
            return self.answer(prepared).await;
        }
        let logged = log::Outcome {
            status: outcome.status,
            bytes_in: outcome.bytes_in,
            bytes_out: outcome.bytes_out,
            error: outcome.error,
            ..log::Outcome::default()
        };
        let backend = match far {
            Some(Far::Http1(backend)) => backend,
            Some(Far::Translated(far)) => {
                self.log(prepared, logged);
                match outcome.error {
                    None => far.upstream.finish(&worker.process, &self.upstreams),
                    Some(_) => far.upstream.abort(),
                }
                return outcome.end;
            }
            None => {
                self.log(prepared, logged);
                return outcome.end;
            }
        };
        if let Some(from_backend) = outcome.tunnel {
            return Some(self.tunnel(prepared, logged, (backend, from_backend)).await);
        }
        self.log(prepared, logged);
        if outcome.keep_backend {
            self.upstreams.keep(backend);
        } else if outcome.error.is_some() {
            backend.stream.abort();
        }
        outcome.end
    }

    /// Passes bytes both ways until both have ended.
    async fn tunnel(
        &mut self,
        prepared: &mut Prepared,
        mut logged: log::Outcome<'_>,
        (mut backend, from_backend): (Box<Backend>, Chunk),
    ) -> End {
        let from_client = std::mem::take(&mut self.read);
        let passed = Box::pin(tunnel::pass(
            (self.deadline, self.worker.process.timeouts()),
            (&mut self.client, from_client),
            (&mut backend.stream, from_backend),
        ))
        .await;
        logged.bytes_in = passed.from_client;
        logged.bytes_out = passed.to_client;
        logged.error = passed.error;
        self.log(prepared, logged);
        match passed.error {
            None => End::Close,
            Some(_) => {
                backend.stream.abort();
                End::Abort
            }
        }
    }
}

/// Prepares what is answered where there is no backend.
fn not_sent(process: &Process, prepared: &mut Prepared, not_found: NotFound) -> NotSent {
    match not_found {
        NotFound::Unreachable(unreachable) => {
            request::unreachable(process, prepared, unreachable);
            NotSent::Answer
        }
        NotFound::ClientLeft => NotSent::ClientLeft,
    }
}
