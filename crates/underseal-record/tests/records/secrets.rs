//! Keys have one owner and are never printed.

use underseal_record::{
    Algorithm, Backend, ContentType, Error, ProtocolVersion, TrafficKeys, TrafficSecret,
};

use crate::direction::DirectionalKeys;

/// The whole text is compared, so that a field added later cannot slip a secret in.
#[test]
fn debug_output_holds_no_secret() {
    let direction = DirectionalKeys::of(ProtocolVersion::Tls13, Algorithm::Aes256Gcm).at(5);
    let keys = "TrafficKeys { version: Tls13, algorithm: Aes256Gcm, seq: 5, .. }";
    assert_eq!(format!("{:?}", direction.keys()), keys);
    let secret = TrafficSecret::new(direction.algorithm, &[0xa5; 48]).unwrap();
    assert_eq!(
        format!("{secret:?}"),
        "TrafficSecret { algorithm: Aes256Gcm, .. }"
    );
    for backend in Backend::ALL {
        let name = match backend.name() {
            "ring" => "Ring",
            _ => "AwsLcRs",
        };
        assert_eq!(
            format!("{:?}", direction.sealer(backend)),
            format!("Sealer {{ keys: {keys}, backend: {name}, .. }}")
        );
        assert_eq!(
            format!("{:?}", direction.opener(backend)),
            format!("Opener {{ keys: {keys}, backend: {name}, poisoned: false, .. }}")
        );
    }
}

#[test]
fn keys_come_back_as_they_were_given() {
    for direction in DirectionalKeys::all() {
        for backend in Backend::ALL {
            let direction = direction.clone().at(9);
            let sealer_keys = direction.sealer(backend).into_keys();
            let opener_keys = direction.opener(backend).into_keys().unwrap();
            for keys in [sealer_keys, opener_keys] {
                assert_eq!(keys.dangerous_key(), direction.key());
                assert_eq!(keys.dangerous_iv(), &direction.iv);
                assert_eq!(keys.seq().0, 9);
                assert_eq!(keys.version(), direction.version);
                assert_eq!(keys.algorithm(), direction.algorithm);
            }
        }
    }
}

#[test]
fn a_direction_whose_keys_are_erased_protects_nothing_and_opens_nothing() {
    let data = ContentType::APPLICATION_DATA;
    for direction in DirectionalKeys::all() {
        for backend in Backend::ALL {
            let mut sealer = direction.sealer(backend);
            let mut record = vec![0; sealer.record_len(4)];
            sealer.seal(data, b"text", &mut record).expect("a record");
            sealer.erase();
            let refused = sealer.seal(data, b"text", &mut record.clone());
            assert_eq!(refused, Err(Error::ConfidentialityLimit));
            let mut opener = direction.opener(backend);
            opener.erase();
            assert_eq!(opener.open_in_place(&mut record), Err(Error::Poisoned));
            for keys in [sealer.keys(), opener.keys()] {
                assert_eq!(keys.dangerous_key(), b"");
                assert_eq!(keys.dangerous_iv(), &[0; 12]);
            }
        }
    }
}

/// Does not compile once [`TrafficKeys`] can be cloned: both implementations would apply then.
#[test]
fn keys_cannot_be_cloned() {
    trait NotClone<Ambiguous> {
        const HOLDS: bool = true;
    }
    struct Clones;
    impl<T: ?Sized> NotClone<()> for T {}
    impl<T: Clone> NotClone<Clones> for T {}
    const { assert!(<TrafficKeys as NotClone<_>>::HOLDS) };
    const { assert!(<underseal_record::Sealer as NotClone<_>>::HOLDS) };
    const { assert!(<underseal_record::Opener as NotClone<_>>::HOLDS) };
    const { assert!(<TrafficSecret as NotClone<_>>::HOLDS) };
}
