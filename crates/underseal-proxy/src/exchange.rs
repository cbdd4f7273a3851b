//! An exchange: a request, its response, and the line of the log, whatever its client and its backend speak.
//!
//! A request is read, what will go on of it is written down ([`Client::write_down`]), that is judged and
//! nothing else ([`mod@judge`]), for the backend that will answer ([`mod@reach`]), and only what was
//! allowed for a target is sent to it ([`Allowed`]). When a request is sent once more, one rule says
//! ([`Retry`]), and each try is a new judgement. What of a response goes on, [`mod@response`] says, how
//! long is waited for it, [`TurnDeadline`], and what a client is told that gets none, [`Stopped`].
//!
//! [`Exchange`] does all that in its order. What it tells a client, and hears of it, goes through a [`Face`],
//! of which each version has one.

mod answer;
mod deadline;
mod fault;
mod heads;
mod judge;
mod passage;
mod reach;
pub(crate) mod response;
mod retry;
mod stopped;
#[cfg(test)]
pub(crate) mod testing;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use underseal::Engines;
use underseal_http::http1::Glimpse;
use underseal_http::{Outgoing, Version};

pub(crate) use self::answer::Answer;
pub(crate) use self::deadline::{TurnDeadline, Wait};
pub(crate) use self::fault::Fault;
pub(crate) use self::heads::Heads;
pub(crate) use self::judge::Allowed;
pub(crate) use self::passage::{Incoming, scheme};
pub(crate) use self::reach::{Connected, reach_unasked};
use self::reach::{Unreached, reach};
use self::response::Interims;
pub(crate) use self::retry::{MAX_KEPT, Retry, Unanswered};
pub(crate) use self::stopped::{Lost, Stopped};
use crate::backend::Known;
use crate::log::{Line, Outcome};
use crate::process::Process;
use crate::service::Service;
use crate::session::Session;
use crate::upstream::{Reached, Upstreams};
use crate::worker::Worker;
use underseal_server::deadline::Deadline;

/// What the exchanges of a client's connection share.
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    /// What it comes to.
    pub(crate) service: Rc<Service>,
    pub(crate) session: Session,
    /// The connections that its requests go out on.
    pub(crate) upstreams: Rc<Upstreams>,
}

/// The face towards a client: a request of it, in the version that it speaks.
pub(crate) trait Face {
    /// The request where it is with a backend, and the response that comes.
    type Sent: Sent;

    /// Ready when the client has left, while others are waited for. What comes of it meanwhile is held.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Begins to send what is allowed, and keeps what `retry` may want.
    ///
    /// # Errors
    /// Why it is not sent.
    fn begin(
        &mut self,
        reached: Reached,
        allowed: Allowed<&Outgoing>,
        retry: Retry,
    ) -> Result<Self::Sent, Lost>;

    /// Goes on with request and response, until the client has all of it.
    ///
    /// # Errors
    /// Why it will not have it.
    fn poll(&mut self, cx: &mut Context<'_>, sent: &mut Self::Sent) -> Poll<Result<(), Stopped>>;

    /// Takes the request back to its start, so that it can be sent once more, and ends what this try has of its
    /// backend, which is not whole.
    ///
    /// # Errors
    /// The same try, if not all of the request is there any more.
    fn take_back(&mut self, sent: Self::Sent) -> Result<(), Self::Sent>;

    /// Gives back what a whole exchange had of its backend.
    fn finish(&mut self, sent: Self::Sent);

    /// Goes on as a tunnel, if it has become one that the exchange knows nothing of; notes what came of that.
    async fn go_on(&mut self, outcome: &mut Outcome<'_>);

    /// Ends what an exchange has of its backend that is not whole.
    fn give_up(&mut self, sent: Self::Sent);

    /// Tells the client that what it was sent is not whole, or that nothing comes.
    fn cut(&mut self, stopped: Stopped);

    /// Sends an answer; says how much of its body the client took, if it took it.
    async fn answer(&mut self, answer: Answer) -> Option<u64>;

    /// The engines of the client's connection.
    fn engines(&self) -> Option<Engines>;
}

/// A request that is with a backend, and the response that comes.
pub(crate) trait Sent {
    /// Whose turn it is.
    fn wait(&self) -> Wait;

    /// Bytes of the bodies that were taken: of the request's, and of the response's.
    fn passed(&self) -> (u64, u64);

    /// The interim responses that have come.
    fn interims(&self) -> &Interims;

    /// The status that the client was told.
    fn status(&self) -> Option<u16>;

    /// Whether it can be answered by us.
    fn is_untold(&self) -> bool;

    /// Has nobody else use the connection to the backend, which does not answer.
    fn distrust(&self);
}

/// A request of a client, from when it was read to its log line.
pub(crate) struct Exchange<'c> {
    client: &'c Client,
    deadline: &'c Deadline,
    line: Line<'c>,
}

/// What is to be done about it: what goes on, if policies allow that; or why we answer.
pub(crate) type Step = Result<Outgoing, Fault>;

impl Client {
    pub(crate) fn new(worker: Rc<Worker>, service: Rc<Service>, session: Session) -> Rc<Self> {
        Rc::new(Self {
            upstreams: service.upstreams_of(&session),
            worker,
            service,
            session,
        })
    }

    pub(crate) fn process(&self) -> &Process {
        &self.worker.process
    }

    /// Begins the log line of a request.
    pub(crate) fn line(&self, protocol: &str, counted: Version) -> Line<'_> {
        Line::begin(self.process(), &self.session, protocol, Some(counted))
    }
}

impl<'c> Exchange<'c> {
    /// Of a request, whose `line` says nothing yet of what it asks for.
    pub(crate) fn new((client, deadline): (&'c Client, &'c Deadline), line: Line<'c>) -> Self {
        Self {
            client,
            deadline,
            line,
        }
    }

    /// Says what could be read of what does not go on.
    pub(crate) fn refuse(&mut self, seen: &Glimpse<'_>, fault: Fault) -> Step {
        self.line.seen(seen);
        self.line.refused();
        Err(fault)
    }

    /// Has the request answered, and writes its line.
    pub(crate) async fn run<F: Face>(&mut self, step: &mut Step, face: &mut F) {
        let process = self.client.process();
        match step {
            Ok(outgoing) => {
                self.forward(face, outgoing).await;
                process.heads.give(std::mem::take(outgoing));
            }
            Err(fault) => self.answer(face, Some(*fault)).await,
        }
        self.line.outcome.engines = face.engines();
        self.line.conclude(process);
    }

    /// Has a backend answer, and once more where that is certain to do no harm.
    async fn forward<F: Face>(&mut self, face: &mut F, outgoing: &Outgoing) {
        let mut retry = Retry::new(outgoing);
        let mut again = None;
        loop {
            // What is said of the try before does not hold for this one, which may reach nobody.
            self.line.outcome = Outcome::default();
            let Some((reached, allowed)) = self.reach(face, outgoing, again).await else {
                return;
            };
            let target = reached.known().target;
            let mut sent = match face.begin(reached, allowed, retry) {
                Ok(sent) => sent,
                // The next one is a new one.
                Err(lost) if retry.follows(lost.why) => continue,
                Err(lost) => return self.answer(face, Some(lost.fault)).await,
            };
            self.line.outcome.backend = Some(self.client.service.backends.name_of(target));
            let ended = self.pass(face, &mut sent).await;
            if let Err(Stopped::Lost(lost)) = ended
                && sent.is_untold()
                && retry.follows(lost.why)
            {
                match face.take_back(sent) {
                    Ok(()) => {
                        again = Some(target);
                        continue;
                    }
                    Err(kept) => sent = kept,
                }
            }
            return match self.end(face, sent, ended) {
                Ok(()) => face.go_on(&mut self.line.outcome).await,
                Err(untold) => self.stop(face, untold).await,
            };
        }
    }

    /// A connection to a backend, and what may be sent on it: a new one, to that one, if it is to be tried
    /// `again`. `None` if there is none, or may be nothing; then that is said.
    async fn reach<'o, F: Face>(
        &mut self,
        face: &mut F,
        outgoing: &'o Outgoing,
        again: Option<usize>,
    ) -> Option<(Reached, Allowed<&'o Outgoing>)> {
        let client = self.client;
        let (process, listener) = (client.process(), &client.worker.listener);
        let (service, upstreams) = (&*client.service, &client.upstreams);
        let line = &mut self.line;
        let judge = |target: Option<&Known>| {
            judge::judge((listener, process), &client.session, target, outgoing, line)
        };
        let connect = async || match upstreams.at_hand(service, again) {
            Ok(reached) => Ok(reached),
            Err(index) => {
                let reach = upstreams.reach((process, service), self.deadline, index);
                // Boxed because it is rare and large.
                let reached = unless_left(face, Box::pin(reach).as_mut()).await?;
                reached.map_err(|why| Fault::Unreachable(why).into())
            }
        };
        match reach(listener, judge, connect).await {
            Ok(reached) => return Some(reached),
            Err(Unreached::Nobody(stopped)) => {
                // Of a try before, it says what was judged, and perhaps sent.
                if listener.judges_backend() && self.line.is_begun() {
                    self.line.asked(&outgoing.request(), outgoing.target());
                    self.line.refused();
                }
                self.stop(face, stopped).await;
            }
            Err(Unreached::Denied(denied, unused)) => {
                let unused = unused.into_iter();
                unused.for_each(|unused| upstreams.give_back(unused));
                self.answer(face, denied.fault()).await;
            }
        }
        None
    }

    /// Passes request and response on.
    async fn pass<F: Face>(&self, face: &mut F, sent: &mut F::Sent) -> Result<(), Stopped> {
        let timing = (self.deadline, self.client.process().timeouts());
        let mut turn = TurnDeadline::default();
        let ended = poll_fn(|cx| {
            if let Poll::Ready(ended) = face.poll(cx, sent) {
                return Poll::Ready(ended);
            }
            let (up, down) = sent.passed();
            let passed = up + down + sent.interims().number();
            match turn.check(cx, timing, sent.wait(), passed) {
                None => Poll::Pending,
                Some(stopped) => Poll::Ready(Err(stopped)),
            }
        })
        .await;
        ended.map_err(|stopped| stopped.once_begun(sent.interims().have_come()))
    }

    /// Notes how it ended, and ends what it has of the backend.
    ///
    /// # Errors
    /// If the client was told nothing of it.
    fn end<F: Face>(
        &mut self,
        face: &mut F,
        sent: F::Sent,
        ended: Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let outcome = &mut self.line.outcome;
        (outcome.bytes_in, outcome.bytes_out) = sent.passed();
        outcome.status = sent.status();
        let Err(stopped) = ended else {
            face.finish(sent);
            return Ok(());
        };
        if stopped.fault() == Some(Fault::BackendTimeout) {
            sent.distrust();
        }
        let is_untold = sent.is_untold();
        face.give_up(sent);
        if is_untold {
            return Err(stopped);
        }
        self.cut(face, stopped);
        Ok(())
    }

    /// Ends it for a client that was told nothing.
    async fn stop(&mut self, face: &mut impl Face, stopped: Stopped) {
        match stopped.fault() {
            Some(fault) => self.answer(face, Some(fault)).await,
            None => self.cut(face, stopped),
        }
    }

    fn cut(&mut self, face: &mut impl Face, stopped: Stopped) {
        if let Some(refusal) = stopped.refusal() {
            self.client.process().tally.refused(refusal);
        }
        self.line.outcome.error = Some(stopped.said());
        face.cut(stopped);
    }

    /// Answers in the place of a backend. A denial has no fault.
    async fn answer(&mut self, face: &mut impl Face, fault: Option<Fault>) {
        if let Some(Fault::Refused(refusal)) = fault {
            self.client.process().tally.refused(refusal);
        }
        let status = fault.map_or(403, Fault::status);
        let taken = face.answer(Answer::new(status)).await;
        let outcome = &mut self.line.outcome;
        outcome.status = taken.map(|_| status);
        outcome.bytes_out = taken.unwrap_or(0);
        outcome.is_own = true;
        outcome.error = fault.map(Fault::said);
    }
}

/// Runs `future` as long as the client stays.
///
/// # Errors
/// [`Stopped::ClientCut`] if it does not.
async fn unless_left<T>(
    face: &mut impl Face,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Stopped> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => face.poll_left(cx).map(|()| Err(Stopped::ClientCut)),
    })
    .await
}
