//! Packets as a stack writes them.

use underseal_record::quic::{PacketNumber, PacketOpener, PacketSealer, Version};
use underseal_record::{Algorithm, Backend, TAG_LEN, TrafficSecret};

/// Bytes of the connection ID of every short header here.
pub(crate) const ID_LEN: usize = 8;

/// Where the packet number starts in a short header.
pub(crate) const NUMBER_AT: usize = 1 + ID_LEN;

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Every algorithm that this build has.
pub(crate) fn algorithms() -> Vec<Algorithm> {
    let mut all = Algorithm::ALL.to_vec();
    if cfg!(feature = "ccm") {
        all.push(Algorithm::Aes128Ccm);
    }
    all
}

pub(crate) fn secret(algorithm: Algorithm) -> TrafficSecret {
    let len = match algorithm {
        Algorithm::Aes256Gcm => 48,
        _ => 32,
    };
    TrafficSecret::new(algorithm, &vec![7; len]).unwrap()
}

/// Both ends of one direction.
pub(crate) fn pair(algorithm: Algorithm, backend: Backend) -> (PacketSealer, PacketOpener) {
    let sealer = PacketSealer::with_backend(Version::V1, secret(algorithm), backend);
    let opener = PacketOpener::with_backend(Version::V1, secret(algorithm), backend);
    (sealer, opener)
}

/// A short packet before it is sealed, with room for its tag.
pub(crate) fn short(key_phase: bool, number: u64, number_len: usize, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x40 | u8::from(key_phase) << 2 | (number_len - 1) as u8];
    packet.extend([0xc1; ID_LEN]);
    packet.extend(&number.to_be_bytes()[8 - number_len..]);
    packet.extend(payload);
    packet.extend([0; TAG_LEN]);
    packet
}

/// The packet that `sealer` makes next.
pub(crate) fn sealed(sealer: &mut PacketSealer, payload: &[u8]) -> Vec<u8> {
    let number = sealer.next_number();
    let mut packet = short(sealer.key_phase(), number, 2, payload);
    sealer.seal(&mut packet, NUMBER_AT, number).unwrap();
    packet
}

#[test]
fn the_shortest_encoding_of_a_number_is_what_a_header_carries() {
    let encoded = PacketNumber::encode(0x1234, Some(0x1230)).unwrap();
    assert_eq!(
        (encoded.as_bytes(), encoded.length_bits()),
        (&[0x34][..], 0)
    );
}
