//! Requests on their way: judged, sent, and sent once more where that is certain to do no harm.

use std::future::poll_fn;

use underseal_http::Outgoing;

use super::departure::{Left, unless_left};
use super::exchange::{Exchange, Finished, Rest};
use super::request::{self, Prepared};
use super::{Connection, Fault};
use crate::backend::{Backend, Known, Unreachable};
use crate::chunk::Chunk;
use crate::exchange::{self as rules, Allowed, Retry, Unreached};
use crate::http2::{Upstreams, connect_bridged};
use crate::log::Outcome;
use crate::protocol::ToProtocol;
use crate::tunnel;
use crate::worker::Worker;
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
    finished: Finished,
    backend: Box<Backend>,
    /// What it takes to send it once more.
    start: Option<Chunk>,
}

impl Connection<'_> {
    /// Has a backend answer, if policies allow that; says how the connection ends if it does.
    pub(super) async fn forward(&mut self, prepared: &mut Prepared) -> Option<End> {
        let outgoing = std::mem::take(&mut prepared.outgoing);
        let end = self.send_on(prepared, &outgoing).await;
        self.worker.heads.give(outgoing);
        end
    }

    async fn send_on(&mut self, prepared: &mut Prepared, outgoing: &Outgoing) -> Option<End> {
        let mut retry = Retry::new(outgoing);
        let mut again = None;
        loop {
            let body = prepared.body.clone();
            let sent = self.send_once(prepared, outgoing, (retry, again)).await;
            let Sent {
                finished,
                backend,
                start,
            } = match sent {
                Ok(sent) => sent,
                Err(NotSent::Answer) => return self.answer(prepared).await,
                Err(NotSent::ClientLeft) => {
                    let outcome = Outcome {
                        error: Some("client-cut"),
                        ..Outcome::default()
                    };
                    self.log(prepared, outcome);
                    return Some(End::Abort);
                }
            };
            if let (Some(why), Some(start)) = (finished.lost, start)
                && retry.follows(why)
            {
                again = Some(backend.known.target);
                (self.read, prepared.body) = (start, body);
                continue;
            }
            return self.conclude(prepared, finished, backend).await;
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
        let (mut backend, allowed) = self.reach(prepared, outgoing, again).await?;
        let (finished, start) = self.exchange(prepared, allowed, &mut backend, retry).await;
        Ok(Sent {
            finished,
            backend,
            start,
        })
    }

    /// A connection to a backend, and what may be sent on it.
    async fn reach<'o>(
        &mut self,
        prepared: &mut Prepared,
        outgoing: &'o Outgoing,
        again: Option<usize>,
    ) -> Result<(Box<Backend>, Allowed<&'o Outgoing>), NotSent> {
        let (worker, session) = (self.worker, self.session);
        let judge = |target: Option<&Known>| {
            let line = (&mut prepared.line, prepared.begun);
            rules::judge(worker, session, target, outgoing, line)
        };
        let connect = async || self.backend(again).await;
        match rules::reach(worker, judge, connect).await {
            Ok(reached) => Ok(reached),
            Err(Unreached::Nobody(not_found)) => {
                rules::unjudged(worker, outgoing, (&mut prepared.line, prepared.begun));
                Err(not_sent(worker, prepared, not_found))
            }
            Err(Unreached::Denied(denied, unused)) => {
                unused.into_iter().for_each(|backend| self.keep(backend));
                request::denied(worker, prepared, denied);
                Err(NotSent::Answer)
            }
        }
    }

    /// A connection to a backend: a new one, to that one, if it is to be tried `again`.
    async fn backend(&mut self, again: Option<usize>) -> Result<Box<Backend>, NotFound> {
        let backends = &self.worker.backends;
        let kept = self.own_backend.take();
        let header = self.worker.proxy_header(self.session);
        if self.worker.shared.to_protocol == ToProtocol::H2 {
            return self.bridge(header.as_deref(), again).await;
        }
        let index = again.unwrap_or_else(|| backends.pick());
        let kept = match (&header, again) {
            (_, Some(_)) => None,
            (Some(_), None) => kept.and_then(Backend::revived),
            (None, None) => backends.kept(index),
        };
        if let Some(backend) = kept {
            return Ok(backend);
        }
        // Boxed because it is rare and large.
        let connect = backends.connect(self.worker, self.watch, index, header.as_deref());
        let may_end = self.worker.shared.half_close;
        let client = (&mut self.client, &mut self.read);
        Ok(unless_left(client, may_end, Box::pin(connect)).await??)
    }

    /// A stream of a connection that speaks HTTP/2: one that carries the client's address is for
    /// this client alone.
    async fn bridge(
        &mut self,
        header: Option<&[u8]>,
        again: Option<usize>,
    ) -> Result<Box<Backend>, NotFound> {
        let worker = self.worker;
        let upstreams = match header {
            None => &worker.upstreams,
            Some(_) => self
                .own_upstreams
                .get_or_insert_with(|| Upstreams::new(worker.backends.count())),
        };
        let connect = connect_bridged(worker, self.watch, upstreams, header, again);
        let may_end = worker.shared.half_close;
        let client = (&mut self.client, &mut self.read);
        Ok(unless_left(client, may_end, Box::pin(connect)).await??)
    }

    /// Keeps a backend's connection for the next request: of this client alone, if it carries the
    /// client's address.
    fn keep(&mut self, backend: Box<Backend>) {
        match self.worker.shared.send_proxy {
            true => self.own_backend = Some(backend).filter(|own| !own.stream.is_bridged()),
            false => self.worker.backends.keep(backend),
        }
    }

    /// Runs one exchange to its end.
    async fn exchange(
        &mut self,
        prepared: &mut Prepared,
        allowed: Allowed<&Outgoing>,
        backend: &mut Backend,
        retry: Retry,
    ) -> (Finished, Option<Chunk>) {
        prepared.backend = Some(backend.known.target);
        let Some(outgoing) = allowed.to(backend.known.target) else {
            return (Finished::unanswered(Fault::BackendCut), None);
        };
        let head = match &backend.bridge {
            None => {
                let mut head = self.worker.buffers.take();
                head.extend_from_slice(outgoing.head());
                head
            }
            Some(bridge) => match bridge.begin(allowed, rules::scheme(self.session)) {
                Ok(()) => request::framing(self.worker, prepared, outgoing),
                Err(fault) => return (Finished::unanswered(fault), None),
            },
        };
        let keeps = backend
            .may_be_unanswered()
            .is_some_and(|why| retry.may_follow(why));
        let read = std::mem::take(&mut self.read);
        let mut exchange = Exchange::new(self.worker, prepared, head, (read, keeps));
        let mut finished = {
            let (client, backend) = (&mut self.client, &mut backend.stream);
            let watch = self.watch;
            poll_fn(|cx| exchange.poll(cx, watch, client, backend)).await
        };
        let Rest { read, body, start } = exchange.give_back();
        self.read = read;
        prepared.body = body;
        prepared.bytes_in = finished.bytes_in;
        if finished.lost.is_some() {
            finished.lost = match &backend.bridge {
                None => backend.may_be_unanswered(),
                Some(bridge) => bridge.lost().map(|(fault, why)| {
                    finished.unanswered = Some(fault);
                    why
                }),
            };
        }
        (finished, start)
    }

    /// What follows from how an exchange ended.
    async fn conclude(
        &mut self,
        prepared: &mut Prepared,
        finished: Finished,
        mut backend: Box<Backend>,
    ) -> Option<End> {
        let worker = self.worker;
        if let Some(failure) = finished.unanswered {
            request::failed(worker, prepared, failure);
            return self.answer(prepared).await;
        }
        let mut outcome = Outcome {
            status: finished.status,
            bytes_in: finished.bytes_in,
            bytes_out: finished.bytes_out,
            error: finished.error,
            ..Outcome::default()
        };
        if let Some(from_backend) = finished.tunnel {
            let from_client = std::mem::take(&mut self.read);
            let passed = Box::pin(tunnel::pass(
                self.watch,
                worker.timeouts().tunnel,
                (&mut self.client, from_client),
                (&mut backend.stream, from_backend),
            ))
            .await;
            outcome.bytes_in = passed.from_client;
            outcome.bytes_out = passed.to_client;
            outcome.error = passed.error;
            self.log(prepared, outcome);
            return Some(match passed.error {
                None => End::Close,
                Some(_) => {
                    backend.stream.abort();
                    End::Abort
                }
            });
        }
        self.log(prepared, outcome);
        if finished.keep_backend {
            self.keep(backend);
        } else if finished.error.is_some() {
            backend.stream.abort();
        }
        finished.end
    }
}

/// Prepares what is answered where there is no backend.
fn not_sent(worker: &Worker, prepared: &mut Prepared, not_found: NotFound) -> NotSent {
    match not_found {
        NotFound::Unreachable(unreachable) => {
            request::unreachable(worker, prepared, unreachable);
            NotSent::Answer
        }
        NotFound::ClientLeft => NotSent::ClientLeft,
    }
}
