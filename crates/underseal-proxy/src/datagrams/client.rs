//! One client: judged, then its datagrams pass to a backend of its own socket and back.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use rustls_pki_types::CertificateDer;
use tokio::sync::mpsc;
use underseal_dtls::{Error, buffers};
use underseal_policy::Transport;
use underseal_server::deadline::{Deadline, Phase, Stop};
use underseal_server::live::{Established, Registration};

use super::front::Client;
use crate::backend::{DatagramBackend, Unreachable, word};
use crate::connection::name_ourselves;
use crate::exchange::reach_unasked;
use crate::log::{self, Line};
use crate::metrics::Side;
use crate::principal::Principal;
use crate::service::Service;
use crate::session::Session;
use crate::worker::Worker;

/// The version of every association, named as those of TLS are.
pub(crate) const VERSION: &str = "DTLSv1_2";

/// What a handshake has made known of a client; nothing of one without.
#[derive(Default)]
pub(super) struct Facts {
    is_sealed: bool,
    server_name: Option<Box<str>>,
    suite: Option<&'static str>,
    principal: Principal,
}

impl Facts {
    pub(super) fn new(
        server_name: Option<String>,
        suite: Option<&'static str>,
        certificate: Option<Vec<u8>>,
    ) -> Self {
        let certificate = certificate.map(CertificateDer::from);
        Self {
            is_sealed: true,
            server_name: server_name.map(Into::into),
            suite,
            principal: Principal::of(Some(certificate.as_slice())),
        }
    }
}

/// Bytes that passed, kept where a wait that was given up leaves them.
#[derive(Default)]
struct Passed {
    from_client: Cell<u64>,
    to_client: Cell<u64>,
    /// What became of the backend, as far as it has not answered since.
    error: Cell<Option<&'static str>>,
}

/// How a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its datagrams reached a backend.
    Passed,
    /// It was denied, or had no backend.
    Unreached,
}

/// Serves a client until it or the backend is silent for too long, or either ends it.
pub(super) async fn serve(
    worker: Rc<Worker>,
    client: Client,
    facts: Facts,
    datagrams: mpsc::Receiver<Box<[u8]>>,
) -> End {
    let deadline = worker.process.deadlines.add();
    let _open = worker.process.tally.connection(Side::Client);
    let Some((session, service, registration)) = open(&worker, &client, facts) else {
        client.close();
        return End::Unreached;
    };
    let mut line = Line::of_connection(&worker.process, &session, "dtls");
    let passing = Passing {
        worker: &worker,
        service: &service,
        deadline: &deadline,
        client: &client,
        session: &session,
        registration: registration.as_ref(),
        passed: Passed::default(),
    };
    let ended = Box::pin(passing.run(datagrams, &mut line)).await;
    line.outcome.bytes_in = passing.passed.from_client.get();
    line.outcome.bytes_out = passing.passed.to_client.get();
    line.conclude(&worker.process);
    client.close();
    ended
}

/// What policies, the log and `conns` know of a client; `None` for one that is refused.
fn open(
    worker: &Worker,
    client: &Client,
    facts: Facts,
) -> Option<(Session, Rc<Service>, Option<Registration>)> {
    let remote = client.address();
    let local = worker.listener.settings.local;
    let mut session = Session {
        tls: facts.is_sealed.then_some(VERSION),
        suite: facts.suite,
        sni: facts.server_name,
        source: facts.principal,
        ..Session::new(remote, local, Transport::Udp)
    };
    if facts.is_sealed && !worker.admits(&session) {
        return None;
    }
    let service = worker.service_of(&session)?;
    name_ourselves(&worker.listener, &service, &mut session);
    session.logged = log::describe(&session, session.proven());
    let registration = facts.is_sealed.then(|| {
        worker.process.connections.add(Established {
            local: session.local,
            peer: remote,
            tls: session.tls,
            suite: session.suite,
        })
    });
    Some((session, service, registration))
}

struct Passing<'a> {
    worker: &'a Worker,
    service: &'a Service,
    deadline: &'a Deadline,
    client: &'a Client,
    session: &'a Session,
    registration: Option<&'a Registration>,
    passed: Passed,
}

impl<'a> Passing<'a> {
    /// Judges the client and, if it is allowed, passes its datagrams.
    async fn run(&self, datagrams: mpsc::Receiver<Box<[u8]>>, line: &mut Line<'a>) -> End {
        let worker = self.worker;
        let backends = &self.service.backends;
        let (process, service) = (&worker.process, self.service);
        let connect = async || {
            let backend = backends.connect_datagrams(process, service, self.deadline);
            backend.await
        };
        let reached = reach_unasked(worker, self.session, backends, line, connect);
        let Some(backend) = reached.await else {
            return End::Unreached;
        };
        self.deadline
            .enter(Phase::Busy, worker.process.timeouts().idle);
        let idle = worker.process.timeouts().idle;
        let mut passing = pin!(self.pass(&backend, datagrams));
        // To be silent is how clients of UDP leave.
        if let Err(Stop::Ended) = self.deadline.while_moving(idle, passing.as_mut()).await {
            self.passed.error.set(Some(Unreachable::Ended.word()));
        }
        line.outcome.error = self.passed.error.get().map(Into::into);
        End::Passed
    }

    /// Passes datagrams until either end has left.
    async fn pass(&self, backend: &DatagramBackend, mut datagrams: mpsc::Receiver<Box<[u8]>>) {
        loop {
            let goes_on = tokio::select! {
                datagram = datagrams.recv() => match datagram {
                    Some(datagram) => self.to_backend(backend, &datagram).await,
                    None => return,
                },
                readable = backend.readable() => match readable {
                    Ok(()) => self.to_client(backend).await,
                    Err(_) => return,
                },
            };
            self.record_counters(backend);
            if !goes_on {
                return;
            }
        }
    }

    /// Returns whether the association goes on.
    async fn to_backend(&self, backend: &DatagramBackend, datagram: &[u8]) -> bool {
        add(&self.passed.from_client, datagram.len());
        match self.unless_too_long(backend.send(datagram).await) {
            Ok(()) => true,
            Err(error) => {
                self.passed.error.set(word(&error));
                false
            }
        }
    }

    /// What is too long for a record is lost, and counted, and ends nothing.
    fn unless_too_long(&self, sent: Result<(), Error>) -> Result<(), Error> {
        match sent {
            Err(error) if error.is_too_long() => {
                self.worker.process.tally.datagram_dropped("too_long");
                Ok(())
            }
            sent => sent,
        }
    }

    /// Passes what has come; the buffer is held no longer. Returns whether the association goes on.
    async fn to_client(&self, backend: &DatagramBackend) -> bool {
        let mut buffer = buffers::lend();
        while let Some(received) = backend.try_recv(&mut buffer) {
            match received {
                Ok(Some(len)) => {
                    self.passed.error.set(None);
                    add(&self.passed.to_client, len);
                    let sent = self.client.send(&buffer[..len]).await;
                    if self.unless_too_long(sent).is_err() {
                        return false;
                    }
                }
                Ok(None) => self.passed.error.set(Some(Unreachable::Refused.word())),
                Err(word) => {
                    self.passed.error.set(word);
                    return false;
                }
            }
        }
        true
    }

    /// For `conns`.
    fn record_counters(&self, backend: &DatagramBackend) {
        let (received, sent) = (self.passed.from_client.get(), self.passed.to_client.get());
        if let Some(registration) = self.registration {
            record_counters(registration, received, sent);
        }
        if let Some(registration) = &backend.registration {
            record_counters(registration, sent, received);
        }
    }
}

fn add(count: &Cell<u64>, bytes: usize) {
    count.set(count.get() + bytes as u64);
}

fn record_counters(registration: &Registration, received: u64, sent: u64) {
    let counters = underseal::Counters {
        tx_bytes: sent,
        rx_bytes: received,
        tx_key_updates: 0,
        rx_key_updates: 0,
    };
    let engines = underseal::Engines {
        tx: underseal::Engine::User,
        rx: underseal::Engine::User,
    };
    registration.record_counters(counters, engines);
}
