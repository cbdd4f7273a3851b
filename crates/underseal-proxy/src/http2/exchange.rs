//! One stream of a client: the face of an exchange towards it.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::HeaderName;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use underseal::Engines;
use underseal_http::http1::Glimpse;
use underseal_http::{Outgoing, Refusal, Version};

use super::Shared;
use super::active::Open;
use super::kept::{Kept, Reader};
use super::request;
use super::unseen::Refused;
use crate::exchange::response::Interims;
use crate::exchange::{
    Allowed, Answer, Client, Face, Fault, Lost, Retry, Sent, Stopped, Wait, scheme,
};
use crate::flow::{Broken, Waiting};
use crate::log::Outcome;
use crate::parts::{Parts as _, Pump, Received};
use crate::upstream::{Event, Reached, Sends, Upstream};
use crate::websocket;

/// Serves one request, and holds `open` until that is done.
pub(super) async fn serve(
    client: Rc<Client>,
    shared: Shared,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    open: Open,
) {
    let (head, body) = request.into_parts();
    let body = (!body.is_end_stream()).then(|| Received::from(body));
    let deadline = client.process().deadlines.add();
    let ends = (&*client, &deadline);
    let (mut exchange, mut step, websocket) = request::prepare(ends, &head, body.is_none());
    let body = body.zip(step.as_ref().ok());
    let mut stream = Stream {
        client: &client,
        shared,
        respond,
        body: body.map(|(body, outgoing)| Kept::new(body, outgoing)),
        is_head: head.method == Method::HEAD,
        websocket,
    };
    drop(head);
    exchange.run(&mut step, &mut stream).await;
    drop(open);
}

/// Writes the log line of a request that nobody was given.
pub(super) fn log_refused(client: &Client, engines: Option<Engines>, refused: Refused) {
    let mut line = client.line("h2", Version::Http2);
    line.seen(&Glimpse::default());
    line.refused();
    let outcome = &mut line.outcome;
    outcome.engines = engines;
    match refused {
        Refused::TooLong => {
            let refusal = Refusal::HeadTooLong;
            client.process().tally.refused(refusal);
            outcome.status = Some(refusal.status());
            outcome.is_own = true;
            outcome.error = Some(Fault::Refused(refusal).said());
        }
        Refused::Reset => outcome.error = Some("stream-refused".into()),
    }
    line.conclude(client.process());
}

/// A request on a stream.
struct Stream<'c> {
    client: &'c Client,
    shared: Shared,
    respond: SendResponse<Bytes>,
    body: Option<Kept>,
    is_head: bool,
    /// Of a request for WebSocket.
    websocket: Option<websocket::Key>,
}

/// The request where it is with a backend, and the response that comes.
struct Passing {
    upstream: Upstream,
    /// The request's body.
    body: Option<Reader>,
    /// What the client was told.
    status: Option<StatusCode>,
    /// The response's body, if it has any, and whether all of it has passed.
    down: Option<Pump>,
    is_over: bool,
    interims: Interims,
}

impl Stream<'_> {
    /// Goes on with the request's body, and looks whether the client is still there.
    fn poll_request(&mut self, cx: &mut Context<'_>, sent: &mut Passing) -> Result<(), Stopped> {
        let reset = match &mut sent.down {
            Some(down) => down.poll_reset(cx).is_ready(),
            None => self.respond.poll_reset(cx).is_ready(),
        };
        if reset {
            return Err(Stopped::ClientCut);
        }
        let uploaded = sent.upstream.poll_upload(cx, &mut sent.body);
        uploaded.map_err(|broken| {
            if let Broken::Trailers = broken {
                self.shared.resets.count();
            }
            Stopped::from_request(&broken)
        })
    }

    fn pass_interim(&mut self, interim: Response<()>, sent: &mut Passing) -> Result<(), Stopped> {
        let counted = sent.interims.count();
        counted.map_err(|too_many| Stopped::Lost(Lost::bad(too_many)))?;
        let sent = self.respond.send_informational(interim);
        sent.map_err(|_| Stopped::ClientCut)
    }

    /// Passes a head on, behind which there need not be a body.
    fn pass_head(&mut self, head: Response<()>, sent: &mut Passing) -> Result<(), Stopped> {
        self.body.iter().for_each(Kept::forget);
        let status = head.status();
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let is_whole = self.is_head || bodiless || sent.upstream.is_at_end();
        let sink = self.respond.send_response(head, is_whole);
        let sink = sink.map_err(|_| Stopped::ClientCut)?;
        sent.status = Some(status);
        sent.down = (!is_whole).then(|| Pump::new(sink, self.shared.backlog.clone()));
        Ok(())
    }
}

impl Face for Stream<'_> {
    type Sent = Passing;

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.body.iter().for_each(|body| body.hold(cx));
        self.respond.poll_reset(cx).map(|_| ())
    }

    fn begin(
        &mut self,
        reached: Reached,
        allowed: Allowed<&Outgoing>,
        _: Retry,
    ) -> Result<Passing, Lost> {
        let sends = match self.websocket {
            Some(key) => Sends::WebSocket(key),
            None => Sends::body(self.body.is_some()),
        };
        let head = (allowed, &scheme(&self.client.session));
        Ok(Passing {
            upstream: Upstream::begin(self.client.process(), reached, head, sends)?,
            body: self.body.as_ref().map(Kept::reader),
            status: None,
            down: None,
            is_over: false,
            interims: Interims::default(),
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>, sent: &mut Passing) -> Poll<Result<(), Stopped>> {
        while sent.status.is_none() {
            self.poll_request(cx, sent)?;
            match ready!(sent.upstream.poll_head(cx)).map_err(Stopped::Lost)? {
                Event::Final(head) => self.pass_head(head, sent)?,
                Event::Interim(interim) => self.pass_interim(interim, sent)?,
            }
        }
        // Nothing that comes of the request takes back an answer that is whole.
        if sent.down.is_some() {
            self.poll_request(cx, sent)?;
        }
        let Some(down) = &mut sent.down else {
            return Poll::Ready(Ok(()));
        };
        let passed = ready!(down.poll(cx, &mut sent.upstream));
        passed.map_err(|broken| Stopped::from_response(&broken))?;
        sent.is_over = true;
        // An end of a tunnel is passed on, and the other direction goes on until it ends as well.
        match !sent.upstream.is_tunnel() || sent.upstream.is_sent() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn take_back(&mut self, sent: Passing) -> Result<(), Passing> {
        if !self.body.as_ref().is_none_or(Kept::is_whole) {
            return Err(sent);
        }
        sent.upstream.abort();
        Ok(())
    }

    fn finish(&mut self, sent: Passing) {
        match sent.upstream.is_sent() {
            true => {
                let (process, upstreams) = (self.client.process(), &self.client.upstreams);
                sent.upstream.finish(process, upstreams);
            }
            // Whoever has the whole response sends the rest in vain: with this exchange the client's
            // stream goes, and it is told so by RST_STREAM(NO_ERROR) (RFC 9113 section 8.1).
            false => sent.upstream.abort(),
        }
    }

    async fn go_on(&mut self, _: &mut Outcome<'_>) {}

    fn give_up(&mut self, sent: Passing) {
        sent.upstream.abort();
    }

    /// Resets the stream, so that what it had is not taken for whole.
    fn cut(&mut self, stopped: Stopped) {
        self.respond.send_reset(match stopped {
            Stopped::ClientCut | Stopped::Silent => Reason::CANCEL,
            Stopped::Lost(lost) if lost.fault == Fault::ClientTimeout => Reason::CANCEL,
            Stopped::Trailers => Reason::PROTOCOL_ERROR,
            Stopped::Lost(_) | Stopped::Ended => Reason::INTERNAL_ERROR,
        });
    }

    async fn answer(&mut self, answer: Answer) -> Option<u64> {
        let clock = &self.client.process().clock;
        let head = clock.with_now(|date, _| own(&answer, date));
        let mut sink = self.respond.send_response(head, self.is_head).ok()?;
        if self.is_head {
            return Some(0);
        }
        let length = answer.body.len() as u64;
        let sent = sink.send_data(answer.body.into(), true);
        sent.ok().map(|()| length)
    }

    fn engines(&self) -> Option<Engines> {
        self.shared.engines
    }
}

impl Sent for Passing {
    fn wait(&self) -> Wait {
        if self.upstream.is_tunnel() {
            return Wait::in_tunnel(self.is_over || self.upstream.has_tunnel_end());
        }
        let down = self.down.as_ref();
        let takes_nothing = down.is_some_and(|down| down.waiting == Waiting::Sink);
        let wants_upload = self.upstream.waits_for_client();
        Wait::of(self.status.is_some(), takes_nothing, wants_upload)
    }

    fn passed(&self) -> (u64, u64) {
        let down = self.down.as_ref().map_or(0, Pump::passed);
        (self.upstream.passed(), down)
    }

    fn interims(&self) -> &Interims {
        &self.interims
    }

    fn status(&self) -> Option<u16> {
        self.status.map(|status| status.as_u16())
    }

    fn is_untold(&self) -> bool {
        self.status.is_none()
    }

    fn distrust(&self) {
        self.upstream.distrust();
    }
}

/// The head of an answer of our own.
fn own(answer: &Answer, date: &str) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = answer.status;
    let fields = head.headers_mut();
    answer.fields(date, |name, value| {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            fields.insert(name, value);
        }
    });
    head
}
