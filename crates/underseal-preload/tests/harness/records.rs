//! The records that a program of these tests sends, whose keys they all know.

use underseal_record::{
    Algorithm, ContentType, Opener, PlaintextIn, ProtocolVersion, SeqNo, TrafficKeys,
};

/// The plaintext of a wire, all of it data.
pub(crate) fn text(wire: &[u8]) -> String {
    let records = records(wire).into_iter();
    let data = records.flat_map(|(content_type, plaintext)| {
        assert_eq!(content_type, ContentType::APPLICATION_DATA);
        plaintext
    });
    String::from_utf8(data.collect()).expect("text")
}

/// The records of a wire, which all open, each with the number that is due.
pub(crate) fn records(wire: &[u8]) -> Vec<(ContentType, Vec<u8>)> {
    records_from(wire, SeqNo(0))
}

/// The same, where the first has another number.
pub(crate) fn records_from(mut wire: &[u8], first: SeqNo) -> Vec<(ContentType, Vec<u8>)> {
    let keys = TrafficKeys::new(
        ProtocolVersion::Tls13,
        Algorithm::Aes128Gcm,
        &[7; 16],
        [0; 12],
        first,
    );
    let mut opener = Opener::new(keys.expect("a key of the right length"));
    let mut records = Vec::new();
    while !wire.is_empty() {
        assert!(wire.len() > 5, "a record's header");
        let len = 5 + usize::from(u16::from_be_bytes([wire[3], wire[4]]));
        assert!(wire.len() >= len, "a whole record");
        let (record, rest) = wire.split_at(len);
        let mut record = record.to_vec();
        let opened = opener
            .open_in_place(&mut record)
            .expect("a record that is due");
        let PlaintextIn::Record(place) = opened.plaintext else {
            panic!("opened in place");
        };
        records.push((opened.content_type, record[place].to_vec()));
        wire = rest;
    }
    records
}
