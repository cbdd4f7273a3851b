//! Connections of another protocol than HTTP: judged once, then bytes pass both ways.

use std::time::Instant;

use super::backend::{Known, Unreachable};
use super::chunk::Chunk;
use super::connection::close;
use super::exchange::{Allowed, Denied, Unreached, reach};
use super::log::{self, Outcome};
use super::service::Service;
use super::session::Session;
use super::stream::Stream;
use super::tunnel;
use super::worker::Worker;
use underseal_http::http1::Glimpse;
use underseal_server::closing::End;
use underseal_server::deadline::Deadline;

/// Serves a client's connection, until it ends.
pub(crate) async fn serve(
    (worker, service): (&Worker, &Service),
    deadline: &Deadline,
    mut client: Stream,
    session: &Session,
) {
    let mut line = worker.process.buffers.take();
    worker
        .process
        .clock
        .with_now(|_, time| log::begin(&mut line, time, session, "tcp"));
    log::seen(&mut line, &Glimpse::default());
    let mut outcome = Outcome::default();
    let started = Instant::now();
    let end = {
        let mut connection = Tcp {
            worker,
            service,
            deadline,
            session,
        };
        connection.run(&mut client, &mut line, &mut outcome).await
    };
    outcome.duration = started.elapsed();
    outcome.engines = client.engines();
    worker.process.conclude(line, None, &outcome);
    close(deadline, client, end).await;
}

struct Tcp<'a> {
    worker: &'a Worker,
    service: &'a Service,
    deadline: &'a Deadline,
    session: &'a Session,
}

impl<'a> Tcp<'a> {
    /// Judges the connection and, if it is allowed, passes its bytes.
    async fn run(
        &mut self,
        client: &mut Stream,
        line: &mut Vec<u8>,
        outcome: &mut Outcome<'a>,
    ) -> End {
        let backends = &self.service.backends;
        let header = self.service.proxy_header(self.session);
        let judge = |target: Option<&Known>| self.judge(line, target);
        let connect = async || {
            let first = backends.pick();
            backends
                .connect(
                    &self.worker.process,
                    self.deadline,
                    first,
                    header.as_deref(),
                )
                .await
        };
        let (mut backend, allowed) = match reach(&self.worker.listener, judge, connect).await {
            Ok(reached) => reached,
            Err(Unreached::Nobody(unreachable)) => {
                outcome.error = Some(Unreachable::word(unreachable));
                if self.worker.listener.judges_backend() {
                    log::refused(line);
                }
                return End::Close;
            }
            Err(Unreached::Denied(_, backend)) => {
                outcome.backend = backend.map(|backend| backends.name(&backend));
                return End::Close;
            }
        };
        outcome.backend = Some(backends.name(&backend));
        if allowed.to(backend.known.target).is_none() {
            return End::Close;
        }
        if let (Some(near), Some(far)) = (client.alpn(), backend.stream.alpn())
            && near != far
        {
            tracing::warn!("a client and its backend agreed on different protocols with us");
            outcome.error = Some(Unreachable::Handshake.word());
            return End::Close;
        }
        let passed = tunnel::pass(
            (self.deadline, self.worker.process.timeouts()),
            (client, Chunk::default()),
            (&mut backend.stream, Chunk::default()),
        )
        .await;
        outcome.bytes_in = passed.from_client;
        outcome.bytes_out = passed.to_client;
        outcome.error = passed.error;
        if passed.error.is_some() {
            backend.stream.abort();
            return End::Abort;
        }
        End::Close
    }

    fn judge(&self, line: &mut Vec<u8>, target: Option<&Known>) -> Result<Allowed<()>, Denied> {
        self.worker
            .listener
            .judge(&self.worker.process, self.session, target, (), |judged| {
                log::judged(line, judged);
            })
    }
}
