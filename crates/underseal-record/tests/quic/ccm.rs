//! AES-128-CCM, of builds with the feature and of those without.

use underseal_record::quic::{HeaderKey, PacketKey};
use underseal_record::{
    Algorithm, ApiMisuse, Error, ProtocolVersion, SeqNo, TrafficKeys, TrafficSecret,
};

const CCM: Algorithm = Algorithm::Aes128Ccm;

/// Every way in.
fn outcomes() -> [Result<(), Error>; 5] {
    let (key, iv) = ([1; 16], [2; 12]);
    [
        TrafficSecret::new(CCM, &[7; 32]).map(drop),
        TrafficKeys::new(ProtocolVersion::Tls13, CCM, &key, iv, SeqNo(0)).map(drop),
        PacketKey::new(CCM, &key, iv).map(drop),
        HeaderKey::new(CCM, &key).map(drop),
        underseal_record::dtls::MasterSecret::new(CCM, &[7; 48]).map(drop),
    ]
}

#[cfg(not(feature = "ccm"))]
#[test]
fn a_build_without_it_takes_no_keys_of_it() {
    let left_out = Error::ApiMisuse(ApiMisuse::AlgorithmLeftOut);
    assert_eq!(outcomes(), [Err(left_out); 5]);
}

#[cfg(feature = "ccm")]
mod built_in {
    use underseal_record::dtls;
    use underseal_record::quic::{
        Dropped, PacketOpener, PacketSealer, Refused, Version, confidentiality_limits,
        integrity_limit,
    };
    use underseal_record::{Backend, ContentType, Limits, Opener, PlaintextIn, Sealer};

    use super::*;
    use crate::packets::{NUMBER_AT, hex, pair, sealed, short};

    /// OpenSSL's AES-CCM and AES, put together from the text of RFC 9001: two packets of the secret
    /// 00 01 … 1f, the second after a key update.
    const PACKETS: [(u64, usize, &[u8], &str); 2] = [
        (
            0x0d_65ca,
            2,
            b"a packet of AES-128-CCM",
            "41c1c1c1c1c1c1c1c1bc64276642812988274071a2f8c3c628d0984a2ac1c080c20406038125d74980d001f109541c948ab6",
        ),
        (
            0x0d_65cb,
            3,
            b"x",
            "45c1c1c1c1c1c1c1c130d5c882a5737707b3af0e62b5b92c558b5c6c98",
        ),
    ];

    fn secret() -> TrafficSecret {
        let bytes: Vec<u8> = (0..32).collect();
        TrafficSecret::new(CCM, &bytes).unwrap()
    }

    #[test]
    fn every_key_of_it_is_taken() {
        assert_eq!(outcomes(), [Ok(()); 5]);
        let short = Error::ApiMisuse(ApiMisuse::KeyLength);
        assert_eq!(PacketKey::new(CCM, &[1; 32], [2; 12]).map(drop), Err(short));
    }

    #[test]
    fn packets_are_those_of_another_implementation() {
        for backend in Backend::ALL {
            let mut sealer = PacketSealer::with_backend(Version::V1, secret(), backend);
            let mut opener = PacketOpener::with_backend(Version::V1, secret(), backend);
            opener.set_largest(0x0d_65c9);
            for (generation, (number, number_len, payload, expected)) in
                PACKETS.into_iter().enumerate()
            {
                let mut packet = short(generation == 1, number, number_len, payload);
                sealer.skip_to(number);
                sealer.seal(&mut packet, NUMBER_AT, number).unwrap();
                assert_eq!(packet, hex(expected));
                let opened = opener.open(&mut packet, NUMBER_AT).unwrap();
                assert_eq!(
                    (opened.number, opened.generation),
                    (number, generation as u64)
                );
                assert_eq!(packet[opened.payload], *payload);
                sealer.update(Some(number)).unwrap();
            }
        }
    }

    #[test]
    fn a_key_seals_and_opens_up_to_the_limits_of_the_rfc() {
        let two_to_21_and_a_half = 2_965_820;
        assert_eq!(confidentiality_limits(CCM).hard, two_to_21_and_a_half);
        assert_eq!(integrity_limit(CCM), two_to_21_and_a_half);
        let (mut sealer, mut opener) = pair(CCM, Backend::ALL[0]);
        sealer.skip_to(two_to_21_and_a_half - 1);
        assert!(sealer.wants_update());
        sealed(&mut sealer, b"hello");
        let number = sealer.next_number();
        let mut packet = short(false, number, 4, b"hello");
        let refused = sealer.seal(&mut packet, NUMBER_AT, number);
        assert_eq!(refused, Err(Refused::ConfidentialityLimit));
        opener.lower_integrity_limit(1);
        let mut forged = short(false, 0, 1, b"hello");
        assert_eq!(opener.open(&mut forged, NUMBER_AT), Err(Dropped::Forged));
        let mut packet = short(false, 0, 1, b"hello");
        assert_eq!(
            opener.open(&mut packet, NUMBER_AT),
            Err(Dropped::IntegrityLimit)
        );
    }

    /// No handshake here agrees on it, but who has keys from elsewhere may use them.
    #[test]
    fn records_are_sealed_with_it_too() {
        for version in [ProtocolVersion::Tls12, ProtocolVersion::Tls13] {
            let keys = || TrafficKeys::new(version, CCM, &[1; 16], [2; 12], SeqNo(0)).unwrap();
            assert_eq!(Limits::of(version, CCM).hard, 1 << 23);
            let (mut sealer, mut opener) = (Sealer::new(keys()), Opener::new(keys()));
            let mut wire = [0; 64];
            let len = sealer
                .seal(ContentType::APPLICATION_DATA, b"hello", &mut wire)
                .unwrap()
                .written;
            let opened = opener.open_in_place(&mut wire[..len]).unwrap();
            let PlaintextIn::Record(place) = opened.plaintext else {
                panic!("{:?}", opened.plaintext);
            };
            assert_eq!(wire[place], *b"hello");
        }
        let secret = || dtls::EpochSecret::new(CCM, &[7; 32], 3).unwrap().keys();
        let sealer = dtls::Sealer::new(secret());
        assert_eq!(sealer.limits().hard, 1 << 23);
    }
}
