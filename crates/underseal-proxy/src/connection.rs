//! A connection of a client, from when it was accepted until it is known what is spoken on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use underseal_http::http1::Glimpse;
use underseal_policy::Transport;
use underseal_policy::model::TrafficDirection;

use super::listener::Listener;
use super::log::{self, Outcome};
use super::metrics::{self, Handshake, Side};
use super::principal::Principal;
use super::protocol::Protocol;
use super::service::Service;
use super::session::Session;
use super::stream::{Io, Stream};
use super::worker::Worker;
use super::{http1, http2, proxy_protocol, tcp};
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
    match (worker.listener.settings.protocol, stream.alpn()) {
        (Protocol::Tcp, _) => {
            Box::pin(tcp::serve((&worker, &service), &deadline, stream, &session)).await;
        }
        (Protocol::Http, Some(b"h2")) => {
            Box::pin(http2::serve((worker, service), deadline, stream, session)).await;
        }
        (Protocol::Http, _) => {
            // A client may say that it speaks HTTP/2 with its first bytes.
            let ends = (&*worker, &*service);
            if let Some(stream) = http1::serve(ends, &deadline, stream, &session).await {
                Box::pin(http2::serve((worker, service), deadline, stream, session)).await;
            }
        }
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
        log_plain(
            &worker,
            (&session, started),
            (seen, answered),
            log::unjudged,
        );
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
    Session {
        remote,
        local,
        is_told: true,
        transport: Transport::Tcp,
        tls: None,
        suite: None,
        sni: None,
        source: Principal::default(),
        destination: Principal::default(),
        logged: Box::default(),
        forwarded: Box::default(),
    }
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
    let remote = session.remote;
    deadline.enter(Phase::Idle, worker.process.timeouts().header);
    let mut first = [0];
    let peeked = deadline.until(pin!(tcp.peek(&mut first))).await;
    match peeked {
        Ok(Ok(1)) if first[0].is_ascii_alphabetic() => {
            answer_in_plain(worker, deadline, tcp, session).await;
            return None;
        }
        Ok(Ok(1)) => {}
        ended => {
            tracing::debug!("{remote} sent nothing: {ended:?}");
            return None;
        }
    }
    deadline.enter(Phase::Busy, worker.process.timeouts().header);
    let accept = worker.listener.acceptor.as_ref()?.get().accept(tcp);
    let open = worker.process.tally.connection(Side::Client);
    match deadline.until(pin!(accept)).await {
        Ok(Ok(stream)) => {
            let (tcp, tls) = stream.get_ref();
            session.tls = tls.protocol_version().and_then(|version| version.as_str());
            session.suite = tls
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str());
            session.sni = tls.server_name().map(Box::from);
            let certificates: Option<&[CertificateDer<'_>]> = tls.peer_certificates();
            session.source = Principal::of(certificates);
            if session.source == Principal::Unclear {
                worker
                    .process
                    .tally
                    .handshake(Side::Client, Handshake::Failed);
                tracing::info!(
                    "no connection with {remote}: several SPIFFE IDs in its certificate, or one that is none"
                );
                return None;
            }
            let registration = worker.process.connections.add(Established {
                local: tcp.local_addr().unwrap_or(session.local),
                peer: remote,
                tls: session.tls,
                suite: session.suite,
            });
            let stream = Stream::new(Io::Accepted(stream), Some(registration), open);
            stream.record_counters();
            worker
                .process
                .tally
                .handshake(Side::Client, Handshake::Complete);
            if let Some(engines) = stream.engines() {
                worker.process.count_engines(Side::Client, engines);
            }
            Some(stream)
        }
        Ok(Err(error)) => {
            worker
                .process
                .tally
                .handshake(Side::Client, Handshake::Failed);
            tracing::info!("no connection with {remote}: {error}");
            None
        }
        Err(stop) => {
            worker
                .process
                .tally
                .handshake(Side::Client, Handshake::TimedOut);
            tracing::info!("no connection with {remote}: handshake not finished: {stop}");
            None
        }
    }
}

/// A client that speaks plain HTTP where TLS is expected is told so.
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
        log_plain(worker, (session, started), (seen, answered), log::refused);
    };
    plain_http::answer(deadline, tcp, log).await;
}

/// Logs a request that came without TLS and goes nowhere; `verdict` says what was decided.
fn log_plain(
    worker: &Worker,
    (session, started): (&Session, Instant),
    (seen, answered): (&Glimpse<'_>, Answered),
    verdict: fn(&mut Vec<u8>),
) {
    let process = &worker.process;
    let mut line = process.buffers.take();
    let protocol = log::http1(seen.minor_version);
    process
        .clock
        .with_now(|_, time| log::begin(&mut line, time, session, protocol));
    log::seen(&mut line, seen);
    verdict(&mut line);
    let outcome = Outcome {
        status: answered.status,
        bytes_out: answered.length,
        is_own: true,
        duration: started.elapsed(),
        error: answered.error,
        ..Outcome::default()
    };
    process.conclude(line, Some(metrics::Protocol::Http1), &outcome);
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
