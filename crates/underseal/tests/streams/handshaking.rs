//! What the closures before a handshake can do, and what is asked of a session after it.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use underseal::record::ContentType;
use underseal::rustls::crypto::ring::Ticketer;
use underseal::rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use underseal::rustls::{self, ClientConfig, HandshakeKind, ProtocolVersion, ServerConfig};
use underseal::{LazyConfigAcceptor, Parts, TlsAcceptor, TlsConnector, server};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::pairs::{both, name, pattern, with_tokio_rustls};

struct Configs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

fn configs(suite: Suite, change: impl FnOnce(&mut ClientConfig, &mut ServerConfig)) -> Configs {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut client = certificates.client_config(suite);
    let mut server = certificates.server_config(suite);
    change(&mut client, &mut server);
    Configs {
        client: Arc::new(client),
        server: Arc::new(server),
    }
}

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Underseal,
    Lazy,
    TokioRustls,
}

/// One connection of a rustls client: what came with its ticket, and whether it was resumed.
/// `data` goes into the tickets that it gets.
async fn received(of: Of, configs: &Configs, data: &[u8]) -> (Option<Vec<u8>>, bool) {
    let (left, right) = duplex(1 << 16);
    let config = Arc::clone(&configs.server);
    let serve = async {
        let received = |data: Option<&[u8]>| data.map(<[u8]>::to_vec);
        match of {
            Of::TokioRustls => {
                let acceptor = tokio_rustls::TlsAcceptor::from(config);
                let accept = acceptor.accept_with(left, |server| server.set_resumption_data(data));
                let mut stream = accept.await.unwrap();
                stream.write_all(b"x").await.unwrap();
                stream.flush().await.unwrap();
                received(stream.get_ref().1.received_resumption_data())
            }
            Of::Underseal => {
                let acceptor = TlsAcceptor::from(config);
                let accept = acceptor.accept_with(left, |server| server.set_resumption_data(data));
                let mut stream = accept.await.unwrap();
                stream.write_all(b"x").await.unwrap();
                let (io, bytes) = stream.into_parts().unwrap().into_bytes();
                let parts = Parts::from_bytes(io, &bytes).unwrap();
                let stream = server::TlsStream::from_parts(parts).unwrap();
                received(stream.get_ref().1.received_resumption_data())
            }
            Of::Lazy => {
                let start = LazyConfigAcceptor::new(Default::default(), left);
                let start = start.await.unwrap();
                let accept =
                    start.into_stream_with(config, |server| server.set_resumption_data(data));
                let mut stream = accept.await.unwrap();
                stream.write_all(b"x").await.unwrap();
                received(stream.get_ref().1.received_resumption_data())
            }
        }
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&configs.client));
    let ask = async {
        let mut stream = connector.connect(name(), right).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    };
    both(serve, ask).await
}

/// With sessions that the server keeps and with tickets, whichever server made them.
#[tokio::test(start_paused = true)]
async fn resumption_data_comes_back_with_the_session() {
    for suite in Suite::EACH_VERSION {
        for tickets in [false, true] {
            let configs = configs(suite, |_, server| match tickets {
                true => {
                    server.ticketer = Ticketer::new().unwrap();
                    server.session_storage = Arc::new(NoServerSessionStorage {});
                }
                false => server.session_storage = ServerSessionMemoryCache::new(100),
            });
            let rounds: [(Of, &[u8]); 6] = [
                (Of::Underseal, b"one"),
                (Of::TokioRustls, b"two"),
                (Of::Underseal, b""),
                (Of::Lazy, &[7; 3_000]),
                (Of::Underseal, b"three"),
                (Of::TokioRustls, b"four"),
            ];
            let mut before: Option<&[u8]> = None;
            for (of, data) in rounds {
                let (came, resumed) = received(of, &configs, data).await;
                let when = format!("{suite:?} {tickets} {of:?} {}", data.len());
                assert_eq!(resumed, before.is_some(), "{when}");
                // rustls tells it under TLS 1.3 alone.
                if of != Of::TokioRustls || suite.is_tls13() {
                    let due = before.map(<[u8]>::to_vec);
                    assert!(came == due, "{when}: {came:?}");
                }
                // Under TLS 1.2 a session that is resumed stays what it is; a ticket is renewed.
                if suite.is_tls13() || !resumed || tickets {
                    before = Some(data);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn early_data_is_rejected_by_the_servers_closure() {
    let configs = configs(Suite::Tls13Aes128, |_, server| {
        server.max_early_data_size = 16_384;
    });
    for (rejects, accepted) in [(false, false), (false, true), (true, false), (false, true)] {
        let (left, right) = duplex(1 << 16);
        let acceptor = TlsAcceptor::from(Arc::clone(&configs.server));
        let connector = TlsConnector::from(Arc::clone(&configs.client));
        let accept = acceptor.accept_with(left, |server| {
            assert!(server.early_data().is_none() && server.server_name().is_none());
            assert!(server.received_resumption_data().is_none() && server.is_handshaking());
            if rejects {
                server.reject_early_data();
            }
        });
        let connect = connector.connect_early(name(), right, b"early".to_vec());
        let (server, client) = both(accept, connect).await;
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        assert_eq!(client.get_ref().1.is_early_data_accepted(), accepted);
        let mut received = Vec::new();
        if let Some(mut early) = server.get_mut().1.early_data() {
            assert_eq!(early.read(&mut [0; 2]).unwrap(), 2);
            early.read_to_end(&mut received).unwrap();
        }
        assert_eq!(received, if accepted { &b"rly"[..] } else { b"" });
        client.shutdown().await.unwrap();
        server.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, if accepted { &b"rly"[..] } else { b"early" });
        server.shutdown().await.unwrap();
        client.read_to_end(&mut received).await.unwrap();
    }
}

/// As rustls has it: what is refused is lost, unless it is written again.
#[tokio::test(start_paused = true)]
async fn early_data_is_written_by_the_clients_closure() {
    let mut configs = configs(Suite::Tls13Aes128, |client, server| {
        client.enable_early_data = true;
        server.max_early_data_size = 3_000;
    });
    let taking = Arc::clone(&configs.server);
    let mut refusing = ServerConfig::clone(&taking);
    refusing.max_early_data_size = 0;
    let refusing = Arc::new(refusing);
    for (server, possible, accepted) in [
        (&taking, false, false),
        (&taking, true, true),
        (&refusing, true, false),
    ] {
        configs.server = Arc::clone(server);
        let (left, right) = duplex(1 << 16);
        let acceptor = TlsAcceptor::from(Arc::clone(&configs.server));
        let connector = TlsConnector::from(Arc::clone(&configs.client));
        let data = pattern(5_000);
        let mut taken = 0;
        let connect = connector.connect_with(name(), right, |client| {
            assert!(client.is_handshaking());
            let Some(mut early) = client.early_data() else {
                return;
            };
            taken += early.write(&data[..100]).unwrap();
            assert_eq!(taken, 100);
            taken += early.write(&data[100..]).unwrap();
            assert_eq!(early.write(b"more").unwrap(), 0);
        });
        let (server, client) = both(acceptor.accept(left), connect).await;
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        assert_eq!(taken > 0, possible);
        assert!(taken <= 3_000);
        assert_eq!(client.get_ref().1.is_early_data_accepted(), accepted);
        let early = server.get_mut().1.take_early_data();
        assert!(early == accepted.then(|| data[..taken].to_vec()));
        client.write_all(b"late").await.unwrap();
        client.shutdown().await.unwrap();
        let mut late = Vec::new();
        server.read_to_end(&mut late).await.unwrap();
        assert_eq!(late, b"late");
        server.shutdown().await.unwrap();
        client.read_to_end(&mut late).await.unwrap();
    }
}

/// Sealed bytes that wait at most, with the limit `set` by the closure or on the session.
async fn waiting(by_closure: Option<usize>, by_session: Option<Option<usize>>) -> usize {
    let configs = configs(Suite::Tls13Aes128, |_, _| {});
    let (left, right) = duplex(4_096);
    let acceptor = TlsAcceptor::from(Arc::clone(&configs.server));
    let connector = TlsConnector::from(Arc::clone(&configs.client));
    let accept = acceptor.accept_with(left, |server| server.set_buffer_limit(by_closure));
    let connect = connector.connect_with(name(), right, |client| client.set_buffer_limit(Some(1)));
    let (server, _client) = both(accept, connect).await;
    let mut server = server.unwrap();
    if let Some(limit) = by_session {
        server.get_mut().1.set_buffer_limit(limit);
    }
    let (io, bytes) = server.into_parts().unwrap().into_bytes();
    let parts = Parts::from_bytes(io, &bytes).unwrap();
    let mut server = server::TlsStream::from_parts(parts).unwrap();
    let data = [1; 100_000];
    let full = async { while server.write(&data).await.is_ok() {} };
    let full = tokio::time::timeout(std::time::Duration::from_secs(1), full);
    full.await.expect_err("the peer does not read");
    server.pending_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_buffer_limit_bounds_what_waits_for_the_socket() {
    let unlimited = waiting(None, None).await;
    assert!(unlimited > 50_000, "{unlimited}");
    for (by_closure, by_session, most) in [
        (Some(1), None, 1),
        (Some(20_000), None, 2),
        (None, Some(Some(20_000)), 2),
        (Some(40_000), Some(Some(1)), 1),
    ] {
        let waiting = waiting(by_closure, by_session).await;
        assert!((1..=most * (16_384 + 22)).contains(&waiting), "{waiting}");
    }
    assert_eq!(waiting(Some(1), Some(None)).await, unlimited);
}

type Client = tokio_rustls::client::TlsStream<DuplexStream>;

async fn pass(server: &mut server::TlsStream<DuplexStream>, client: &mut Client) {
    server.write_all(b"ping").await.unwrap();
    server.flush().await.unwrap();
    let mut four = [0; 4];
    client.read_exact(&mut four).await.unwrap();
    client.write_all(b"pong").await.unwrap();
    client.flush().await.unwrap();
    server.read_exact(&mut four).await.unwrap();
    assert_eq!(&four, b"pong");
}

#[tokio::test(start_paused = true)]
async fn a_session_refreshes_keys_with_the_next_write() {
    for moves in [false, true] {
        let (mut server, mut client) = with_tokio_rustls(Suite::Tls13Aes128, 1 << 16).await;
        server.get_mut().1.refresh_traffic_keys().unwrap();
        assert!(server.get_ref().1.wants_write());
        assert_eq!(server.counters().tx_key_updates, 0);
        if moves {
            server = server::TlsStream::from_parts(server.into_parts().unwrap()).unwrap();
        }
        pass(&mut server, &mut client).await;
        assert_eq!(server.counters().rx_key_updates, 1);
        pass(&mut server, &mut client).await;
        assert_eq!(server.counters().rx_key_updates, 1, "once");
    }
    let (mut server, mut client) = with_tokio_rustls(Suite::Tls12Aes128, 1 << 16).await;
    let refused = server.get_mut().1.refresh_traffic_keys();
    assert_eq!(refused, Err(rustls::Error::HandshakeNotComplete));
    assert_eq!(
        server.get_ref().1.protocol_version(),
        Some(ProtocolVersion::TLSv1_2)
    );
    pass(&mut server, &mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_closes_with_the_next_flush() {
    for moves in [false, true] {
        let (mut server, mut client) = with_tokio_rustls(Suite::Tls13Aes128, 1 << 16).await;
        server.write_all(b"last").await.unwrap();
        server.get_mut().1.send_close_notify();
        if moves {
            server = server::TlsStream::from_parts(server.into_parts().unwrap()).unwrap();
        }
        server.flush().await.unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"last");
        let error = server.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        // The other direction goes on.
        client.write_all(b"answer").await.unwrap();
        client.shutdown().await.unwrap();
        server.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"lastanswer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_refreshes_keys_with_a_shutdown() {
    let (mut server, mut client) = with_tokio_rustls(Suite::Tls13Aes128, 1 << 16).await;
    server.get_mut().1.refresh_traffic_keys().unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(server.counters().tx_key_updates, 1);
    assert!(!server.get_ref().1.wants_write());
    assert_eq!(client.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

/// Whatever writes.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_behind_the_end_that_a_session_was_asked_for() {
    let file = {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 100]).unwrap();
        file
    };
    let (reader, mut pipe) = std::io::pipe().unwrap();
    pipe.write_all(&[1; 100]).unwrap();
    for how in 0..4 {
        let (mut server, mut client) = with_tokio_rustls(Suite::Tls13Aes128, 1 << 16).await;
        server.get_mut().1.send_close_notify();
        let sent = match how {
            0 => server.write(&[1]).await.map(drop),
            1 => server.send_file(&file, 0..100).await.map(drop),
            2 => server.splice_from(&reader, 100).await.map(drop),
            _ => {
                let sent = server.send_record(ContentType(99), &[1][..]);
                sent.await.map(drop)
            }
        };
        let error = sent.expect_err("it is over");
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{how}");
        let read = client.read_to_end(&mut Vec::new()).await;
        assert_eq!(read.unwrap(), 0, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_tells_what_its_stream_would_do() {
    let (mut server, mut client) = with_tokio_rustls(Suite::Tls13Aes128, 4_096).await;
    let said = |server: &server::TlsStream<DuplexStream>| {
        let session = server.get_ref().1;
        (session.wants_read(), session.wants_write())
    };
    assert_eq!(said(&server), (true, false));
    let n = server.write(&[1; 30_000]).await.unwrap();
    assert_eq!(said(&server), (true, true));
    let mut received = vec![0; n];
    let (flushed, read) = both(server.flush(), client.read_exact(&mut received)).await;
    flushed.and(read.map(drop)).unwrap();
    assert_eq!(said(&server), (true, false));
    client.write_all(b"abc").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'a');
    assert_eq!(said(&server), (false, false));
    server.read_u16().await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(said(&server), (false, false));
}
