//! The records of RFC 8448 section 3 ("Simple 1-RTT Handshake"), opened and sealed again.

use underseal_record::{
    Algorithm, Backend, ContentType, Opener, PeerMisbehaved, ProtocolVersion, Sealer, SeqNo,
    TrafficKeys,
};

use crate::receiver::{Output, open};

struct Vector {
    name: &'static str,
    key: &'static str,
    iv: &'static str,
    seq: u64,
    record: &'static str,
    content_type: ContentType,
}

impl Vector {
    fn keys(&self) -> TrafficKeys {
        let (key, iv) = (unhex(self.key), unhex(self.iv).try_into().unwrap());
        let (version, algorithm) = (ProtocolVersion::Tls13, Algorithm::Aes128Gcm);
        TrafficKeys::new(version, algorithm, &key, iv, SeqNo(self.seq)).unwrap()
    }

    /// Opens the record every way and seals what came out again; returns the plaintext.
    fn check(&self) -> Vec<u8> {
        let record = unhex(self.record);
        let mut plaintexts = Vec::new();
        for backend in Backend::ALL {
            for into in [Output::InPlace, Output::Buffer(1024)] {
                let mut opener = Opener::with_backend(self.keys(), backend);
                let (content_type, plaintext) =
                    open(&mut opener, &mut record.clone(), into).expect(self.name);
                assert_eq!(content_type, self.content_type, "{}", self.name);
                assert_eq!(opener.seq(), SeqNo(self.seq + 1), "{}", self.name);

                let mut sealer = Sealer::with_backend(self.keys(), backend);
                let mut sealed = vec![0; sealer.record_len(plaintext.len())];
                sealer.seal(content_type, &plaintext, &mut sealed).unwrap();
                assert_eq!(sealed, record, "{}", self.name);
                plaintexts.push(plaintext);
            }
        }
        plaintexts.dedup();
        assert_eq!(plaintexts.len(), 1, "{}", self.name);
        plaintexts.remove(0)
    }
}

const CLIENT_FINISHED: Vector = Vector {
    name: "{client} send handshake record: Finished",
    key: "dbfaa693d1762c5b666af5d950258d01",
    iv: "5bd3c71b836e0b76bb73265f",
    seq: 0,
    record: "\
     170303003575ec4dc238cce60b298044a71e219c56cc77b0517fe9b93c7a4bfc\
     44d87f38f80338ac98fc46deb384bd1caeacab6867d726c40546",
    content_type: ContentType::HANDSHAKE,
};

const CLIENT_DATA: Vector = Vector {
    name: "{client} send application_data record",
    key: "17422dda596ed5d9acd890e3c63f5051",
    iv: "5b78923dee08579033e523d9",
    seq: 0,
    record: "\
     1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f\
     2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae6\
     3aeebb21694915e4",
    content_type: ContentType::APPLICATION_DATA,
};

/// Its sequence number is not zero, because the server's ticket came first: the one vector that
/// shows how the sequence number goes into the nonce.
const SERVER_DATA: Vector = Vector {
    name: "{server} send application_data record",
    key: "9f02283b6c9c07efc26bb9f2ac92e356",
    iv: "cf782b88dd83549aadf1e984",
    seq: 1,
    record: "\
     17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36\
     e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf33254\
     0dd032e167c2955d",
    content_type: ContentType::APPLICATION_DATA,
};

const SERVER_FLIGHT: Vector = Vector {
    name: "{server} send handshake record: EncryptedExtensions to Finished",
    key: "3fce516009c21727d0f2e4e86ee403bc",
    iv: "5d313eb2671276ee13000b30",
    seq: 0,
    record: "\
     17030302a2d1ff334a56f5bff6594a07cc87b580233f500f45e489e7f33af35e\
     df7869fcf40aa40aa2b8ea73f848a7ca07612ef9f945cb960b4068905123ea78\
     b111b429ba9191cd05d2a389280f526134aadc7fc78c4b729df828b5ecf7b13b\
     d9aefb0e57f271585b8ea9bb355c7c79020716cfb9b1183ef3ab20e37d57a6b9\
     d7477609aee6e122a4cf51427325250c7d0e509289444c9b3a648f1d71035d2e\
     d65b0e3cdd0cbae8bf2d0b227812cbb360987255cc744110c453baa4fcd61092\
     8d809810e4b7ed1a8fd991f06aa6248204797e36a6a73b70a2559c09ead68694\
     5ba246ab66e5edd8044b4c6de3fcf2a89441ac66272fd8fb330ef8190579b368\
     4596c960bd596eea520a56a8d650f563aad27409960dca63d3e688611ea5e22f\
     4415cf9538d51a200c27034272968a264ed6540c84838d89f72c24461aad6d26\
     f59ecaba9acbbb317b66d902f4f292a36ac1b639c637ce343117b65962224531\
     7b49eeda0c6258f100d7d961ffb138647e92ea330faeea6dfa31c7a84dc3bd7e\
     1b7a6c7178af36879018e3f252107f243d243dc7339d5684c8b0378bf30244da\
     8c87c843f5e56eb4c5e8280a2b48052cf93b16499a66db7cca71e4599426f7d4\
     61e66f99882bd89fc50800becca62d6c74116dbd2972fda1fa80f85df881edbe\
     5a37668936b335583b599186dc5c6918a396fa48a181d6b6fa4f9d62d513afbb\
     992f2b992f67f8afe67f76913fa388cb5630c8ca01e0c65d11c66a1e2ac4c859\
     77b7c7a6999bbf10dc35ae69f5515614636c0b9b68c19ed2e31c0b3b66763038\
     ebba42f3b38edc0399f3a9f23faa63978c317fc9fa66a73f60f0504de93b5b84\
     5e275592c12335ee340bbc4fddd502784016e4b3be7ef04dda49f4b440a30cb5\
     d2af939828fd4ae3794e44f94df5a631ede42c1719bfdabf0253fe5175be898e\
     750edc53370d2b",
    content_type: ContentType::HANDSHAKE,
};

#[test]
fn application_data_of_rfc8448_is_00_to_31_both_ways() {
    let data: Vec<u8> = (0..=0x31).collect();
    assert_eq!(CLIENT_DATA.check(), data);
    assert_eq!(SERVER_DATA.check(), data);
}

#[test]
fn handshake_records_of_rfc8448_hold_the_messages_printed_there() {
    let finished = CLIENT_FINISHED.check();
    assert_eq!(finished.len(), 36);
    assert_eq!(finished[..4], [20, 0, 0, 32]);

    let flight = SERVER_FLIGHT.check();
    let mut messages = Vec::new();
    let mut rest = &flight[..];
    while let [kind, 0, high, low, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        messages.push((*kind, len));
        rest = &after[len..];
    }
    let encrypted_extensions = (8, 36);
    let certificate = (11, 441);
    let certificate_verify = (15, 132);
    let finished = (20, 32);
    let printed = [
        encrypted_extensions,
        certificate,
        certificate_verify,
        finished,
    ];
    assert_eq!(messages, printed);
    assert!(rest.is_empty());
}

#[test]
fn records_of_rfc8448_do_not_open_under_another_key_or_number() {
    let record = unhex(CLIENT_DATA.record);
    let other_number = Vector {
        seq: 1,
        ..CLIENT_DATA
    };
    for backend in Backend::ALL {
        for keys in [SERVER_DATA.keys(), other_number.keys()] {
            let mut opener = Opener::with_backend(keys, backend);
            let error = opener.open_in_place(&mut record.clone()).unwrap_err();
            assert_eq!(error, PeerMisbehaved::BadRecordMac.into());
        }
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
