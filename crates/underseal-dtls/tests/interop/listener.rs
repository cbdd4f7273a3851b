//! Many associations behind one socket, with clients that others wrote and with such as misbehave.

mod addresses;
pub(crate) mod blocking;
mod bounds;
mod clients;
mod cookies;
mod ends;
mod floods;
mod lost;
mod paths;
mod routes;
mod workers;

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc as requests;
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{DtlsListener, DtlsPeer, Error, Event, ListenerConfig, ListenerCounters};
use underseal_testkit::{Certificates, PATIENCE};

use crate::{SUITES, certificates, client, server_context, socket_to};

/// What the listener's thread tells.
#[derive(Debug)]
pub(crate) enum Told {
    Established(DtlsPeer, Option<String>),
    Datagram(String, SocketAddr),
    Ended(Error),
    Failed(SocketAddr),
}

/// A listener that gives back every payload, in a thread of its own.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Arc<Certificates>,
    told: mpsc::Receiver<Told>,
    requests: requests::UnboundedSender<Request>,
}

type Request = Box<dyn FnOnce(&mut DtlsListener) + Send>;

impl Echo {
    pub(crate) fn start(config: ListenerConfig) -> Self {
        let certificates = Arc::new(certificates());
        let context = server_context(&certificates);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Self::with(certificates, socket, move |socket| {
            DtlsListener::new(socket, context, config).unwrap()
        })
    }

    fn with(
        certificates: Arc<Certificates>,
        socket: UdpSocket,
        make: impl FnOnce(tokio::net::UdpSocket) -> DtlsListener + Send + 'static,
    ) -> Self {
        let address = socket.local_addr().unwrap();
        socket.set_nonblocking(true).unwrap();
        let (tell, told) = mpsc::channel();
        let (requests, requested) = requests::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        thread::spawn(move || {
            runtime.block_on(async {
                let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
                echo(make(socket), tell, requested).await;
            });
        });
        Self {
            address,
            certificates,
            told,
            requests,
        }
    }

    /// What happens next.
    pub(crate) fn next(&self) -> Told {
        self.told.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn established(&self) -> DtlsPeer {
        match self.next() {
            Told::Established(peer, _) => peer,
            other => panic!("{other:?}"),
        }
    }

    /// Does something with the listener, on its thread.
    fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut DtlsListener) -> T + Send + 'static,
    ) -> T {
        let (answer, answered) = mpsc::channel();
        let request = move |listener: &mut DtlsListener| drop(answer.send(what(listener)));
        self.requests.send(Box::new(request)).ok().unwrap();
        answered.recv_timeout(PATIENCE).unwrap()
    }

    fn counters(&self) -> ListenerCounters {
        self.ask(|listener| listener.counters())
    }

    /// Waits until the counters are as `expected` says: datagrams that are dropped tell nothing else.
    fn await_counters(&self, expected: impl Fn(&ListenerCounters) -> bool) -> ListenerCounters {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counters = self.counters();
            if expected(&counters) {
                return counters;
            }
            assert!(Instant::now() < deadline, "{counters:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn connect(&self) -> DtlsSocket {
        self.connect_by(socket_to(self.address))
    }

    fn connect_by(&self, socket: UdpSocket) -> DtlsSocket {
        let ssl = client(&self.certificates, SUITES[0]);
        DtlsSocket::connect(ssl, socket, PATIENCE).unwrap()
    }
}

async fn echo(
    mut listener: DtlsListener,
    tell: mpsc::Sender<Told>,
    mut requested: requests::UnboundedReceiver<Request>,
) {
    let mut buffer = vec![0; 1 << 14];
    loop {
        let event = tokio::select! {
            event = listener.recv(&mut buffer) => event.unwrap(),
            request = requested.recv() => match request {
                Some(request) => {
                    request(&mut listener);
                    continue;
                }
                None => return,
            },
        };
        let told = match event {
            Event::Established(new) => Told::Established(new.peer, new.server_name),
            Event::Datagram {
                peer, from, len, ..
            } => {
                peer.send(&buffer[..len]).await.unwrap();
                Told::Datagram(String::from_utf8_lossy(&buffer[..len]).into_owned(), from)
            }
            Event::Ended { why, .. } => Told::Ended(why),
            Event::HandshakeFailed { address, .. } => Told::Failed(address),
            _ => continue,
        };
        // A test that has ended hears nothing.
        let _ = tell.send(told);
    }
}

/// Sends `text` and expects it back.
fn exchange(client: &DtlsSocket, text: &str) {
    client.send(text.as_bytes()).unwrap();
    assert_eq!(crate::recv(client).unwrap(), text);
}

/// A socket that expects no answer, for long enough that one would have come.
fn assert_silent(socket: &UdpSocket) {
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let answer = socket.recv(&mut [0; 2048]);
    assert!(answer.is_err(), "{answer:?}");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
}
