//! How large records may be: 2^14, and what RFC 8449 negotiates below it.

use proptest::prelude::*;
use underseal_record::{
    AlertDescription, ApiMisuse, Backend, ContentType, Error, MAX_PLAINTEXT, PeerMisbehaved,
    ProtocolVersion,
};

use crate::direction::{
    DirectionalKeys, VERSIONS, Way, any_backend, any_direction, any_padding, any_size_limit,
    any_write, largest_size_limit,
};
use crate::forge::{forge, forge_typed};

const DATA: ContentType = ContentType::APPLICATION_DATA;

fn open(
    direction: &DirectionalKeys,
    backend: Backend,
    limit: u16,
    record: &[u8],
) -> Result<(), Error> {
    let mut opener = direction.opener(backend);
    opener.set_record_size_limit(limit).unwrap();
    opener.open_in_place(&mut record.to_vec()).map(|_| ())
}

fn overflow(len: usize) -> Result<(), Error> {
    Err(PeerMisbehaved::PlaintextOverflow(len).into())
}

proptest! {
    #[test]
    fn no_record_passes_the_limit_of_the_peer(
        (direction, limit) in any_direction().prop_flat_map(|direction| {
            let limit = any_size_limit(direction.version);
            (Just(direction), limit)
        }),
        padding in any_padding(),
        write in any_write(20_000),
        backend in any_backend(),
    ) {
        let mut sealer = direction.sealer(backend);
        sealer.set_record_size_limit(limit).unwrap();
        sealer.set_padding(padding);
        let mut opener = direction.opener(backend);
        for record in Way::Flat.seal(&mut sealer, &write) {
            let inner = record.len() - sealer.prefix_len() - 16;
            prop_assert!(inner <= usize::from(limit));
            opener.open_in_place(&mut record.clone()).unwrap();
        }
    }

    #[test]
    fn a_record_over_the_announced_limit_is_refused(
        (direction, limit) in any_direction().prop_flat_map(|direction| {
            let limit = any_size_limit(direction.version);
            (Just(direction), limit)
        }),
        backend in any_backend(),
    ) {
        let type_byte = usize::from(direction.version == ProtocolVersion::Tls13);
        let fits = usize::from(limit) - type_byte;
        let record = forge_typed(&direction, DATA, &vec![1; fits], 0);
        prop_assert_eq!(open(&direction, backend, limit, &record), Ok(()));
        let record = forge_typed(&direction, DATA, &vec![1; fits + 1], 0);
        let opened = open(&direction, backend, limit, &record);
        prop_assert_eq!(opened, overflow(fits + 1 + type_byte));
        prop_assert_eq!(opened.unwrap_err().alert(), Some(AlertDescription::RECORD_OVERFLOW));
    }
}

#[test]
fn a_plaintext_of_2_14_bytes_is_the_largest() {
    for direction in DirectionalKeys::all() {
        for backend in Backend::ALL {
            let mut opener = direction.opener(backend);
            let mut record = forge_typed(&direction, DATA, &[1; MAX_PLAINTEXT], 0);
            assert!(opener.open_in_place(&mut record).is_ok());

            let mut opener = direction.opener(backend);
            let mut record = forge_typed(&direction, DATA, &[1; MAX_PLAINTEXT + 1], 0);
            let error = opener.open_in_place(&mut record).unwrap_err();
            assert_eq!(error.alert(), Some(AlertDescription::RECORD_OVERFLOW));
            assert!(opener.is_poisoned());
        }
    }
}

/// RFC 8446 section 5.4: the encoded TLSInnerPlaintext, padding and all, is 2^14 + 1 at most.
#[test]
fn padding_counts_towards_the_limit() {
    for direction in DirectionalKeys::all().skip(3) {
        assert_eq!(direction.version, ProtocolVersion::Tls13);
        for (limit, zeros, result) in [
            (100, 94, Ok(())),
            (100, 95, overflow(101)),
            (MAX_PLAINTEXT as u16 + 1, MAX_PLAINTEXT - 5, Ok(())),
            (
                MAX_PLAINTEXT as u16 + 1,
                MAX_PLAINTEXT - 4,
                overflow(MAX_PLAINTEXT + 2),
            ),
        ] {
            let record = forge_typed(&direction, DATA, b"fives", zeros);
            assert_eq!(open(&direction, Backend::ALL[0], limit, &record), result);
        }
    }
}

/// The longest body that deframes, 2^14 + 256, is too long once it is open.
#[test]
fn the_longest_body_is_refused_after_it_authenticates() {
    for direction in DirectionalKeys::all().skip(3) {
        let inner = vec![23; MAX_PLAINTEXT + 256 - 16];
        let mut record = forge(&direction, DATA, &inner);
        let error = direction
            .opener(Backend::ALL[Backend::COUNT - 1])
            .open_in_place(&mut record);
        assert_eq!(
            error,
            Err(PeerMisbehaved::PlaintextOverflow(inner.len()).into())
        );
    }
}

#[test]
fn limits_out_of_range_are_misuse() {
    for version in VERSIONS {
        let direction = DirectionalKeys::of(version, underseal_record::Algorithm::Aes128Gcm);
        let most = largest_size_limit(version);
        for (limit, allowed) in [
            (0, false),
            (63, false),
            (64, true),
            (most, true),
            (most + 1, false),
        ] {
            let result = if allowed {
                Ok(())
            } else {
                Err(ApiMisuse::RecordSizeLimit.into())
            };
            let mut sealer = direction.sealer(Backend::ALL[0]);
            assert_eq!(sealer.set_record_size_limit(limit), result);
            let mut opener = direction.opener(Backend::ALL[0]);
            assert_eq!(opener.set_record_size_limit(limit), result);
        }
    }
}

/// The owner's own bound and the peer's are both kept, whichever is set first.
#[test]
fn the_lower_of_both_bounds_holds() {
    let direction = DirectionalKeys::of(
        ProtocolVersion::Tls12,
        underseal_record::Algorithm::Aes128Gcm,
    );
    for (own, peer, holds) in [
        (100, 200, 100),
        (200, 100, 100),
        (MAX_PLAINTEXT + 9, 100, 100),
        (0, 100, 1),
    ] {
        let mut sealer = direction.sealer(Backend::ALL[0]);
        sealer.lower_max_plaintext(own);
        sealer.set_record_size_limit(peer).unwrap();
        assert_eq!(sealer.max_plaintext(), holds, "own bound first");

        let mut sealer = direction.sealer(Backend::ALL[0]);
        sealer.set_record_size_limit(peer).unwrap();
        sealer.lower_max_plaintext(own);
        assert_eq!(sealer.max_plaintext(), holds, "the peer's first");
    }
}
