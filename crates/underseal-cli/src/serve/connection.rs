//! One connection: handshake, requests one after the other, and an orderly end.
//!
//! Between requests a connection owns its TLS stream and its place in the sweep, and no buffer:
//! heads are read where the stream decrypted them, answers are written into the worker's buffers.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncBufRead as _;
use tokio::net::TcpStream;

use super::answer::Refused;
use super::log::{self, Outcome};
use super::plain_http;
use super::stream::TlsStream;
use super::transfer::{self, Broken, Sender, Transferred};
use super::worker::{Prepared, Worker};
use underseal_http::origin::Inbox;
use underseal_server::accept::{self, NoTls};
use underseal_server::access_log::line::{self, Client};
use underseal_server::closing::{End, close};
use underseal_server::deadline::{Deadline, Phase, Stop};
use underseal_server::live::{Established, Registration};

/// Serves a connection that was just accepted, until it ends.
pub(crate) async fn serve(worker: Rc<Worker>, tcp: TcpStream, remote: SocketAddr) {
    let deadline = worker.deadlines.add();
    // Boxed because handshakes are large and over soon, and idle connections are many.
    let Some(mut connection) = Box::pin(open(worker, deadline, tcp, remote)).await else {
        return;
    };
    let end = connection.requests().await;
    connection.close(end).await;
}

async fn open(
    worker: Rc<Worker>,
    deadline: Deadline,
    tcp: TcpStream,
    remote: SocketAddr,
) -> Option<Connection> {
    let accept = async |tcp| worker.acceptor.accept(tcp).await;
    let patience = (&deadline, worker.timeouts.header);
    let stream = match accept::tls(patience, (tcp, remote), accept).await {
        Ok(stream) => stream,
        Err(NoTls::Plain(tcp)) => {
            plain_http::answer(&worker, &deadline, tcp, remote).await;
            return None;
        }
        Err(NoTls::Silent | NoTls::Failed | NoTls::TimedOut) => return None,
    };
    let (session, registration) = enlist(&worker, &stream, remote);
    Some(Connection {
        worker,
        deadline,
        stream,
        session,
        registration,
        inbox: Inbox::default(),
        discard: 0,
    })
}

/// Puts an established connection into the worker's table.
fn enlist(worker: &Worker, stream: &TlsStream, remote: SocketAddr) -> (Session, Registration) {
    let (tcp, tls) = stream.get_ref();
    // A socket that was reset in this moment may have no address any more.
    let unknown = |_| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let local = tcp.local_addr().unwrap_or_else(unknown);
    let established = Established::of(tls, local, remote);
    let logged = line::describe(&Client {
        remote,
        sni: tls.server_name(),
        tls: established.tls,
        suite: established.suite,
    });
    let registration = worker.connections.add(established);
    registration.record_counters(stream.counters(), stream.engines());
    let session = Session {
        remote,
        logged: logged.into(),
    };
    (session, registration)
}

/// What is known about a connection after its handshake.
pub(crate) struct Session {
    remote: SocketAddr,
    /// The part of each log line that says all this.
    pub(crate) logged: Box<[u8]>,
}

struct Connection {
    worker: Rc<Worker>,
    deadline: Deadline,
    stream: TlsStream,
    session: Session,
    /// What `underseal conns` is told.
    registration: Registration,
    inbox: Inbox,
    /// Bytes of request body still to be thrown away.
    discard: u64,
}

/// Why no request came.
enum NoRequest {
    Refused(Refused),
    End(End),
}

impl Connection {
    /// Serves requests until the connection has to end.
    async fn requests(&mut self) -> End {
        let mut wait = self.worker.timeouts.header;
        loop {
            if self.discard > 0 {
                self.deadline
                    .enter(Phase::Busy, self.worker.timeouts.header);
            } else {
                self.deadline.enter(Phase::Idle, wait);
            }
            wait = self.worker.timeouts.idle;
            let mut prepared = match poll_fn(|cx| self.poll_request(cx)).await {
                Ok(prepared) => prepared,
                Err(NoRequest::Refused(refused)) => {
                    let seen = self.inbox.glimpse();
                    self.worker.prepare(&self.session, Err((refused, seen)))
                }
                Err(NoRequest::End(end)) => return end,
            };
            if let Some(end) = self.respond(&mut prepared).await {
                return end;
            }
        }
    }

    /// Waits for a request head and answers it into buffers.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Prepared, NoRequest>> {
        // Reading goes first: a request that has arrived is answered, shutting down or not.
        let head = self.poll_head(cx);
        let (counters, engines) = (self.stream.counters(), self.stream.engines());
        self.registration.record_counters(counters, engines);
        if let Poll::Ready(request) = head {
            return Poll::Ready(request);
        }
        match self.deadline.check(cx) {
            Some(stop) => Poll::Ready(Err(self.stopped(stop))),
            None => Poll::Pending,
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Prepared, NoRequest>> {
        loop {
            let fresh = match ready!(Pin::new(&mut self.stream).poll_fill_buf(cx)) {
                Ok([]) => return Poll::Ready(Err(self.peer_closed())),
                Ok(fresh) => fresh,
                Err(error) => return Poll::Ready(Err(self.broken(&error))),
            };
            if self.discard > 0 {
                let dropped = self.discard.min(fresh.len() as u64);
                self.discard -= dropped;
                Pin::new(&mut self.stream).consume(dropped as usize);
                continue;
            }
            let begun = self.inbox.has_begun();
            let (worker, session) = (&self.worker, &self.session);
            let advance = self
                .inbox
                .advance(fresh, |request| worker.prepare(session, Ok(request)));
            Pin::new(&mut self.stream).consume(advance.used);
            match advance.outcome {
                Ok(Some(prepared)) => return Poll::Ready(Ok(prepared)),
                Err(refusal) => return Poll::Ready(Err(NoRequest::Refused(refusal.into()))),
                Ok(None) if !begun && self.inbox.has_begun() => {
                    self.deadline
                        .enter(Phase::Busy, self.worker.timeouts.header);
                }
                Ok(None) => {}
            }
        }
    }

    fn stopped(&self, stop: Stop) -> NoRequest {
        match stop {
            Stop::TimedOut if self.inbox.has_begun() => NoRequest::Refused(Refused {
                status: 408,
                why: "client-timeout",
            }),
            Stop::TimedOut | Stop::Closing => NoRequest::End(End::of(self.discard == 0)),
            Stop::Ended => NoRequest::End(End::Abort),
        }
    }

    fn peer_closed(&self) -> NoRequest {
        if self.inbox.has_begun() || self.discard > 0 {
            tracing::info!("{} closed in the middle of a request", self.session.remote);
        }
        NoRequest::End(End::Close)
    }

    fn broken(&self, error: &io::Error) -> NoRequest {
        let remote = self.session.remote;
        let gone = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        );
        // Many clients leave without close_notify between requests; nothing is lost by it.
        if gone && !self.inbox.has_begun() && self.discard == 0 {
            tracing::debug!("{remote} left: {error}");
        } else {
            tracing::info!("connection of {remote} failed: {error}");
        }
        NoRequest::End(End::Abort)
    }

    /// Sends an answer and logs it; says how the connection ends if it does.
    async fn respond(&mut self, prepared: &mut Prepared) -> Option<End> {
        let stall = self.worker.timeouts.send;
        let Prepared { reply, out, .. } = &*prepared;
        let mut sender = Sender {
            stream: &mut self.stream,
            registration: &self.registration,
        };
        let transferred = transfer::send(&mut sender, &self.deadline, stall, out, reply).await;
        self.log(prepared, &transferred);
        let reply = &prepared.reply;
        self.discard = reply.discard;
        match transferred.broken {
            Some(_) => Some(End::Abort),
            None if reply.keep_alive => None,
            None => Some(End::of(reply.is_read)),
        }
    }

    /// Completes the log line, and gives the buffers back.
    fn log(&self, prepared: &mut Prepared, transferred: &Transferred) {
        let broken = transferred.broken.as_ref();
        if let Some(Broken::FileShrank) = broken {
            tracing::warn!("a file shrank while it was sent to {}", self.session.remote);
        }
        let why = broken.map(ToString::to_string);
        let outcome = Outcome {
            answer: line::Outcome {
                status: transferred.has_begun.then_some(prepared.reply.status),
                // Thrown away behind the answer.
                bytes_in: prepared.reply.discard,
                bytes_out: transferred.bytes,
                duration: prepared.started.elapsed(),
            },
            error: why.as_deref().or(prepared.reply.error),
        };
        let worker = &self.worker;
        log::finish(&worker.log, &mut prepared.line, &outcome);
        worker.buffers.give(mem::take(&mut prepared.out));
        worker.buffers.give(mem::take(&mut prepared.line));
    }

    async fn close(&mut self, end: End) {
        close(&self.deadline, &mut self.stream, end).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_: fn(Rc<Worker>, TcpStream, SocketAddr) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_is_small() {
        let size = size_of_future(serve);
        assert!(size <= 1024, "{size} bytes");
    }
}
