//! Connections of another protocol than HTTP: judged once, then bytes pass both ways.

use super::backend::Unreachable;
use super::chunk::Chunk;
use super::connection::close;
use super::exchange::reach_unasked;
use super::log::Line;
use super::service::Service;
use super::session::Session;
use super::stream::Stream;
use super::tunnel;
use super::worker::Worker;
use underseal_server::closing::End;
use underseal_server::deadline::Deadline;

/// Serves a client's connection, until it ends.
pub(crate) async fn serve(
    (worker, service): (&Worker, &Service),
    deadline: &Deadline,
    mut client: Stream,
    session: &Session,
) {
    let mut line = Line::of_connection(&worker.process, session, "tcp");
    let ends = (worker, service);
    let end = run(ends, deadline, (&mut client, session), &mut line).await;
    line.outcome.engines = client.engines();
    line.conclude(&worker.process);
    close(deadline, client, end).await;
}

/// Judges the connection and, if it is allowed, passes its bytes.
async fn run<'a>(
    (worker, service): (&Worker, &'a Service),
    deadline: &Deadline,
    (client, session): (&mut Stream, &Session),
    line: &mut Line<'a>,
) -> End {
    let (process, backends) = (&worker.process, &service.backends);
    let header = service.proxy_header(session);
    let connect = async || {
        let header = header.as_deref();
        let backend = backends.connect(process, deadline, backends.pick(), header);
        backend.await
    };
    let reached = reach_unasked(worker, session, backends, line, connect);
    let Some(backend) = reached.await else {
        return End::Close;
    };
    let outcome = &mut line.outcome;
    if let (Some(near), Some(far)) = (client.alpn(), backend.stream.alpn())
        && near != far
    {
        tracing::warn!("a client and its backend agreed on different protocols with us");
        outcome.error = Some(Unreachable::Handshake.word().into());
        return End::Close;
    }
    let from_client = (client, Chunk::default());
    let timing = (deadline, process.timeouts());
    tunnel::pass(timing, from_client, (backend, Chunk::default()), outcome).await
}
