//! One end of a live connection is taken from rustls; the other end must not notice.

use std::io::{Read, Write as _};

use rustls::ClientConnection;
use underseal_record::{Backend, ContentType, Padding, ProtocolVersion};

use crate::direction::{DirectionalKeys, Way, Write};
use crate::receiver::{Output, Receiver};
use crate::rustls_peer::{SUITES, direction, handshake};

/// A rustls client and what its server sends and receives with.
struct Live {
    client: ClientConnection,
    tx: DirectionalKeys,
    rx: DirectionalKeys,
}

fn connections() -> impl Iterator<Item = Live> {
    SUITES.into_iter().map(|suite| {
        let (client, server) = handshake(suite);
        let secrets = server.dangerous_extract_secrets().unwrap();
        Live {
            client,
            tx: direction(suite, &secrets.tx),
            rx: direction(suite, &secrets.rx),
        }
    })
}

/// Hands `wire` to the client as it has room for it and returns what it delivers.
fn deliver(client: &mut ClientConnection, mut wire: &[u8]) -> Vec<u8> {
    let mut delivered = Vec::new();
    while !wire.is_empty() {
        assert_ne!(client.read_tls(&mut wire).unwrap(), 0);
        client.process_new_packets().unwrap();
        match client.reader().read_to_end(&mut delivered) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    delivered
}

#[test]
fn a_rustls_client_reads_what_we_seal() {
    for mut live in connections() {
        let data: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        let mut sealer = live.tx.sealer(Backend::ALL[Backend::COUNT - 1]);
        for (part, padding) in [
            (&data[..3], Padding::None),
            (&data[3..60_000], Padding::Multiple(1_000)),
            (&data[60_000..], Padding::Full),
        ] {
            sealer.set_padding(padding);
            let wire = Way::Flat.seal(&mut sealer, &Write::data(part)).concat();
            assert_eq!(deliver(&mut live.client, &wire), part);
        }
        let close_notify = Write {
            content_type: ContentType::ALERT,
            slices: vec![vec![1, 0]],
        };
        let wire = Way::InPlace.seal(&mut sealer, &close_notify).concat();
        assert_eq!(deliver(&mut live.client, &wire), b"");
        let state = live.client.process_new_packets().unwrap();
        assert!(state.peer_has_closed());
    }
}

#[test]
fn we_open_what_a_rustls_client_writes() {
    for mut live in connections() {
        let data: Vec<u8> = (0..50_000u32).map(|i| (i % 249) as u8).collect();
        live.client.set_buffer_limit(None);
        live.client.writer().write_all(&data).unwrap();
        live.client.send_close_notify();
        let mut wire = Vec::new();
        while live.client.wants_write() {
            live.client.write_tls(&mut wire).unwrap();
        }
        let mut receiver = Receiver::new(live.rx.opener(Backend::ALL[0]), Output::Buffer(20_000));
        for segment in wire.chunks(777) {
            receiver.feed(segment).unwrap();
        }
        let close_notify = (ContentType::ALERT, vec![1, 0]);
        assert_eq!(
            receiver.delivered,
            [(ContentType::APPLICATION_DATA, data), close_notify]
        );
        assert_eq!(receiver.buffered(), 0);
    }
}

#[test]
fn a_rustls_client_tells_us_of_a_bad_record() {
    for mut live in connections() {
        let mut sealer = live.tx.sealer(Backend::ALL[0]);
        let mut wire = Way::Flat
            .seal(&mut sealer, &Write::data(b"forged"))
            .concat();
        *wire.last_mut().unwrap() ^= 1;
        live.client.read_tls(&mut &wire[..]).unwrap();
        assert!(live.client.process_new_packets().is_err());
        let mut answer = Vec::new();
        live.client.write_tls(&mut answer).unwrap();
        let mut receiver = Receiver::new(live.rx.opener(Backend::ALL[0]), Output::InPlace);
        receiver.feed(&answer).unwrap();
        let bad_record_mac = (ContentType::ALERT, vec![2, 20]);
        assert_eq!(receiver.delivered, [bad_record_mac]);
    }
}

/// The keys come from both versions, so that no test here passes for want of a suite.
#[test]
fn every_version_and_algorithm_is_among_the_peers() {
    let mut seen: Vec<_> = connections()
        .map(|live| (live.tx.version, format!("{}", live.tx.algorithm)))
        .collect();
    seen.dedup();
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[0].0, ProtocolVersion::Tls12);
    assert_eq!(seen[5].0, ProtocolVersion::Tls13);
}
