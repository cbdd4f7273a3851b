//! What a connection received and replied, and what a turn with it does.

use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::coop::has_budget_remaining;

use super::inbound::{Inbound, Next};
use super::leaving::Leaving;
use super::outbound::Outbound;
use super::send_timeout::{Patience, Position};
use super::stream::Stream;
use super::{Builder, Closed, ReplyError};

/// Reads of one turn, so that a peer that sends one long message does not keep a worker for
/// itself: 1 MiB.
const READS: usize = 16;

/// A stream that is free again, and what was read of it and not handed out.
pub(super) type Released = (Box<dyn Stream>, Vec<u8>);

pub(super) struct State {
    stream: Option<Box<dyn Stream>>,
    inbound: Inbound,
    outbound: Outbound,
    /// With a peer that what is to be sent waits for.
    patience: Patience,
    /// Messages that workers have in hand.
    in_flight: usize,
    intent: Intent,
    closed: Option<Closed>,
    /// What the stream is on: workers may be anywhere.
    runtime: Option<Handle>,
}

enum Intent {
    Serve,
    /// Hand out nothing more, and give the stream back.
    Detach,
    /// Read nothing more, and end.
    End {
        why: Closed,
        /// Whether what was read holds no whole message any more.
        is_exhausted: bool,
        /// The peer was told; what it still sends must not cost it the replies.
        leaving: Option<Box<Leaving>>,
    },
}

/// What a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A worker wants a message.
    Take,
    /// Somebody else looks after the connection; if there may be a message, a worker is woken.
    LookAfter,
}

/// What came of a turn.
pub(super) struct Turned {
    pub(super) message: Option<Vec<u8>>,
    /// Whether there may be more to have at once.
    pub(super) again: bool,
}

impl Turned {
    pub(super) const NOTHING: Self = Self {
        message: None,
        again: false,
    };
    const AGAIN: Self = Self {
        message: None,
        again: true,
    };
}

impl State {
    pub(super) fn new(limits: &Builder, stream: Box<dyn Stream>, received: Vec<u8>) -> Self {
        Self {
            stream: Some(stream),
            inbound: Inbound::new(&limits.framing, received),
            outbound: Outbound::new(limits.replies.as_ref()),
            patience: Patience::default(),
            in_flight: 0,
            intent: Intent::Serve,
            closed: None,
            runtime: Handle::try_current().ok(),
        }
    }

    pub(super) fn serve(&mut self, limits: &Builder, turn: Turn, cx: &mut Context<'_>) -> Turned {
        match self.try_serve(limits, turn, cx) {
            Ok(turned) => turned,
            Err(why) => {
                self.fail(why, limits, cx);
                Turned::NOTHING
            }
        }
    }

    fn try_serve(
        &mut self,
        limits: &Builder,
        turn: Turn,
        cx: &mut Context<'_>,
    ) -> Result<Turned, Closed> {
        self.flush(limits, cx)?;
        for _ in 0..READS {
            if !self.may_hand_out(limits) {
                return self.end_if_done(limits, cx);
            }
            if turn == Turn::LookAfter && self.inbound.has_unseen() {
                return Ok(Turned::AGAIN);
            }
            match self.inbound.next() {
                Ok(Next::Message(bytes)) => {
                    self.in_flight += 1;
                    let again = self.may_hand_out(limits) && self.has_more(cx);
                    let message = Some(bytes);
                    return Ok(Turned { message, again });
                }
                Ok(Next::NeedMore) => self.exhausted(),
                Ok(Next::End) => self.end(Closed::ByPeer, true),
                Err(why @ Closed::Framing(_)) => self.end(why, true),
                Err(why) => return Err(why),
            }
            if matches!(self.intent, Intent::End { .. }) {
                return self.end_if_done(limits, cx);
            }
            if self.fill(cx).is_pending() {
                return Ok(Turned::NOTHING);
            }
        }
        Ok(Turned::AGAIN)
    }

    /// Whether the next message may be handed out, if there is one.
    fn may_hand_out(&self, limits: &Builder) -> bool {
        let is_wanted = match self.intent {
            Intent::Serve => true,
            Intent::Detach => false,
            Intent::End { is_exhausted, .. } => !is_exhausted,
        };
        is_wanted
            && self.stream.is_some()
            && self.in_flight < limits.most_in_flight()
            && self.outbound.waiting() < limits.reply_limit
    }

    /// Whether another message may be there; if not, the stream wakes the connection.
    fn has_more(&mut self, cx: &mut Context<'_>) -> bool {
        self.inbound.has_unseen()
            || matches!(self.intent, Intent::End { .. })
            || self.fill(cx).is_ready()
    }

    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Some(stream) => self.inbound.poll_fill(stream, cx),
            None => Poll::Pending,
        }
    }

    fn flush(&mut self, limits: &Builder, cx: &mut Context<'_>) -> Result<(), Closed> {
        let is_over = self.over().is_some();
        let Some(stream) = self.stream.as_mut().filter(|_| !is_over) else {
            return Ok(());
        };
        if let Poll::Ready(result) = self.outbound.poll_flush(stream, cx) {
            result?;
        }
        self.be_patient(!self.outbound.is_empty(), limits)
    }

    /// Whether anything `waits` for the peer is known now.
    fn be_patient(&mut self, waits: bool, limits: &Builder) -> Result<(), Closed> {
        let Some((time, stream)) = limits.send_timeout.zip(self.stream.as_ref()) else {
            return Ok(());
        };
        if !waits {
            self.patience.rest();
            return Ok(());
        }
        // To a task that did much tokio says that its streams are not ready. It has us look again.
        if !has_budget_remaining() {
            return Ok(());
        }
        let position = Position::new(self.outbound.taken(), (**stream).tcp());
        match self.patience.is_exhausted(position, time) {
            true => Err(Closed::SendTimeout),
            false => Ok(()),
        }
    }

    /// Whether what is to be sent waits for the peer.
    pub(super) fn is_waiting(&self) -> bool {
        self.patience.is_waiting()
    }

    /// What the stream is on.
    pub(super) fn runtime(&self) -> Option<Handle> {
        self.runtime.clone()
    }

    fn exhausted(&mut self) {
        if let Intent::End { is_exhausted, .. } = &mut self.intent {
            *is_exhausted = true;
        }
    }

    /// Reads nothing more, finishes what is in hand, and ends. The first reason is the one that is
    /// told.
    fn end(&mut self, why: Closed, exhausted: bool) {
        match &mut self.intent {
            Intent::End { is_exhausted, .. } => *is_exhausted |= exhausted,
            intent => {
                *intent = Intent::End {
                    why,
                    is_exhausted: exhausted,
                    leaving: None,
                };
            }
        }
    }

    fn end_if_done(&mut self, limits: &Builder, cx: &mut Context<'_>) -> Result<Turned, Closed> {
        let Intent::End {
            why,
            is_exhausted,
            leaving,
        } = &mut self.intent
        else {
            return Ok(Turned::NOTHING);
        };
        let is_done = *is_exhausted && self.in_flight == 0 && self.outbound.is_empty();
        let is_leaving = is_done || leaving.is_some();
        let Some(stream) = self.stream.as_mut().filter(|_| is_leaving) else {
            return Ok(Turned::NOTHING);
        };
        let leaving = leaving.get_or_insert_with(|| Leaving::new(self.runtime.clone()));
        let why = why.clone();
        if leaving.poll(stream, cx).is_ready() {
            return Err(why);
        }
        // It keeps its own time once all is sent.
        let waits = !leaving.is_shut();
        match self.be_patient(waits, limits) {
            Ok(()) => Ok(Turned::NOTHING),
            Err(_) => Err(why),
        }
    }

    /// Ends because the stream failed, or is through. A peer that is told why it failed has to be
    /// able to read that; nothing else can be sent to it, so nobody is waited for.
    fn fail(&mut self, why: Closed, limits: &Builder, cx: &mut Context<'_>) {
        let why = match why {
            // It may be that writing fails because reading did.
            Closed::Io(_) => self.inbound.take_failure().unwrap_or(why),
            why => why,
        };
        if !why.has_alert() || self.over().is_some() {
            return self.close(why);
        }
        self.outbound.free();
        self.intent = Intent::End {
            why,
            is_exhausted: true,
            leaving: Some(Leaving::new(self.runtime.clone())),
        };
        if let Err(why) = self.end_if_done(limits, cx) {
            self.close(why);
        }
    }

    /// Reads nothing more; what was read is still handed out.
    pub(super) fn end_here(&mut self, why: Closed) {
        let is_exhausted = !self.inbound.has_unseen();
        self.end(why, is_exhausted);
    }

    /// Ends at once. [`Self::take_ended`] is to follow.
    pub(super) fn close(&mut self, why: Closed) {
        self.closed.get_or_insert(why);
    }

    /// A worker gave up a message: ends at once, unless that changes nothing any more.
    pub(super) fn abandon(&mut self) {
        if self.over().is_none() {
            self.close(Closed::Abandoned);
        }
    }

    /// Ends at once what has not ended and was not given back, and says whether that was so.
    /// [`Self::take_ended`] is to follow.
    pub(super) fn abort(&mut self) -> bool {
        let is_open = self.stream.is_some() && self.closed.is_none();
        if is_open {
            self.close(Closed::Aborted);
        }
        is_open
    }

    pub(super) fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Why nothing is received or sent any more, if that is so: the connection ended, or is leaving.
    fn over(&self) -> Option<&Closed> {
        let leaving_for = match &self.intent {
            Intent::End {
                why,
                leaving: Some(_),
                ..
            } => Some(why),
            _ => None,
        };
        self.closed.as_ref().or(leaving_for)
    }

    /// The stream of a connection that ended, once, and why. What was kept for it is freed.
    pub(super) fn take_ended(&mut self) -> Option<(Box<dyn Stream>, Closed)> {
        let why = self.closed.as_ref()?;
        let stream = self.stream.take()?;
        self.inbound.free();
        self.outbound.free();
        self.patience.rest();
        if let Intent::End { leaving, .. } = &mut self.intent {
            *leaving = None;
        }
        Some((stream, why.clone()))
    }

    /// The stream, once, and what was read of it and not handed out.
    pub(super) fn release(&mut self) -> Option<Released> {
        let stream = self.stream.take()?;
        self.patience.rest();
        Some((stream, self.inbound.take_rest()))
    }

    /// A worker has finished a message.
    pub(super) fn finish(&mut self) {
        self.in_flight -= 1;
    }

    pub(super) fn send(
        &mut self,
        reply: &[u8],
        limits: &Builder,
        cx: &mut Context<'_>,
    ) -> Result<(), ReplyError> {
        let sent = self.flush(limits, cx);
        let sent = sent.and_then(|()| self.push(reply, limits, cx));
        let is_sent = matches!(sent, Ok(Pushed::Sent));
        if let Err(why) = sent {
            self.fail(why, limits, cx);
        }
        match self.over() {
            Some(why) => Err(ReplyError::Closed(why.clone())),
            None if is_sent => Ok(()),
            None => Err(ReplyError::Full),
        }
    }

    fn push(
        &mut self,
        reply: &[u8],
        limits: &Builder,
        cx: &mut Context<'_>,
    ) -> Result<Pushed, Closed> {
        let is_over = self.over().is_some();
        let Some(stream) = self.stream.as_mut().filter(|_| !is_over) else {
            return Ok(Pushed::Full);
        };
        if self.outbound.waiting() >= limits.reply_limit {
            return Ok(Pushed::Full);
        }
        self.outbound.check(reply).map_err(Closed::BadReply)?;
        if !reply.is_empty() {
            self.outbound.push(reply, stream, cx)?;
            self.be_patient(!self.outbound.is_empty(), limits)?;
        }
        Ok(Pushed::Sent)
    }

    pub(super) fn poll_detach(
        &mut self,
        limits: &Builder,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Released, Closed>> {
        if let Err(why) = self.flush(limits, cx) {
            self.fail(why, limits, cx);
        }
        if let Some(why) = self.over() {
            return Poll::Ready(Err(why.clone()));
        }
        if matches!(self.intent, Intent::Serve) {
            self.intent = Intent::Detach;
        }
        let is_done = self.in_flight == 0 && self.outbound.is_empty();
        if !is_done || !matches!(self.intent, Intent::Detach) {
            return Poll::Pending;
        }
        // A stream may tell of its failure once: whoever had it back would take that for its end.
        if let Some(why) = self.inbound.take_failure() {
            self.fail(why.clone(), limits, cx);
            return Poll::Ready(Err(why));
        }
        match self.release() {
            Some(released) => Poll::Ready(Ok(released)),
            None => Poll::Pending,
        }
    }

    /// Serves again what was to be detached.
    pub(super) fn resume(&mut self) {
        if matches!(self.intent, Intent::Detach) {
            self.intent = Intent::Serve;
        }
    }
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    Sent,
    Full,
}
