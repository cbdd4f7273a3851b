//! Our keys behind quinn's interface beside quinn's own, packet by packet.

use std::sync::Arc;

use quinn::ConnectionId;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::crypto::{Keys, ServerConfig as _};
use rustls::pki_types::PrivatePkcs8KeyDer;

/// Bytes of the tag.
const TAG: usize = 16;
/// Bytes of the connection ID in headers here.
const ID: usize = 8;

fn tls() -> rustls::ServerConfig {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = rustls::crypto::ring::default_provider();
    rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap()
}

fn ours(tls: &rustls::ServerConfig) -> underseal_quic::quinn::QuicServerConfig {
    tls.clone().try_into().unwrap()
}

fn quinns(tls: &rustls::ServerConfig) -> QuicServerConfig {
    tls.clone().try_into().unwrap()
}

/// The packet that a server sends with these keys, as quinn makes it.
fn sealed(keys: &Keys, first: u8, number: u64, payload: usize) -> Vec<u8> {
    let number_len = usize::from(first & 3) + 1;
    let mut packet = vec![first];
    packet.extend([0xc1; ID]);
    packet.extend(&number.to_be_bytes()[8 - number_len..]);
    let header_len = packet.len();
    packet.resize(header_len + payload, 0x5a);
    packet.resize(header_len + payload + TAG, 0);
    keys.packet.local.encrypt(number, &mut packet, header_len);
    keys.header.local.encrypt(1 + ID, &mut packet);
    packet
}

#[test]
fn packets_are_quinns_own_byte_for_byte() {
    let tls = tls();
    let id = ConnectionId::new(&[7; ID]);
    let ours = ours(&tls).initial_keys(1, &id).unwrap();
    let quinns = quinns(&tls).initial_keys(1, &id).unwrap();
    for first in [0x40, 0xc0] {
        for number_len in 1..=4 {
            for payload in [4, 5, 64, 1200] {
                let first = first | (number_len - 1);
                let [one, other] =
                    [&ours, &quinns].map(|keys| sealed(keys, first, 0x0012_3456_789a, payload));
                assert_eq!(one, other, "{first:#x} {payload}");
            }
        }
    }
    assert_eq!(ours.packet.local.tag_len(), quinns.packet.local.tag_len());
    assert_eq!(
        ours.packet.local.confidentiality_limit(),
        quinns.packet.local.confidentiality_limit()
    );
    assert_eq!(
        ours.packet.local.integrity_limit(),
        quinns.packet.local.integrity_limit()
    );
    assert_eq!(
        ours.header.local.sample_size(),
        quinns.header.local.sample_size()
    );
}

#[test]
fn retry_packets_have_quinns_own_tag() {
    let tls = tls();
    let (ours, quinns) = (ours(&tls), quinns(&tls));
    for (id, packet) in [(&[7; ID][..], &b"\xf0\0\0\0\x01"[..]), (&[], b"")] {
        let id = ConnectionId::new(id);
        // Version 1 and a draft of it.
        for version in [1, 0xff00_0020] {
            let [one, other] = [&ours as &dyn quinn::crypto::ServerConfig, &quinns]
                .map(|config| config.retry_tag(version, &id, packet));
            assert_eq!(one, other);
        }
    }
}

#[test]
fn a_version_that_quinn_does_not_speak_is_refused() {
    let tls = tls();
    let id = ConnectionId::new(&[7; ID]);
    // Version 2, and one that is reserved.
    for version in [0x6b33_43cf, 0x0a1a_2a3a] {
        assert!(ours(&tls).initial_keys(version, &id).is_err());
    }
}

#[test]
fn a_configuration_that_is_not_for_quic_is_refused() {
    let mut tls = tls();
    tls.max_early_data_size = 1;
    let refused = underseal_quic::quinn::QuicServerConfig::try_from(tls);
    assert!(refused.is_err());
}
