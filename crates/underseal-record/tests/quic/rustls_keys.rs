//! rustls' own QUIC keys, with ring and with aws-lc-rs, at the other end of each direction.

use rustls::Side;
use rustls::quic::{DirectionalKeys, HeaderProtectionKey, PacketKey, Suite};
use underseal_record::quic::{InitialSecrets, PacketNumber, PacketOpener, PacketSealer, Version};
use underseal_record::{Algorithm, Backend};

use crate::packets::{NUMBER_AT, short};
use crate::rustls_peer::{Peer, rustls_version, suites};

/// Seals as a stack on rustls does.
fn rustls_seals(
    header: &dyn HeaderProtectionKey,
    key: &dyn PacketKey,
    number: u64,
    packet: &mut [u8],
) {
    let payload_at = NUMBER_AT + usize::from(packet[0] & 3) + 1;
    let (head, body) = packet.split_at_mut(payload_at);
    let (payload, room) = body.split_at_mut(body.len() - 16);
    let tag = key.encrypt_in_place(number, head, payload).unwrap();
    room.copy_from_slice(tag.as_ref());
    let (head, sample) = packet.split_at_mut(NUMBER_AT + 4);
    let (first, rest) = head.split_first_mut().unwrap();
    let number = &mut rest[NUMBER_AT - 1..];
    header
        .encrypt_in_place(&sample[..16], first, number)
        .unwrap();
}

/// Opens as a stack on rustls does; the payload.
fn rustls_opens(
    header: &dyn HeaderProtectionKey,
    key: &dyn PacketKey,
    largest: Option<u64>,
    packet: &mut [u8],
) -> Vec<u8> {
    let (head, sample) = packet.split_at_mut(NUMBER_AT + 4);
    let (first, rest) = head.split_first_mut().unwrap();
    let number = &mut rest[NUMBER_AT - 1..];
    header
        .decrypt_in_place(&sample[..16], first, number)
        .unwrap();
    let payload_at = NUMBER_AT + usize::from(packet[0] & 3) + 1;
    let (head, body) = packet.split_at_mut(payload_at);
    let number = PacketNumber::decode(&head[NUMBER_AT..], largest).unwrap();
    key.decrypt_in_place(number, head, body).unwrap().to_vec()
}

fn payloads() -> impl Iterator<Item = Vec<u8>> {
    [2, 3, 16, 33, 64, 700, 1200, 1440, 9000]
        .into_iter()
        .map(|len| vec![len as u8; len])
}

/// rustls' keys of one direction, those of its next generation, and ours.
fn seals_the_same(
    keys: &DirectionalKeys,
    next: &dyn PacketKey,
    sealer: &mut PacketSealer,
    what: &str,
) {
    let header = &*keys.header;
    for (key, phase) in [(&*keys.packet, false), (next, true)] {
        for payload in payloads() {
            let number = sealer.next_number() + 3;
            let mut ours = short(phase, number, 4, &payload);
            let mut theirs = ours.clone();
            sealer.seal(&mut ours, NUMBER_AT, number).unwrap();
            rustls_seals(header, key, number, &mut theirs);
            assert_eq!(ours, theirs, "{what}, {} bytes", payload.len());
            let opened = rustls_opens(header, key, Some(number - 1), &mut ours);
            assert_eq!(opened, payload, "{what}");
        }
        sealer.update(Some(sealer.next_number() - 1)).unwrap();
    }
}

fn opens_the_same(
    keys: &DirectionalKeys,
    next: &dyn PacketKey,
    opener: &mut PacketOpener,
    what: &str,
) {
    let mut number = 0;
    for (key, phase) in [(&*keys.packet, false), (next, true)] {
        for payload in payloads() {
            number += 2;
            let mut packet = short(phase, number, 2, &payload);
            rustls_seals(&*keys.header, key, number, &mut packet);
            let opened = opener.open(&mut packet, NUMBER_AT).unwrap();
            assert_eq!(
                (opened.number, opened.generation),
                (number, u64::from(phase)),
                "{what}"
            );
            assert_eq!(packet[opened.payload], payload, "{what}");
        }
    }
}

#[test]
fn packets_of_the_application_are_rustls_own_in_both_directions_and_after_an_update() {
    for (suite, algorithm, provider) in suites() {
        for (version, backend) in Version::ALL
            .into_iter()
            .flat_map(|v| Backend::ALL.map(|b| (v, b)))
        {
            let what = format!("{version:?} {algorithm} {backend}");
            let mut peer = Peer::new(suite, algorithm, provider.clone(), version);
            let next = peer.next.next_packet_keys();
            let mut sealer = PacketSealer::with_backend(version, peer.client_secret, backend);
            seals_the_same(&peer.keys.local, &*next.local, &mut sealer, &what);
            let mut opener = PacketOpener::with_backend(version, peer.server_secret, backend);
            opens_the_same(&peer.keys.remote, &*next.remote, &mut opener, &what);
        }
    }
}

#[test]
fn initial_keys_are_rustls_own() {
    let (suite, ..) = suites()
        .into_iter()
        .find(|(_, algorithm, _)| *algorithm == Algorithm::Aes128Gcm)
        .unwrap();
    let suite = suite.tls13().unwrap();
    let suite = Suite {
        suite,
        quic: suite.quic.unwrap(),
    };
    for version in Version::ALL {
        for id in [&b""[..], b"8394c8f0", &[9; 20]] {
            let theirs = suite.keys(id, Side::Client, rustls_version(version));
            let ours = InitialSecrets::new(version, id);
            let mut sealer = PacketSealer::new(version, ours.client);
            let mut packet = short(false, 0, 2, b"hello");
            sealer.seal(&mut packet, NUMBER_AT, 0).unwrap();
            let keys = &theirs.local;
            let opened = rustls_opens(&*keys.header, &*keys.packet, None, &mut packet);
            assert_eq!(opened, b"hello");
            let mut opener = PacketOpener::new(version, ours.server);
            let mut packet = short(false, 0, 2, b"hello");
            rustls_seals(
                &*theirs.remote.header,
                &*theirs.remote.packet,
                0,
                &mut packet,
            );
            assert!(opener.open(&mut packet, NUMBER_AT).is_ok());
        }
    }
}
