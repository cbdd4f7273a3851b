//! Datagrams: DTLS in front of a UDP service, towards one, or both. Each client is judged once; then
//! its datagrams pass both ways, one by one.
//!
//! A worker has one socket, and one task that receives from it (`front`); each client has a task
//! (`client`) and a socket to its backend (`backend`) of its own, and is known by its address (`clients`).

mod client;
mod clients;
mod front;
pub(crate) mod tls;

use std::io;
use std::net::UdpSocket;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_local;
use underseal_dtls::Error;
use underseal_server::control::Workers;
use underseal_server::worker::{self, Bounds, Make, Order};

pub(crate) use self::client::VERSION;
use self::client::{End, Facts};
use self::clients::{Clients, Queued};
use self::front::{Arrival, Client, Front};
pub use self::tls::{DtlsBackends, DtlsClients, DtlsConnector};
use super::metrics::{Handshake, Side};
use super::worker::Worker;
pub use underseal_dtls::DtlsAcceptor;

/// The longest payload of a UDP datagram.
const MAX_DATAGRAM: usize = 65_507;

/// Starts one worker thread per socket, which serves its clients.
///
/// # Errors
/// [`underseal_server::Error::Workers`] when a socket has no second descriptor, and when a runtime or a thread cannot be made.
pub fn start(
    sockets: Vec<UdpSocket>,
    bounds: &Bounds,
    make: impl Make<Worker>,
) -> Result<Workers, underseal_server::Error> {
    let clients = bounds.connections.clone();
    let clients = clients.unwrap_or_else(|| Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)));
    // A socket that is closed leaves the others (`SO_REUSEPORT`), and the kernel gives their clients to
    // other workers then: all stay until the last worker has ended.
    let kept: io::Result<Vec<_>> = sockets.iter().map(UdpSocket::try_clone).collect();
    let kept = Arc::new(kept.map_err(underseal_server::Error::Workers)?);
    worker::start_with(sockets, make, move |worker, socket, orders| async move {
        let served = serve(worker, socket, clients, orders).await;
        drop(kept);
        served
    })
}

/// Serves the clients of a socket until orders end it.
///
/// # Errors
/// The socket's.
async fn serve(
    worker: Rc<Worker>,
    socket: UdpSocket,
    clients: Arc<Semaphore>,
    mut orders: watch::Receiver<Order>,
) -> io::Result<()> {
    let mut server = Server {
        front: Front::new(&worker, socket)?,
        worker,
        permits: clients,
        clients: Rc::default(),
    };
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut ticks = worker::ticks();
    loop {
        tokio::select! {
            arrival = server.front.recv(&mut buffer) => server.arrive(arrival?, &buffer),
            _ = ticks.tick() => {
                worker::tick(&*server.worker);
                server.tick();
            }
            _ = orders.wait_for(|order| *order != Order::Serve) => break,
        }
    }
    // Those that are there go on; nobody new comes in.
    server.front.admit_nobody();
    let worker = Rc::clone(&server.worker);
    let mut finished = pin!(worker::finish(&*worker, orders));
    loop {
        tokio::select! {
            () = &mut finished => break,
            arrival = server.front.recv(&mut buffer) => server.arrive(arrival?, &buffer),
        }
    }
    server.tick();
    Ok(())
}

struct Server {
    worker: Rc<Worker>,
    front: Front,
    permits: Arc<Semaphore>,
    clients: Rc<Clients>,
}

impl Server {
    fn arrive(&mut self, arrival: Arrival, buffer: &[u8]) {
        match arrival {
            Arrival::Client(client, facts) => {
                self.begin(client, *facts);
            }
            Arrival::Datagram(client, len) => self.take(client, &buffer[..len]),
            Arrival::Ended(key) => self.clients.remove(key),
            Arrival::HandshakeFailed(address, why) => {
                let result = match why {
                    Error::HandshakeTimedOut => Handshake::TimedOut,
                    _ => Handshake::Failed,
                };
                self.worker.process.tally.handshake(Side::Client, result);
                tracing::info!("no association with {address}: {why}");
            }
        }
    }

    fn take(&mut self, client: Client, datagram: &[u8]) {
        let key = client.key();
        let mut queued = self.clients.queue(key, datagram);
        if queued == Queued::Unknown && self.front.begins_with_datagrams() {
            if !self.begin(client, Facts::default()) {
                return;
            }
            queued = self.clients.queue(key, datagram);
        }
        let why = match queued {
            Queued::Waits => return,
            Queued::Full => "queue",
            Queued::Refused => "refused",
            Queued::Unknown => "client",
        };
        self.worker.process.tally.datagram_dropped(why);
    }

    /// Starts to serve a client, if another one may be; else its datagram is counted, and it is closed.
    fn begin(&mut self, client: Client, facts: Facts) -> bool {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            tracing::debug!("{} is one too many", client.address());
            self.worker.process.tally.datagram_dropped("clients");
            client.close();
            return false;
        };
        let (mut served, datagrams) = self.clients.add(client.key());
        let worker = Rc::clone(&self.worker);
        spawn_local(async move {
            let _permit = permit;
            if client::serve(worker, client, facts, datagrams).await == End::Unreached {
                served.refuse();
            }
        });
        true
    }

    fn tick(&mut self) {
        self.clients.forget_refused();
        self.front.tick(&self.worker.process);
    }
}
