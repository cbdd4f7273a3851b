//! Records of DTLS.

mod bad_input;
mod bogo;
mod connection_id;
mod epochs;
mod forge;
mod forge13;
mod key_updates;
mod limits;
mod round_trip;
mod unified_header;
mod window;

use underseal_record::dtls::{EpochKeys, Opened, Opener, ReplayWindow, Sealer};
use underseal_record::{Algorithm, ContentType, ProtocolVersion, SeqNo, TrafficKeys};

const KEY: [u8; 32] = [7; 32];
/// As a handshake of DTLS 1.2 makes it: four bytes of salt with AES-GCM, and none of it zero with
/// ChaCha20.
const IV: [u8; 12] = [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0];

fn keys(algorithm: Algorithm, seq: u64) -> EpochKeys {
    let key = &KEY[..algorithm.key_len()];
    let keys = TrafficKeys::new(ProtocolVersion::Tls12, algorithm, key, IV, SeqNo(seq));
    EpochKeys::new(keys.unwrap(), 1).unwrap()
}

fn sealer(algorithm: Algorithm) -> Sealer {
    Sealer::new(keys(algorithm, 0))
}

fn opener(algorithm: Algorithm) -> Opener {
    Opener::new(keys(algorithm, 0), ReplayWindow::default())
}

fn seal(sealer: &mut Sealer, plaintext: &[u8]) -> Vec<u8> {
    let mut out = vec![0; plaintext.len() + sealer.overhead()];
    let len = sealer.seal(ContentType::APPLICATION_DATA, plaintext, &mut out);
    assert_eq!(len, Ok(out.len()));
    out
}

/// Opens a datagram that holds one record.
fn open(
    opener: &mut Opener,
    datagram: &[u8],
) -> Result<(Opened, Vec<u8>), underseal_record::dtls::Discard> {
    let mut datagram = datagram.to_vec();
    let taken = opener.open(&mut datagram);
    assert!(taken.len <= datagram.len());
    let opened = taken.opened?;
    assert_eq!(taken.len, datagram.len());
    let plaintext = datagram[opened.plaintext.clone()].to_vec();
    Ok((opened, plaintext))
}
