//! A packet of quinn's costs no allocation of ours. A test binary of its own: the allocator counts for
//! the whole process.

#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

use std::alloc::System;
use std::sync::Arc;

use bytes::BytesMut;
use quinn::ConnectionId;
use quinn::crypto::{Keys, ServerConfig as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_quic::quinn::QuicServerConfig;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LEN: usize = 1200;
/// First byte, connection ID, packet number.
const NUMBER_AT: usize = 9;
const HEADER: usize = NUMBER_AT + 2;

/// How often it is tried: what the test's harness allocates on its own thread meanwhile is counted, too,
/// but not every time.
const TURNS: usize = 20;

#[test]
fn sealing_and_opening_allocate_nothing() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let config = QuicServerConfig::try_from(tls).unwrap();
    let keys = config.initial_keys(1, &ConnectionId::new(&[7; 8])).unwrap();
    let counted: Vec<_> = (0..TURNS).map(|_| there_and_back(&keys)).collect();
    let is_zero = |counted: &(usize, usize)| *counted == (0, 0);
    assert!(counted.iter().any(is_zero), "{counted:?}");
}

/// Allocations and reallocations while a packet is sealed, opened, and refused. One key does both here,
/// which quinn gives a direction.
fn there_and_back(keys: &Keys) -> (usize, usize) {
    let mut packet = [0x5a; LEN];
    packet[0] = 0x41;
    let mut payload = BytesMut::with_capacity(LEN);
    let mut forged = BytesMut::zeroed(LEN);
    let (header, packets) = (&keys.header.local, &keys.packet.local);

    let region = Region::new(ALLOCATOR);
    packets.encrypt(1, &mut packet, HEADER);
    header.encrypt(NUMBER_AT, &mut packet);
    header.decrypt(NUMBER_AT, &mut packet);
    payload.extend_from_slice(&packet[HEADER..]);
    packets.decrypt(1, &packet[..HEADER], &mut payload).unwrap();
    assert!(packets.decrypt(1, &packet[..HEADER], &mut forged).is_err());
    let change = region.change();
    assert!(payload.iter().all(|byte| *byte == 0x5a) && payload.len() == LEN - HEADER - 16);
    (change.allocations, change.reallocations)
}
