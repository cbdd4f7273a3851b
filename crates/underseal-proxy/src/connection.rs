//! A connection of a client, from when it was accepted until it is known what is spoken on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use tokio::net::TcpStream;
use underseal_http::Version;
use underseal_http::http1::Glimpse;
use underseal_policy::model::TrafficDirection;
use underseal_policy::{Transport, Verdict};

use super::exchange::Client;
use super::listener::Listener;
use super::log::{self, Line, Outcome};
use super::metrics::{Handshake, Side};
use super::principal::Principal;
use super::protocol::Protocol;
use super::service::Service;
use super::session::Session;
use super::stream::{Io, Stream};
use super::worker::Worker;
use super::{http1, http2, proxy_protocol, tcp};
use underseal_server::accept::{self, NoTls};
use underseal_server::certificate::{Identities, Identity};
use underseal_server::closing::{self, End};
use underseal_server::deadline::{Deadline, Phase};
use underseal_server::live::Established;
use underseal_server::plain_http;
use underseal_server::redirect::{self, Answered};

/// Serves a connection that was just accepted, until it ends.
pub(crate) async fn serve(worker: Rc<Worker>, tcp: TcpStream, remote: SocketAddr) {
    let deadline = worker.process.deadlines.add();
    // Boxed because handshakes are large and over soon, and idle connections are many.
    let opened = Box::pin(open(&worker, &deadline, tcp, remote)).await;
    let Some((stream, session, service)) = opened else {
        return;
    };
    if worker.listener.settings.protocol == Protocol::Tcp {
        return Box::pin(tcp::serve((&worker, &service), &deadline, stream, &session)).await;
    }
    let is_http2 = stream.alpn() == Some(b"h2");
    let client = Client::new(worker, service, session);
    let http2 = match is_http2 {
        true => Some((client, stream)),
        // A client may say that it speaks HTTP/2 with its first bytes.
        false => http1::serve(client, &deadline, stream).await,
    };
    if let Some((client, stream)) = http2 {
        Box::pin(http2::serve(client, deadline, stream)).await;
    }
}

/// Leads a connection of plain HTTP to TLS.
pub(crate) async fn redirect(worker: Rc<Worker>, mut tcp: TcpStream, remote: SocketAddr) {
    let deadline = worker.process.deadlines.add();
    let _open = worker.process.tally.connection(Side::Client);
    let mut session = begin(&tcp, remote);
    if worker.listener.settings.accept_proxy {
        let received = receive_proxy_header(&worker, &deadline, &mut tcp, &mut session).await;
        if received.is_none() {
            return;
        }
    }
    let started = Instant::now();
    session.logged = log::describe(&session, None);
    let log = |seen: &Glimpse<'_>, answered: Answered| {
        // Nothing was decided: it goes nowhere, whoever asks for it.
        log_plain(&worker, (&session, started), (seen, answered), None);
    };
    let date = || worker.process.clock.with_now(|date, _| date.to_owned());
    let patience = (&deadline, worker.process.timeouts().header);
    redirect::answer(
        patience,
        tcp,
        worker.listener.settings.redirect_to,
        date,
        log,
    )
    .await;
}

/// Ends a connection.
pub(crate) async fn close(deadline: &Deadline, mut stream: Stream, end: End) {
    if end == End::Abort {
        return stream.abort();
    }
    closing::close(deadline, &mut stream, end).await;
}

/// What is known of a connection that was just accepted.
fn begin(tcp: &TcpStream, remote: SocketAddr) -> Session {
    // A socket that was reset in this moment may have no address any more.
    let local = tcp
        .local_addr()
        .unwrap_or_else(|_| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    Session::new(remote, local, Transport::Tcp)
}

async fn open(
    worker: &Rc<Worker>,
    deadline: &Deadline,
    mut tcp: TcpStream,
    remote: SocketAddr,
) -> Option<(Stream, Session, Rc<Service>)> {
    let mut session = begin(&tcp, remote);
    if worker.listener.settings.accept_proxy {
        receive_proxy_header(worker, deadline, &mut tcp, &mut session).await?;
    }
    let stream = if worker.listener.acceptor.is_some() {
        accept_tls(worker, deadline, tcp, &mut session).await?
    } else {
        Stream::new(
            Io::Plain(tcp),
            None,
            worker.process.tally.connection(Side::Client),
        )
    };
    let service = worker.service_of(&session)?;
    name_ourselves(&worker.listener, &service, &mut session);
    session.logged = log::describe(&session, session.proven());
    session.forwarded = session.describe_forwarded(worker.listener.settings.forwarded);
    Some((stream, session, service))
}

/// The addresses that the client speaks for. One that does not say whom gets nothing.
async fn receive_proxy_header(
    worker: &Worker,
    deadline: &Deadline,
    tcp: &mut TcpStream,
    session: &mut Session,
) -> Option<()> {
    let remote = session.remote;
    deadline.enter(Phase::Busy, worker.process.timeouts().header);
    let received = deadline.until(pin!(proxy_protocol::receive(tcp))).await;
    match received {
        Ok(Ok(header)) => {
            // Who speaks for itself has the connection's own addresses; for whom else, nobody knows.
            session.is_told = header.local || header.addresses.is_some();
            if let Some(addresses) = header.addresses {
                session.remote = addresses.source;
                session.local = addresses.destination;
            }
            Some(())
        }
        Ok(Err(error)) => {
            tracing::info!("no connection with {remote}: {error}");
            None
        }
        Err(stop) => {
            tracing::info!("no connection with {remote}: no PROXY protocol header: {stop}");
            None
        }
    }
}

/// Who the other end is, and who we are in its place: the workload behind us has no identity but
/// ours.
pub(crate) fn name_ourselves(listener: &Listener, service: &Service, session: &mut Session) {
    match listener.settings.direction {
        TrafficDirection::Ingress => {
            let identities = listener.settings.server_identities.as_deref();
            session.destination = identities.map_or_else(Principal::default, |identities| {
                shown(identities, session.sni.as_deref())
            });
        }
        TrafficDirection::Egress if session.tls.is_none() => {
            let own = service.settings.client_identity.as_deref();
            let own = own.map(Identity::pair);
            session.source = Principal::of(own.as_deref().map(|pair| &*pair.cert));
        }
        TrafficDirection::Egress => {}
    }
}

/// What was proved to a client that asked for `name`. Of several certificates for one name nobody tells which
/// it was shown.
fn shown(identities: &Identities, name: Option<&str>) -> Principal {
    let pairs = identities.of(name);
    let mut proved = pairs.iter().map(|pair| Principal::of(Some(&*pair.cert)));
    let first = proved.next().unwrap_or_default();
    match proved.all(|other| other == first) {
        true => first,
        false => Principal::Unclear,
    }
}

async fn accept_tls(
    worker: &Rc<Worker>,
    deadline: &Deadline,
    tcp: TcpStream,
    session: &mut Session,
) -> Option<Stream> {
    let (process, remote) = (&worker.process, session.remote);
    let acceptor = worker.listener.acceptor.as_ref()?;
    let accept = async |tcp| {
        let open = process.tally.connection(Side::Client);
        let accept = acceptor.get().accept(tcp);
        accept.await.map(|stream| (stream, open))
    };
    let patience = (deadline, process.timeouts().header);
    let (stream, open) = match accept::tls(patience, (tcp, remote), accept).await {
        Ok(accepted) => accepted,
        Err(no_tls) => {
            no_connection(worker, deadline, session, no_tls).await;
            return None;
        }
    };
    let (tcp, tls) = stream.get_ref();
    let local = tcp.local_addr().unwrap_or(session.local);
    let established = Established::of(tls, local, remote);
    (session.tls, session.suite) = (established.tls, established.suite);
    session.sni = tls.server_name().map(Box::from);
    session.source = Principal::of(tls.peer_certificates());
    if !worker.admits(session) {
        return None;
    }
    let registration = process.connections.add(established);
    let stream = Stream::new(Io::Accepted(stream), Some(registration), open);
    stream.record_counters();
    if let Some(engines) = stream.engines() {
        process.count_engines(Side::Client, engines);
    }
    Some(stream)
}

/// Counts a handshake that came to nothing. A client that speaks plain HTTP where TLS is expected is told so.
async fn no_connection(worker: &Worker, deadline: &Deadline, session: &mut Session, no_tls: NoTls) {
    let tally = &worker.process.tally;
    match no_tls {
        NoTls::Plain(tcp) => answer_in_plain(worker, deadline, tcp, session).await,
        NoTls::Silent => {}
        NoTls::Failed => tally.handshake(Side::Client, Handshake::Failed),
        NoTls::TimedOut => tally.handshake(Side::Client, Handshake::TimedOut),
    }
}

async fn answer_in_plain(
    worker: &Worker,
    deadline: &Deadline,
    tcp: TcpStream,
    session: &mut Session,
) {
    let started = Instant::now();
    session.logged = log::describe(session, None);
    let log = |seen: &Glimpse<'_>, answered: Answered| {
        let answered = Answered {
            error: Some("plain-http"),
            ..answered
        };
        let verdict = Some(Verdict::Deny);
        log_plain(worker, (session, started), (seen, answered), verdict);
    };
    plain_http::answer(deadline, tcp, log).await;
}

/// Logs a request that came without TLS and goes nowhere; `verdict` says what was decided.
fn log_plain(
    worker: &Worker,
    (session, started): (&Session, Instant),
    (seen, answered): (&Glimpse<'_>, Answered),
    verdict: Option<Verdict>,
) {
    let protocol = log::http1(seen.minor_version);
    let counted = Some(Version::Http11);
    let mut line = Line::begin(&worker.process, session, protocol, counted);
    line.started = started;
    line.seen(seen);
    line.unasked(verdict);
    line.outcome = Outcome {
        status: answered.status,
        bytes_out: answered.length,
        is_own: true,
        error: answered.error.map(Into::into),
        ..Outcome::default()
    };
    line.conclude(&worker.process);
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
        assert!(size <= 3072, "{size} bytes");
    }
}
