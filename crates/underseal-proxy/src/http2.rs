//! HTTP/2, towards clients and backends.
//!
//! A client's connection is a task ([`serve`]), and each of its streams another one ([`exchange`]):
//! what goes on of the request is written down
//! ([`request`]) and, by the [exchange](crate::exchange), judged, sent to a backend of either version ([`crate::upstream`]), and the
//! response passed on. Bodies go both ways at once and are read no faster than they are taken
//! ([`crate::parts`]). What a client may make the proxy hold and do is bounded ([`limits`], [`flood`]).
//!
//! Frames, fields and flow control are those of the `h2` library. Heads that it cannot read are
//! refused by it, with a reset of the stream; those that it reads are judged by
//! [`underseal_http::http2::read`] before anything is done with them.

pub(crate) mod active;
pub(crate) mod backlog;
mod exchange;
mod flood;
mod frames;
pub(crate) mod gathered;
mod inbound;
mod kept;
pub(crate) mod limits;
mod request;
mod unseen;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, server};
use tokio::task::spawn_local;
use underseal::Engines;

use self::active::{Active, Presence};
use self::backlog::Backlog;
use self::flood::{Flooded, Guarded, Resets};
use self::gathered::Gathered;
pub(crate) use self::request::written;
use self::unseen::Unseen;
use super::exchange::Client;
use super::stream::Stream;
use underseal_http::Version;
use underseal_server::closing::{LingerLimits, linger};
use underseal_server::deadline::{Deadline, Phase, Stop};

/// Longest wait for a client to take what is said last.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the streams of a connection share, beside their client.
#[derive(Clone)]
struct Shared {
    engines: Option<Engines>,
    backlog: Backlog,
    /// Which of its streams may still come to nothing.
    resets: Resets,
}

/// Serves a client's connection on which HTTP/2 is spoken, until it ends. Called after the TLS
/// handshake if ALPN chose `h2`, and for a client that began with the connection preface: the bytes
/// of it that were read already come out of `stream` again.
pub(crate) async fn serve(client: Rc<Client>, deadline: Deadline, stream: Stream) {
    let engines = stream.engines();
    let (timeouts, session) = (client.process().timeouts(), &client.session);
    let flooded = Flooded::default();
    let stream = Gathered::of_client(stream);
    let unseen = Unseen::default();
    let resets = Resets::new(flooded.clone());
    let guarded = Guarded::new(stream.clone(), resets.clone(), unseen.clone());
    let has_websocket = client.service.settings.to_protocol == Version::Http11;
    let builder = limits::server(
        client.worker.listener.settings.read_options.max_head,
        has_websocket,
    );
    deadline.enter(Phase::Busy, timeouts.header);
    let handshake = builder.handshake(guarded);
    let connection = match deadline.until(pin!(handshake)).await {
        Ok(Ok(connection)) => connection,
        ended => {
            let ended = ended.map(|handshake| handshake.err());
            tracing::info!("{} did not begin HTTP/2: {ended:?}", session.remote);
            return;
        }
    };
    stream.defer();
    let shared = Shared {
        engines,
        backlog: stream.backlog(),
        resets,
    };
    let active = Rc::<Active>::default();
    let mut serving = Serving {
        connection,
        stream,
        presence: Presence::new(deadline, Rc::clone(&active)),
        client,
        shared,
        active,
        flooded,
        unseen,
        state: State::Open,
    };
    let end = poll_fn(|cx| serving.poll(cx)).await;
    serving.log_unseen();
    let Serving {
        connection,
        stream,
        presence,
        client,
        ..
    } = serving;
    // It has the only other handle of the stream. Its streams end with it, and what speaks for the client
    // with them: backends are told before the client is heard out, which takes a while.
    drop((connection, client));
    if end == End::Said
        && let Some(mut stream) = stream.into_stream()
    {
        let deadline = presence.into_deadline();
        linger(&deadline, &mut stream, LingerLimits::brief()).await;
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client was told, or told us: what was said last is to reach it, whatever it still sends.
    Said,
    /// It is gone, or takes nothing.
    Lost,
}

/// A client's connection.
struct Serving {
    connection: server::Connection<Guarded, Bytes>,
    stream: Gathered,
    presence: Presence,
    client: Rc<Client>,
    shared: Shared,
    active: Rc<Active>,
    flooded: Flooded,
    unseen: Unseen,
    state: State,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The client has been told to begin nothing more.
    Draining,
    /// It has been told that it is over.
    Ending,
}

impl Serving {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.unseen.give(respond.stream_id().as_u32());
                    let client = Rc::clone(&self.client);
                    let open = self.active.open();
                    let serving =
                        exchange::serve(client, self.shared.clone(), request, respond, open);
                    spawn_local(serving);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::info!("{}: HTTP/2 ended: {error}", self.client.session.remote);
                    return Poll::Ready(match error.is_io() {
                        true => End::Lost,
                        false => End::Said,
                    });
                }
                Poll::Ready(None) => return Poll::Ready(End::Said),
                Poll::Pending => {}
            }
            self.log_unseen();
            if let Poll::Ready(Err(error)) = self.stream.poll_send(cx) {
                tracing::info!("{}: HTTP/2 ended: {error}", self.client.session.remote);
                return Poll::Ready(End::Lost);
            }
            match self.next(cx) {
                Next::Wait => return Poll::Pending,
                Next::End => return Poll::Ready(End::Lost),
                Next::Again => {}
            }
        }
    }

    /// Writes the lines of the requests that nobody was given.
    fn log_unseen(&self) {
        for refused in self.unseen.refused() {
            exchange::log_refused(&self.client, self.shared.engines, refused);
        }
    }

    /// What to do where nothing has come.
    fn next(&mut self, cx: &mut Context<'_>) -> Next {
        if self.flooded.is_so() && self.state != State::Ending {
            let remote = self.client.session.remote;
            tracing::warn!("{remote} sends more HTTP/2 frames of control than it may");
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            self.presence.end_within(CLOSE_TIMEOUT);
            self.state = State::Ending;
            return Next::Again;
        }
        let process = self.client.process();
        if process.deadlines.closing() && self.state == State::Open {
            return self.drain();
        }
        let (phase, patience) = match self.state {
            State::Open => (Phase::Idle, process.timeouts().idle),
            State::Draining | State::Ending => (Phase::Busy, CLOSE_TIMEOUT),
        };
        match self.presence.check(cx, phase, patience) {
            None => Next::Wait,
            Some(Stop::TimedOut | Stop::Closing) if self.state == State::Open => self.drain(),
            Some(_) => Next::End,
        }
    }

    fn drain(&mut self) -> Next {
        self.connection.graceful_shutdown();
        self.presence.restart();
        self.state = State::Draining;
        Next::Again
    }
}

enum Next {
    Wait,
    Again,
    End,
}
