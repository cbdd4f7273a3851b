//! The proxy as a program with targets of its own uses it.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::task::{LocalSet, spawn_blocking, spawn_local};
use underseal_http::{ReadOptions, Version};
use underseal_policy::model::TrafficDirection;
use underseal_proxy::{
    Address, At, Forwarded, ListenerSettings, Metrics, Name, ProcessSettings, Protocol, Service,
    ServiceSettings, Session, Settings, Targets, Timeouts, TrustedProxies, Worker,
};
use underseal_server::access_log::Sink;
#[cfg(feature = "dtls")]
use underseal_server::descriptors::Reserve;
use underseal_server::live::Registry;
use underseal_server::worker::Accept as _;

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const NOBODYS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const PATIENCE: Duration = Duration::from_secs(30);

/// A service for each address that clients connect to.
struct ByAddress([(Ipv4Addr, Rc<Service>); 2]);

impl Targets for ByAddress {
    fn of(&self, session: &Session) -> Option<Rc<Service>> {
        let asked = session.local()?.ip();
        let found = self
            .0
            .iter()
            .find(|(address, _)| asked == IpAddr::V4(*address));
        found.map(|(_, service)| Rc::clone(service))
    }

    fn all(&self) -> Vec<Rc<Service>> {
        self.0
            .iter()
            .map(|(_, service)| Rc::clone(service))
            .collect()
    }
}

#[test]
fn a_client_comes_to_the_service_that_the_targets_say() {
    let mut runtime = runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let registry = Registry::new("proxy", 1);
        let table = Arc::clone(registry.tables().next().unwrap());
        let targets = ByAddress([(ONE, service("one")), (OTHER, service("other"))]);
        let worker = Worker::new(settings(), targets, 0, table);
        let accepting = spawn_local(async move {
            while let Ok((tcp, remote)) = listener.accept().await {
                Rc::clone(&worker).accept(tcp, remote, None);
            }
        });
        let ask_all = move || [ONE, OTHER, NOBODYS, ONE].map(|to| ask((to, port).into()));
        let said = spawn_blocking(ask_all).await.unwrap();
        assert_eq!(said, ["one", "other", "", "one"]);
        accepting.abort();
    });
}

/// What is said to a client that connects.
fn ask(to: SocketAddr) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

/// A service of one backend, which says `greeting`.
fn service(greeting: &'static str) -> Rc<Service> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            client.unwrap().write_all(greeting.as_bytes()).unwrap();
        }
    });
    Service::new(Arc::new(ServiceSettings {
        backends: vec![Address {
            name: greeting.into(),
            at: At::Name(Name::resolve("127.0.0.1", address.port()).unwrap()),
            tls: None,
        }],
        health_check: None,
        connector: None,
        client_identity: None,
        to_protocol: Version::Http11,
        host: None,
        send_proxy: false,
        #[cfg(feature = "dtls")]
        dtls_connector: None,
        #[cfg(feature = "dtls")]
        reserve: Reserve::set_up(),
    }))
}

/// Those of a plaintext listener that passes bytes and judges nothing.
fn settings() -> Settings {
    Settings {
        process: ProcessSettings {
            log: Sink::open(Path::new("off")).unwrap(),
            timeouts: Timeouts {
                header: PATIENCE,
                idle: PATIENCE,
                send: PATIENCE,
                connect: PATIENCE,
                response: PATIENCE,
                tunnel: PATIENCE,
                half_close: PATIENCE,
            },
            metrics: Metrics::new(1),
        },
        listener: Arc::new(ListenerSettings {
            acceptor: None,
            in_force: None,
            server_identities: None,
            protocol: Protocol::Tcp,
            direction: TrafficDirection::Ingress,
            read_options: ReadOptions::default(),
            path_parameters: None,
            encoded_slash: None,
            forwarded: Forwarded::default(),
            trusted_proxies: TrustedProxies::new([]),
            half_close: false,
            redirect_to: 0,
            accept_proxy: false,
            #[cfg(feature = "dtls")]
            dtls_acceptor: None,
            #[cfg(feature = "dtls")]
            max_clients: 1,
            #[cfg(feature = "dtls")]
            local: (Ipv4Addr::LOCALHOST, 0).into(),
        }),
    }
}
