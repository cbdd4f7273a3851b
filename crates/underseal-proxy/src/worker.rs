//! What a thread holds for the connections that it is given.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::task::spawn_local;
use underseal_policy::Transport;
use underseal_server::deadline::Deadlines;
use underseal_server::live::Table;
use underseal_server::worker::{Accept, Permit};

use super::backend::keep_checking;
use super::connection;
use super::listener::{Listener, ListenerSettings};
use super::metrics::{Handshake, Side};
use super::principal::{Principal, UNCLEAR};
use super::process::{Process, ProcessSettings};
use super::service::Service;
use super::session::Session;
use super::targets::Targets;

/// What every worker is given, beside where clients come to.
#[derive(Clone)]
pub struct Settings {
    /// What is no matter of clients or of targets.
    pub process: ProcessSettings,
    /// Who is heard, and judged by what.
    pub listener: Arc<ListenerSettings>,
}

/// One of each on a thread. Below `connection` and the faces for clients, what needs one of them
/// is given that one.
pub struct Worker {
    pub(crate) process: Process,
    pub(crate) listener: Listener,
    targets: Box<dyn Targets>,
    /// Whether it does what one worker does for all.
    is_first: bool,
}

impl Worker {
    /// The worker of number `index`, made on its own thread, as its `targets` are; `connections` is its own
    /// table.
    ///
    /// # Panics
    /// If [`ProcessSettings::metrics`] are of fewer workers.
    pub fn new(
        settings: Settings,
        targets: impl Targets + 'static,
        index: usize,
        connections: Arc<Table>,
    ) -> Rc<Self> {
        Rc::new(Self {
            process: Process::new(&settings.process, index, connections),
            listener: Listener::new(settings.listener),
            targets: Box::new(targets),
            is_first: index == 0,
        })
    }

    /// The service that a client comes to, if it comes to any.
    pub(crate) fn service_of(&self, session: &Session) -> Option<Rc<Service>> {
        let service = self.targets.of(session);
        if service.is_none() {
            turn_away(session, "it comes to no service");
        }
        service
    }

    /// Counts the handshake of a client; says whether it may be served.
    pub(crate) fn admits(&self, session: &Session) -> bool {
        let is_clear = session.source != Principal::Unclear;
        let handshake = match is_clear {
            true => Handshake::Complete,
            false => {
                turn_away(session, UNCLEAR);
                Handshake::Failed
            }
        };
        self.process.tally.handshake(Side::Client, handshake);
        is_clear
    }
}

/// Says why a client is not served.
fn turn_away(session: &Session, why: &str) {
    let what = match session.transport {
        Transport::Udp => "association",
        Transport::Tcp | Transport::Unknown => "connection",
    };
    tracing::info!("no {what} with {}: {why}", session.remote);
}

impl Accept for Worker {
    fn start(self: Rc<Self>) {
        if self.is_first {
            let services = self.targets.all();
            services
                .iter()
                .for_each(|service| keep_checking(&self, service));
        }
    }

    fn accept(self: Rc<Self>, tcp: TcpStream, remote: SocketAddr, permit: Option<Permit>) {
        spawn_local(async move {
            let _permit = permit;
            connection::serve(self, tcp, remote).await;
        });
    }

    fn redirect(self: Rc<Self>, tcp: TcpStream, remote: SocketAddr, permit: Option<Permit>) {
        spawn_local(async move {
            let _permit = permit;
            connection::redirect(self, tcp, remote).await;
        });
    }

    fn deadlines(&self) -> &Deadlines {
        &self.process.deadlines
    }

    fn tick(&self) {
        self.targets
            .all()
            .iter()
            .for_each(|service| service.sweep());
        self.process.log.flush();
    }
}
