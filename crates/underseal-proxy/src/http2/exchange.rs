//! One stream of a client: its request goes to a backend, body and all, while the response comes.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};

use super::Client;
use super::active::Open;
use super::forward::Forwarding;
use super::kept::Reader;
use super::request::{self, Prepared};
use super::response;
use super::unseen::Refused;
use crate::exchange::response::Interims;
use crate::exchange::{Late, TurnDeadline, Wait};
use crate::flow::{Broken, Waiting};
use crate::http1::Fault;
use crate::log;
use crate::metrics::Protocol;
use crate::parts::{Parts as _, Pump, Received};
use crate::upstream::{Event, Lost, Upstream};
use underseal_http::Refusal;
use underseal_http::http1::{Glimpse, ResponseRefusal};
use underseal_server::deadline::Deadline;

/// Serves one request, and holds `open` until that is done.
pub(super) async fn serve(
    client: Rc<Client>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    open: Open,
) {
    let (head, body) = request.into_parts();
    let body = (!body.is_end_stream()).then(|| Received::from(body));
    let deadline = client.worker.process.deadlines.add();
    let prepared = request::prepare(&client, &head, body.is_none());
    let Prepared {
        started,
        mut line,
        begun,
        step,
        websocket,
    } = prepared;
    let is_head = head.method == Method::HEAD;
    let outcome = match step {
        Err(fault) => Outcome::failed(&client, &mut respond, fault, is_head),
        Ok(outgoing) => {
            let forwarding = Forwarding {
                client: &client,
                deadline: &deadline,
                outgoing: &outgoing,
                is_head,
                websocket,
            };
            let line = (&mut line, begun);
            let outcome = Box::pin(forwarding.run(&mut respond, body, line)).await;
            client.worker.process.heads.give(outgoing);
            outcome
        }
    };
    client.finish(line, started, &outcome);
    drop(open);
}

/// How an exchange ended.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    is_own: bool,
    pub(super) backend: Option<Box<str>>,
    /// Why the answer is our own.
    pub(super) fault: Option<Fault>,
    /// Why it was cut short.
    pub(super) error: Option<&'static str>,
}

impl Outcome {
    /// Sends an answer of our own.
    pub(super) fn answered(
        client: &Client,
        respond: &mut SendResponse<Bytes>,
        status: u16,
        is_head: bool,
    ) -> Self {
        let clock = &client.worker.process.clock;
        let (head, body) = clock.with_now(|date, _| response::own(status, date));
        let length = if is_head { 0 } else { body.len() as u64 };
        let sent = respond.send_response(head, is_head);
        let sent = sent.and_then(|mut stream| match is_head {
            true => Ok(()),
            false => stream.send_data(body, true),
        });
        Self {
            status: sent.is_ok().then_some(status),
            bytes_out: sent.map_or(0, |()| length),
            is_own: true,
            ..Self::default()
        }
    }
}

impl Outcome {
    /// Answers in the place of a backend.
    pub(super) fn failed(
        client: &Client,
        respond: &mut SendResponse<Bytes>,
        fault: Fault,
        is_head: bool,
    ) -> Self {
        if let Fault::Refused(refusal) = fault {
            client.worker.process.tally.refused(refusal);
        }
        Self {
            fault: Some(fault),
            ..Self::answered(client, respond, fault.status(), is_head)
        }
    }
}

/// Writes the log line of a request that nobody was given.
pub(super) fn log_refused(client: &Client, refused: Refused) {
    let worker = &client.worker;
    let mut line = worker.process.buffers.take();
    worker
        .process
        .clock
        .with_now(|_, time| log::begin(&mut line, time, &client.session, "h2"));
    log::seen(&mut line, &Glimpse::default());
    log::refused(&mut line);
    let outcome = match refused {
        Refused::TooLong => {
            let refusal = Refusal::HeadTooLong;
            worker.process.tally.refused(refusal);
            Outcome {
                status: Some(refusal.status()),
                is_own: true,
                fault: Some(Fault::Refused(refusal)),
                ..Outcome::default()
            }
        }
        Refused::Reset => Outcome {
            error: Some("stream-refused"),
            ..Outcome::default()
        },
    };
    client.finish(line, Instant::now(), &outcome);
}

impl Client {
    /// Completes the log line of an exchange.
    fn finish(&self, line: Vec<u8>, started: Instant, outcome: &Outcome) {
        let fault = outcome.fault.map(|fault| fault.to_string());
        let logged = log::Outcome {
            status: outcome.status,
            bytes_in: outcome.bytes_in,
            bytes_out: outcome.bytes_out,
            is_own: outcome.is_own,
            duration: started.elapsed(),
            backend: outcome.backend.as_deref(),
            engines: self.engines,
            error: fault.as_deref().or(outcome.error),
        };
        self.worker
            .process
            .conclude(line, Some(Protocol::Http2), &logged);
    }
}

/// Why an exchange goes no further.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stopped {
    /// The backend does not answer.
    Lost(Lost),
    /// The client reset its stream, or its connection ended.
    ClientCut,
    ClientTimeout,
    BackendTimeout,
    /// Nothing passed in a tunnel for too long.
    Silent,
    /// The client's trailers say what only we may say.
    Trailers,
    /// The proxy is ending.
    Ended,
}

impl Stopped {
    /// Answers in the place of a backend, if anybody still waits for it.
    pub(super) fn unanswered(
        self,
        client: &Client,
        respond: &mut SendResponse<Bytes>,
        upstream: &Upstream,
        is_head: bool,
    ) -> Outcome {
        let fault = match self {
            Self::Lost(lost) => lost.fault,
            Self::ClientTimeout => Fault::ClientTimeout,
            Self::BackendTimeout => {
                upstream.distrust();
                Fault::BackendTimeout
            }
            Self::ClientCut | Self::Silent | Self::Trailers | Self::Ended => {
                return self.reset(respond);
            }
        };
        let mut outcome = Outcome::answered(client, respond, fault.status(), is_head);
        outcome.fault = Some(fault);
        outcome
    }

    /// Ends the client's stream without an answer.
    pub(super) fn reset(self, respond: &mut SendResponse<Bytes>) -> Outcome {
        respond.send_reset(self.reason());
        Outcome {
            error: Some(self.word()),
            ..Outcome::default()
        }
    }

    /// What the client's stream is reset with.
    fn reason(self) -> Reason {
        match self {
            Self::ClientCut | Self::ClientTimeout | Self::Silent => Reason::CANCEL,
            Self::Trailers => Reason::PROTOCOL_ERROR,
            Self::Lost(_) | Self::BackendTimeout | Self::Ended => Reason::INTERNAL_ERROR,
        }
    }

    /// For the log.
    fn word(self) -> &'static str {
        match self {
            Self::Lost(lost) => lost.fault.word(),
            Self::ClientCut => "client-cut",
            Self::ClientTimeout => "client-timeout",
            Self::BackendTimeout => "backend-timeout",
            Self::Silent => "tunnel-silent",
            Self::Trailers => "refused:trailers",
            Self::Ended => "proxy-ended",
        }
    }
}

/// A request that is with a backend.
pub(super) struct Exchange<'a> {
    client: &'a Client,
    deadline: &'a Deadline,
    respond: &'a mut SendResponse<Bytes>,
    pub(super) upstream: Upstream,
    /// The request's body.
    body: Option<Reader>,
    /// The response's, once there is one.
    down: Option<Pump>,
    turn: TurnDeadline,
    pub(super) interims: Interims,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        client: &'a Client,
        deadline: &'a Deadline,
        respond: &'a mut SendResponse<Bytes>,
        (upstream, body): (Upstream, Option<Reader>),
    ) -> Self {
        Self {
            client,
            deadline,
            respond,
            upstream,
            body,
            down: None,
            turn: TurnDeadline::default(),
            interims: Interims::default(),
        }
    }

    /// Waits for the head of the response.
    pub(super) async fn head(&mut self) -> Result<Response<()>, Stopped> {
        poll_fn(|cx| {
            self.poll_request(cx)?;
            while let Poll::Ready(event) = self.upstream.poll_head(cx) {
                match event.map_err(Stopped::Lost)? {
                    Event::Final(response) => return Poll::Ready(Ok(response)),
                    Event::Interim(interim) => self.pass_interim(interim)?,
                }
            }
            let wait = match self.upstream.waits_for_client() {
                true => Wait::Client,
                false => Wait::Backend,
            };
            self.poll_deadline(cx, wait)
        })
        .await
    }

    /// Passes the response on, to its end.
    pub(super) async fn body(mut self, head: Response<()>, is_head: bool) -> Outcome {
        let backends = &self.client.service.backends;
        let name = backends.name_of(self.upstream.target());
        let mut outcome = Outcome {
            backend: Some(name.into()),
            ..Outcome::default()
        };
        let status = head.status();
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let is_whole = is_head || bodiless || self.upstream.is_at_end();
        let Ok(sink) = self.respond.send_response(head, is_whole) else {
            outcome.error = Some(Stopped::ClientCut.word());
            return outcome;
        };
        outcome.status = Some(status.as_u16());
        let stopped = match is_whole {
            true => None,
            false => self
                .pass(Pump::new(sink, self.client.backlog.clone()))
                .await
                .err(),
        };
        outcome.bytes_in = self.upstream.passed();
        outcome.bytes_out = self.down.as_ref().map_or(0, Pump::passed);
        outcome.error = stopped.map(Stopped::word);
        match stopped {
            // Whoever has the whole response sends the rest in vain: with this exchange the client's
            // stream goes, and it is told so by RST_STREAM(NO_ERROR) (RFC 9113 section 8.1).
            None if !self.upstream.is_sent() => self.upstream.abort(),
            None => self
                .upstream
                .finish(&self.client.worker.process, &self.client.upstreams),
            Some(stopped) => {
                if let Stopped::BackendTimeout = stopped {
                    self.upstream.distrust();
                }
                self.upstream.abort();
            }
        }
        outcome
    }

    /// Passes the body on. Whatever keeps it from its end resets the client's stream, so that it
    /// is not taken for whole.
    async fn pass(&mut self, down: Pump) -> Result<(), Stopped> {
        self.down = Some(down);
        let passed = poll_fn(|cx| {
            self.poll_request(cx)?;
            let Some(down) = &mut self.down else {
                return Poll::Ready(Ok(()));
            };
            let is_over = match down.poll(cx, &mut self.upstream) {
                Poll::Ready(passed) => passed.map(|()| true).map_err(Stopped::from_down)?,
                Poll::Pending => false,
            };
            // An end of a tunnel is passed on, and the other direction goes on until it ends as well.
            if is_over && (!self.upstream.is_tunnel() || self.upstream.is_sent()) {
                return Poll::Ready(Ok(()));
            }
            let waiting = down.waiting;
            self.poll_deadline(cx, self.wait(waiting, is_over))
        })
        .await;
        if let (Err(stopped), Some(down)) = (&passed, &mut self.down) {
            down.reset(stopped.reason());
        }
        passed
    }

    /// For whom is waited. Whoever does not take what is in a tunnel may be as silent as the other.
    fn wait(&self, waiting: Waiting, is_over: bool) -> Wait {
        if self.upstream.is_tunnel() {
            return match is_over || self.upstream.has_tunnel_end() {
                true => Wait::HalfClosed,
                false => Wait::Either,
            };
        }
        match waiting {
            Waiting::Sink => Wait::Client,
            Waiting::Source if self.upstream.waits_for_client() => Wait::Either,
            Waiting::Source => Wait::Backend,
        }
    }

    /// Goes on with the request's body, and looks whether the client is still there.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<(), Stopped> {
        let reset = match &mut self.down {
            Some(down) => down.poll_reset(cx).is_ready(),
            None => self.respond.poll_reset(cx).is_ready(),
        };
        if reset {
            return Err(Stopped::ClientCut);
        }
        let sent = self.upstream.poll_upload(cx, &mut self.body);
        sent.map_err(|broken| match broken {
            Broken::Trailers => {
                self.client.worker.process.tally.refused(Refusal::Trailers);
                self.client.resets.count();
                Stopped::Trailers
            }
            Broken::Source(_) | Broken::Sink(_) | Broken::Framing(_) => Stopped::ClientCut,
        })
    }

    fn pass_interim(&mut self, interim: Response<()>) -> Result<(), Stopped> {
        let counted = self.interims.count();
        counted.map_err(|too_many| Stopped::Lost(Lost::bad(too_many)))?;
        let sent = self.respond.send_informational(interim);
        sent.map_err(|_| Stopped::ClientCut)
    }

    /// Says when the deadline is over.
    fn poll_deadline<T>(&mut self, cx: &Context<'_>, wait: Wait) -> Poll<Result<T, Stopped>> {
        let down = self.down.as_ref().map_or(0, Pump::passed);
        let passed = self.upstream.passed() + down + self.interims.number();
        let timing = (self.deadline, self.client.worker.process.timeouts());
        match self.turn.check(cx, timing, wait, passed) {
            None => Poll::Pending,
            Some(Late::Client) => Poll::Ready(Err(Stopped::ClientTimeout)),
            Some(Late::Backend) if self.upstream.is_tunnel() => Poll::Ready(Err(Stopped::Silent)),
            Some(Late::Backend) => Poll::Ready(Err(Stopped::BackendTimeout)),
            Some(Late::Ended) => Poll::Ready(Err(Stopped::Ended)),
        }
    }
}

impl Stopped {
    /// A response's body broke off.
    fn from_down(broken: Broken) -> Self {
        tracing::debug!("response: {broken}");
        match broken {
            Broken::Sink(_) => Self::ClientCut,
            Broken::Framing(_) => Self::Lost(Lost::bad(ResponseRefusal::Chunk)),
            Broken::Source(_) | Broken::Trailers => Self::Lost(Lost::cut()),
        }
    }
}
