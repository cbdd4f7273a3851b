//! The backend of a process is decided once: a binary of its own, because it changes the process.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

use underseal_record::{Algorithm, Backend, Opener, ProtocolVersion, Sealer, SeqNo, TrafficKeys};

fn keys(algorithm: Algorithm) -> TrafficKeys {
    let key = vec![1; algorithm.key_len()];
    TrafficKeys::new(ProtocolVersion::Tls13, algorithm, &key, [0; 12], SeqNo(0)).unwrap()
}

#[test]
fn an_override_holds_for_every_algorithm_and_cannot_be_changed() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Backend::preferred(algorithm), Backend::fastest(algorithm));
    }
    assert_eq!(Backend::AwsLcRs.set_preferred(), Ok(()));
    assert_eq!(Backend::AwsLcRs.set_preferred(), Ok(()));
    assert_eq!(Backend::Ring.set_preferred(), Err(Backend::AwsLcRs));
    for algorithm in Algorithm::ALL {
        assert_eq!(Sealer::new(keys(algorithm)).backend(), Backend::AwsLcRs);
        assert_eq!(Opener::new(keys(algorithm)).backend(), Backend::AwsLcRs);
        let named = Sealer::with_backend(keys(algorithm), Backend::Ring);
        assert_eq!(named.backend(), Backend::Ring);
    }
}
