//! The backend of a process is decided once: a binary of its own, because it changes the process.

#![cfg(all(feature = "ring", feature = "aws-lc-rs"))]
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
    let [first, .., last] = Backend::ALL;
    assert_eq!(last.set_preferred(), Ok(()));
    assert_eq!(last.set_preferred(), Ok(()));
    assert_eq!(first.set_preferred(), Err(last));
    for algorithm in Algorithm::ALL {
        assert_eq!(Sealer::new(keys(algorithm)).backend(), last);
        assert_eq!(Opener::new(keys(algorithm)).backend(), last);
        let named = Sealer::with_backend(keys(algorithm), first);
        assert_eq!(named.backend(), first);
    }
}
