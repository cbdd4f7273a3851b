//! Entry points of the fuzz targets, beside the code that they drive.

use crate::{Algorithm, Deframed, Opener, ProtocolVersion, SeqNo, TrafficKeys, deframe};

/// Deframes arbitrary bytes as a stream until they run out or are refused.
pub fn deframe_stream(data: &[u8]) {
    for version in [ProtocolVersion::Tls12, ProtocolVersion::Tls13] {
        let mut rest = data;
        while let Ok(Deframed::Record(header)) = deframe(version, rest) {
            rest = &rest[header.record_len()..];
        }
    }
}

/// Opens arbitrary bytes as one record, under keys that the first byte chooses.
pub fn open_record(data: &[u8]) {
    let Some((choice, record)) = data.split_first() else {
        return;
    };
    let algorithm = Algorithm::ALL[usize::from(*choice) % Algorithm::ALL.len()];
    let version = match choice & 0x80 {
        0 => ProtocolVersion::Tls12,
        _ => ProtocolVersion::Tls13,
    };
    let key = &[7; 32][..algorithm.key_len()];
    let Ok(keys) = TrafficKeys::new(version, algorithm, key, [9; 12], SeqNo(0)) else {
        return;
    };
    let mut opener = Opener::new(keys);
    let mut out = vec![0; usize::from(choice & 0x7f) * 8];
    let opened = opener.open_into(&mut record.to_vec(), &mut out);
    assert!(
        opened.is_err() || opener.seq() == SeqNo(1),
        "an opened record advances the sequence number"
    );
}
