//! Early data, accepted and refused, on connections whose directions then move to their engines.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use underseal::blocking;
use underseal::rustls::client::Resumption;
use underseal::rustls::{ClientConfig, ServerConfig};

use crate::case::Case;
use crate::connect::{Client, Server, name, pattern, sockets};

/// Which side is under test. The other is on the user engine.
#[derive(Clone, Copy, Debug)]
enum Side {
    Client,
    Server,
}

#[derive(Clone)]
struct Configs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Side {
    fn connect(self, case: Case, configs: Configs, early: Vec<u8>) -> (Client, Server) {
        let (ours, theirs) = sockets();
        let offloads = |is_tested| match is_tested {
            true => case.offloads(),
            false => case.on_user_engines().offloads(),
        };
        let tests_client = matches!(self, Self::Client);
        let connector = blocking::TlsConnector::from(configs.client);
        let connector = connector.offload(offloads(tests_client));
        let client = thread::spawn(move || connector.connect_early(name(), ours, early).unwrap());
        let acceptor = blocking::TlsAcceptor::from(configs.server);
        let acceptor = acceptor.offload(offloads(!tests_client));
        let server = acceptor.accept(theirs).unwrap();
        (client.join().unwrap(), server)
    }
}

pub(crate) fn early_data_is_apart_or_sent_again(case: Case) {
    let own = case.configs();
    let mut client = (*own.client).clone();
    client.resumption = Resumption::in_memory_sessions(4);
    let mut server = (*own.server).clone();
    server.max_early_data_size = 16_384;
    let taking = Arc::new(server.clone());
    server.max_early_data_size = 0;
    let refusing = Arc::new(server);
    let early = pattern(5_000);
    for side in [Side::Client, Side::Server] {
        let client = Arc::new(client.clone());
        for (connection, server, accepted) in [
            (0, &taking, false),
            (1, &taking, true),
            (2, &refusing, false),
        ] {
            let configs = Configs {
                client: Arc::clone(&client),
                server: Arc::clone(server),
            };
            let (mut client, mut server) = side.connect(case, configs, early.clone());
            let when = format!("{side:?} {connection}");
            assert_eq!(
                client.get_ref().1.is_early_data_accepted(),
                accepted,
                "{when}"
            );
            client.write_all(b"late").unwrap();
            client.shutdown().unwrap();
            let taken = server.get_mut().1.take_early_data().unwrap_or_default();
            let mut late = Vec::new();
            server.read_to_end(&mut late).unwrap();
            assert_eq!(
                taken.len(),
                if accepted { early.len() } else { 0 },
                "{when}"
            );
            assert!(
                [taken, late].concat() == [&early[..], b"late"].concat(),
                "{when}"
            );
            server.write_all(b"answer").unwrap();
            server.shutdown().unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, b"answer", "{when}");
            let engines = match side {
                Side::Client => client.engines(),
                Side::Server => server.engines(),
            };
            assert_eq!(engines, case.engines, "{when}");
        }
    }
}
