//! The face of an exchange towards a client of HTTP/1.1.

use std::task::{Context, Poll};

use underseal::Engines;
use underseal_http::Outgoing;

use super::Connection;
use super::departure::{Hangup, poll_left};
use super::link::{Far, Link};
use super::request::Asked;
use super::response;
use super::sent::{Keeps, Rest, Sent};
use crate::backend::Backend;
use crate::chunk::Chunk;
use crate::exchange::{self as rules, Allowed, Answer, Fault, Lost, Retry, Stopped, scheme};
use crate::flow::Body;
use crate::log::Outcome;
use crate::process::Process;
use crate::tunnel;
use crate::upstream::{Reached, Sends, Upstream};
use underseal_server::closing::End;

/// A request on a connection.
pub(super) struct Face<'a, 'c> {
    pub(super) connection: &'a mut Connection<'c>,
    pub(super) asked: Asked,
    /// What follows the head.
    pub(super) body: Body,
    pub(super) hangup: Hangup,
    /// The backend that has gone over to another protocol, and what it has sent of that.
    pub(super) switched: Option<(Box<Backend>, Chunk)>,
    /// How the connection ends, if it does.
    pub(super) end: Option<End>,
}

impl<'c> Face<'_, 'c> {
    fn process(&self) -> &'c Process {
        self.connection.client.process()
    }

    fn may_end(&self) -> bool {
        self.connection.client.worker.listener.settings.half_close
    }

    /// What was read of the body, and how it ends.
    fn take_body(&mut self) -> (Chunk, Body) {
        (std::mem::take(&mut self.connection.read), self.body.clone())
    }

    /// Takes back what was read, and what is missing of the body.
    fn recover(&mut self, sent: Sent<'_>) -> (Far, Keeps, Option<Chunk>) {
        let Rest {
            read,
            body,
            far,
            keeps,
            tunnel,
        } = sent.into_rest();
        (self.connection.read, self.body) = (read, body);
        (far, keeps, tunnel)
    }
}

impl<'c> rules::Face for Face<'_, 'c> {
    type Sent = Sent<'c>;

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let may_end = self.may_end();
        let Connection { stream, read, .. } = &mut *self.connection;
        poll_left(cx, (stream, read), &mut self.hangup, may_end)
    }

    fn begin(
        &mut self,
        reached: Reached,
        allowed: Allowed<&Outgoing>,
        retry: Retry,
    ) -> Result<Sent<'c>, Lost> {
        let process = self.process();
        let mut link = match reached {
            Reached::Http1(backend) if self.asked.minor_version > 0 => {
                let allowed = allowed.to(backend.known.target);
                let (outgoing, guard) = allowed.ok_or(Fault::BackendCut)?;
                let mut head = process.buffers.take();
                head.extend_from_slice(outgoing.head());
                Link::http1(backend, head, self.take_body(), guard)
            }
            reached => {
                let head = (allowed, &scheme(&self.connection.client.session));
                let sends = Sends::body(!self.body.is_done());
                let upstream = Upstream::begin(process, reached, head, sends)?;
                Link::translated(upstream, self.take_body())
            }
        };
        if link
            .may_be_unanswered()
            .is_some_and(|why| retry.may_follow(why))
        {
            link.keep();
        }
        Ok(Sent::new((process, self.may_end()), self.asked, link))
    }

    fn poll(&mut self, cx: &mut Context<'_>, sent: &mut Sent<'c>) -> Poll<Result<(), Stopped>> {
        sent.poll(cx, &mut self.connection.stream, &mut self.hangup)
    }

    fn take_back(&mut self, sent: Sent<'c>) -> Result<(), Sent<'c>> {
        let Some(start) = sent.start() else {
            return Err(sent);
        };
        // The body is still the whole one: each try has a copy.
        self.connection.read = start;
        sent.into_rest().far.abort();
        Ok(())
    }

    fn finish(&mut self, sent: Sent<'c>) {
        let (far, keeps, tunnel) = self.recover(sent);
        let upstreams = &self.connection.client.upstreams;
        self.end = (!keeps.client).then_some(End::of(self.body.is_done()));
        match (far, tunnel) {
            (Far::Http1(backend), Some(first)) => self.switched = Some((backend, first)),
            (Far::Http1(backend), None) if keeps.backend => upstreams.keep(backend),
            (Far::Http1(_), None) => {}
            (Far::Translated(far), _) => far.upstream.finish(self.process(), upstreams),
        }
    }

    async fn go_on(&mut self, outcome: &mut Outcome<'_>) {
        let Some(from_backend) = self.switched.take() else {
            return;
        };
        // The tunnel sees by itself when the client leaves, and this has a descriptor.
        self.hangup = Hangup::default();
        let Connection {
            stream,
            read,
            deadline,
            client,
            ..
        } = &mut *self.connection;
        let timing = (*deadline, client.process().timeouts());
        let from_client = (stream, std::mem::take(read));
        // Boxed because it is rare and large.
        let tunnel = Box::pin(tunnel::pass(timing, from_client, from_backend, outcome));
        self.end = Some(tunnel.await);
    }

    fn give_up(&mut self, sent: Sent<'c>) {
        let (far, ..) = self.recover(sent);
        // Some of the body may have been read: where it ends is not known any more.
        self.asked.persist &= self.body.is_done();
        far.abort();
    }

    fn cut(&mut self, _: Stopped) {
        self.end = Some(End::Abort);
    }

    async fn answer(&mut self, answer: Answer) -> Option<u64> {
        let process = self.process();
        let persists = self.asked.persists_without(&self.body);
        let mut head = process.buffers.take();
        process
            .clock
            .with_now(|date, _| response::own(&answer, date, &self.asked, persists, &mut head));
        if !self.connection.send(head).await {
            self.end = Some(End::Abort);
            return None;
        }
        match (persists, &self.body) {
            (true, Body::Length(length)) => self.connection.discard = *length,
            (true, _) => {}
            (false, body) => self.end = Some(End::of(body.is_done())),
        }
        Some(match self.asked.is_head {
            true => 0,
            false => answer.body.len() as u64,
        })
    }

    fn engines(&self) -> Option<Engines> {
        self.connection.stream.engines()
    }
}
