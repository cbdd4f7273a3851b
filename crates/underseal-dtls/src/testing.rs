//! What unit tests of associations need.

use underseal_record::dtls::EpochKeys;
use underseal_record::{Algorithm, ProtocolVersion, SeqNo, TrafficKeys};

/// The keys of one side of an association of DTLS 1.2.
pub(crate) fn keys(side: u8) -> EpochKeys {
    let (version, algorithm) = (ProtocolVersion::Tls12, Algorithm::Aes128Gcm);
    let keys = TrafficKeys::new(version, algorithm, &[side; 16], [9; 12], SeqNo(0));
    EpochKeys::new(keys.expect("the key has its length"), 1).expect("epoch 1 has keys")
}
