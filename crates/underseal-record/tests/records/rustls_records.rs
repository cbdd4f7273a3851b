//! Record by record against rustls' own record layer, under the keys of a handshake it made.

use std::cell::RefCell;
use std::ops::Range;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use rustls::crypto::cipher::{InboundOpaqueMessage, OutboundChunks, OutboundPlainMessage};
use rustls::{ContentType as RustlsType, ProtocolVersion as RustlsVersion};
use underseal_record::{Backend, ContentType, HEADER_LEN, MAX_PLAINTEXT, Padding, ProtocolVersion};

use crate::direction::{DirectionalKeys, Way, Write, any_backend, any_padding, any_way};
use crate::receiver::{Output, any_output, open};
use crate::rustls_peer::{RecordLayer, SUITES, direction, handshake, record_layer};

/// The client's sending direction: its keys for us, its record layer in rustls.
fn client_to_server() -> impl Iterator<Item = (DirectionalKeys, RefCell<RecordLayer>)> {
    SUITES.into_iter().map(|suite| {
        let (client, server) = handshake(suite);
        let tx = client.dangerous_extract_secrets().unwrap().tx;
        let rx = server.dangerous_extract_secrets().unwrap().rx;
        let ours = direction(suite, &tx);
        (ours, RefCell::new(record_layer(suite, tx.1, rx.1)))
    })
}

/// Sequence number, type and plaintext of a record.
type Message = (u64, ContentType, Vec<u8>);

/// Sequence numbers that both sides protect records under.
fn any_seq() -> Range<u64> {
    0..1 << 23
}

/// The types that rustls knows; it has no others.
fn any_type() -> impl Strategy<Value = ContentType> {
    prop::sample::select(vec![
        ContentType::APPLICATION_DATA,
        ContentType::HANDSHAKE,
        ContentType::ALERT,
    ])
}

fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![1..100usize, 1..=MAX_PLAINTEXT, Just(MAX_PLAINTEXT)];
    len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len))
}

fn outer_version(version: ProtocolVersion) -> RustlsVersion {
    match version {
        ProtocolVersion::Tls12 => RustlsVersion::TLSv1_2,
        ProtocolVersion::Tls13 => RustlsVersion::TLSv1_3,
    }
}

#[test]
fn rustls_seals_and_we_open_and_make_the_same_bytes() {
    for (direction, rustls) in client_to_server() {
        let inputs = (
            (any_seq(), any_type(), any_payload()),
            (any_backend(), any_way(), any_output()),
        );
        let check = |(message, how): (Message, (Backend, Way, Output))| {
            let ((seq, content_type, payload), (backend, way, output)) = (message, how);
            let message = OutboundPlainMessage {
                typ: RustlsType::from(content_type.0),
                version: outer_version(direction.version),
                payload: OutboundChunks::Single(&payload),
            };
            let sealed = rustls.borrow_mut().0.encrypt(message, seq);
            let mut record = sealed.unwrap().encode();

            let direction = direction.clone().at(seq);
            let write = Write {
                content_type,
                slices: vec![payload.clone()],
            };
            let ours = way.seal(&mut direction.sealer(backend), &write).concat();
            prop_assert_eq!(&ours, &record);

            let opened = open(&mut direction.opener(backend), &mut record, output);
            prop_assert_eq!(opened, Ok((content_type, payload)));
            Ok::<_, TestCaseError>(())
        };
        TestRunner::default().run(&inputs, check).unwrap();
    }
}

#[test]
fn we_seal_and_rustls_opens() {
    for (direction, rustls) in client_to_server() {
        let inputs = (
            (any_seq(), any_type(), any_payload()),
            (any_backend(), any_way(), any_padding()),
        );
        let check = |(message, how): (Message, (Backend, Way, Padding))| {
            let ((seq, content_type, payload), (backend, way, padding)) = (message, how);
            let mut sealer = direction.clone().at(seq).sealer(backend);
            sealer.set_padding(padding);
            let write = Write {
                content_type,
                slices: vec![payload.clone()],
            };
            let mut record = way.seal(&mut sealer, &write).concat();
            let (header, body) = record.split_at_mut(HEADER_LEN);
            let message = InboundOpaqueMessage::new(
                RustlsType::from(header[0]),
                RustlsVersion::from(u16::from_be_bytes([header[1], header[2]])),
                body,
            );
            let mut layer = rustls.borrow_mut();
            let opened = layer.1.decrypt(message, seq).unwrap();
            prop_assert_eq!(u8::from(opened.typ), content_type.0);
            prop_assert_eq!(opened.payload, &payload[..]);
            Ok::<_, TestCaseError>(())
        };
        TestRunner::default().run(&inputs, check).unwrap();
    }
}

/// Where one refuses a changed record the other does, too.
#[test]
fn both_refuse_what_was_changed() {
    for (direction, rustls) in client_to_server() {
        let inputs = (
            any_seq(),
            any_payload(),
            any::<prop::sample::Index>(),
            0..8u8,
        );
        let check = |(seq, payload, byte, bit): (u64, Vec<u8>, prop::sample::Index, u8)| {
            let direction = direction.clone().at(seq);
            let mut sealer = direction.sealer(Backend::ALL[0]);
            let mut record = Way::Flat.seal(&mut sealer, &Write::data(&payload)).concat();
            let at = HEADER_LEN + byte.index(record.len() - HEADER_LEN);
            record[at] ^= 1 << bit;
            prop_assert!(
                direction
                    .opener(Backend::ALL[0])
                    .open_in_place(&mut record.clone())
                    .is_err()
            );
            let body = &mut record[HEADER_LEN..];
            let data = RustlsType::ApplicationData;
            let message = InboundOpaqueMessage::new(data, RustlsVersion::TLSv1_2, body);
            prop_assert!(rustls.borrow_mut().1.decrypt(message, seq).is_err());
            Ok::<_, TestCaseError>(())
        };
        TestRunner::default().run(&inputs, check).unwrap();
    }
}
