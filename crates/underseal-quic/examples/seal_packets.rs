//! Seals packets of 1200 bytes as quinn does, for a count of instructions:
//!
//!     cargo build --release -p underseal-quic --features quinn --example seal_packets
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!         target/release/examples/seal_packets KEYS PACKETS
//!
//! The difference between two runs, divided by that of their packets, is what one packet takes. KEYS:
//! `ring` and `aws-lc-rs` are rustls' own, `provider` ours behind rustls' interface, `quinn` ours behind
//! quinn's, and `alone` the two calls of the AEAD library without anybody's interface.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use quinn::ConnectionId;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::crypto::{Keys, ServerConfig};
use rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use rustls::pki_types::PrivatePkcs8KeyDer;
use underseal_record::Backend;
use underseal_record::quic::{InitialSecrets, Version, header_key, packet_key};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ID: [u8; 8] = [0xc1; 8];
const NUMBER_AT: usize = 1 + ID.len();
const HEADER: usize = NUMBER_AT + 2;
const LEN: usize = 1200;
const TAG: usize = 16;
/// As quinn numbers what it sends with a short header: two bytes.
const FIRST: u8 = 0x41;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let keys = arguments.next().ok_or("which keys?")?;
    let packets: u64 = arguments.next().ok_or("how many packets?")?.parse()?;
    let mut packet = [0x5a; LEN];
    match keys.as_str() {
        "alone" => alone(&mut packet, packets)?,
        keys => {
            let keys = quinns(keys)?;
            for number in 0..packets {
                write_header(&mut packet, number);
                keys.packet.local.encrypt(number, &mut packet, HEADER);
                keys.header.local.encrypt(NUMBER_AT, &mut packet);
                black_box(&packet);
            }
        }
    }
    Ok(())
}

fn write_header(packet: &mut [u8; LEN], number: u64) {
    packet[0] = FIRST;
    packet[1..NUMBER_AT].copy_from_slice(&ID);
    packet[NUMBER_AT..HEADER].copy_from_slice(&(number as u16).to_be_bytes());
}

/// Keys as quinn has them in a connection.
fn quinns(keys: &str) -> Result<Keys> {
    let (aws_lc_rs, ring) = (aws_lc_rs::default_provider, ring::default_provider);
    let config: Box<dyn ServerConfig> = match keys {
        "ring" => Box::new(QuicServerConfig::try_from(tls(ring())?)?),
        "aws-lc-rs" => Box::new(QuicServerConfig::try_from(tls(aws_lc_rs())?)?),
        "provider" => {
            let provider = underseal_quic::provider(ring());
            Box::new(QuicServerConfig::try_from(tls(provider)?)?)
        }
        "quinn" => Box::new(underseal_quic::quinn::QuicServerConfig::try_from(tls(
            ring(),
        )?)?),
        other => return Err(format!("{other}: no such keys").into()),
    };
    let keys = config.initial_keys(1, &ConnectionId::new(&ID));
    keys.map_err(|_| "quinn speaks no version 1".into())
}

fn tls(provider: CryptoProvider) -> Result<rustls::ServerConfig> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    Ok(
        rustls::ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())?,
    )
}

/// The library's two calls, whose results nothing is made of.
fn alone(packet: &mut [u8; LEN], packets: u64) -> Result<()> {
    let secret = InitialSecrets::new(Version::V1, &ID).server;
    let backend = Backend::preferred(secret.algorithm());
    let payload_key = packet_key(Version::V1, &secret, backend);
    let header_key = header_key(Version::V1, &secret, backend);
    for number in 0..packets {
        write_header(packet, number);
        let (header, rest) = packet.split_at_mut(HEADER);
        let (payload, _) = rest.split_at_mut(LEN - HEADER - TAG);
        black_box(payload_key.seal_in_place(0, number, header, payload)?);
        let sample = rest[2..].first_chunk().ok_or("no sample")?;
        black_box(header_key.mask(sample));
    }
    Ok(())
}
