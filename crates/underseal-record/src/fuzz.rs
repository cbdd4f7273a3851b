//! Entry points of the fuzz targets, beside the code that they drive.
//!
//! Each panics where an invariant is broken, whatever the bytes.

use crate::{
    Algorithm, Backend, ContentType, Deframed, Error, Opened, Opener, Padding, PlaintextIn,
    ProtocolVersion, Sealer, SeqNo, TrafficKeys, deframe,
};

mod dtls;
mod dtls_reference;
mod key_updates;
mod outgoing;
mod quic;
mod quic_reference;

pub use dtls::{dtls_change, dtls_datagram, dtls_hello, dtls_window, dtls_window_agrees};
pub use key_updates::dtls_key_updates;
pub use outgoing::quic_seal;
pub use quic::{quic_headers, quic_train};

/// Deframes arbitrary bytes as a stream until they run out or are refused.
pub fn deframe_stream(data: &[u8]) {
    for version in [ProtocolVersion::Tls12, ProtocolVersion::Tls13] {
        let mut rest = data;
        while let Ok(Deframed::Record(header)) = deframe(version, rest) {
            let (record, after) = rest.split_at(header.record_len());
            prefixes_are_incomplete(version, record);
            rest = after;
        }
        if let Ok(Deframed::Missing(missing)) = deframe(version, rest) {
            assert!(missing > 0, "a reader would wait for nothing");
            assert!(
                missing <= crate::MAX_RECORD,
                "a reader would wait for more than a record"
            );
        }
    }
}

/// Opens arbitrary bytes as one record, under keys that the first byte chooses.
pub fn open_record(data: &[u8]) {
    let Some((choice, record)) = data.split_first() else {
        return;
    };
    let keys = Keys::chosen_by(*choice);
    let out_len = usize::from(choice & 0x7f) * 8;
    let opened = Backend::ALL.map(|backend| keys.open(backend, record, out_len));
    let first = opened.first().expect("this build has a backend");
    assert!(
        opened.iter().all(|one| one == first),
        "the backends disagree"
    );
}

/// Seals one record, changes it, and opens it: bytes 0 and 1 choose keys, padding and content
/// type, then two bytes each place a changed byte (position, XOR) until a zero XOR, and the rest
/// is plaintext, as much of it as fits one record.
pub fn seal_change_open(data: &[u8]) {
    let Some(([choice, padding], mut rest)) = data.split_first_chunk() else {
        return;
    };
    let mut changes = Vec::new();
    while let Some(([at, xor], after)) = rest.split_first_chunk() {
        rest = after;
        if *xor == 0 {
            break;
        }
        changes.push((usize::from(*at), *xor));
    }
    let rest = &rest[..rest.len().min(crate::MAX_PLAINTEXT)];
    let keys = Keys::chosen_by(*choice);
    let content_type = match rest {
        [] => ContentType::APPLICATION_DATA,
        _ => ContentType(21 + padding % 3),
    };
    let record = keys.seal(Padding::Multiple(u16::from(*padding)), content_type, rest);
    let mut changed = record.clone();
    for (at, xor) in changes {
        let at = at % changed.len();
        changed[at] ^= xor;
    }
    for backend in Backend::ALL {
        let opened = keys.open(backend, &changed, usize::from(*choice) * 2);
        match changed == record {
            true => assert!(
                opened == Ok((content_type, rest.to_vec())),
                "another record was opened than was sealed"
            ),
            false => assert!(opened.is_err(), "a changed record was opened"),
        }
    }
}

fn prefixes_are_incomplete(version: ProtocolVersion, record: &[u8]) {
    for len in [0, 1, 4, 5, record.len() / 2, record.len() - 1] {
        match deframe(version, &record[..len]) {
            Ok(Deframed::Missing(missing)) => assert!(len + missing <= record.len()),
            other => panic!("{len} bytes of a record of {}: {other:?}", record.len()),
        }
    }
}

/// Keys that are the same for the same byte.
struct Keys {
    version: ProtocolVersion,
    algorithm: Algorithm,
}

impl Keys {
    fn chosen_by(choice: u8) -> Self {
        Self {
            version: match choice & 0x80 {
                0 => ProtocolVersion::Tls12,
                _ => ProtocolVersion::Tls13,
            },
            algorithm: Algorithm::ALL[usize::from(choice) % Algorithm::ALL.len()],
        }
    }

    fn traffic_keys(&self) -> TrafficKeys {
        let key = &[7; 32][..self.algorithm.key_len()];
        TrafficKeys::new(self.version, self.algorithm, key, [9; 12], SeqNo(0))
            .expect("the key has the length of its algorithm")
    }

    fn seal(&self, padding: Padding, content_type: ContentType, plaintext: &[u8]) -> Vec<u8> {
        let records = Backend::ALL.map(|backend| {
            let mut sealer = Sealer::with_backend(self.traffic_keys(), backend);
            sealer.set_padding(padding);
            let len = plaintext.len().min(sealer.max_plaintext());
            let mut record = vec![0; sealer.record_len(len)];
            let sealed = sealer.seal(content_type, plaintext, &mut record);
            let sealed = sealed.expect("such a record may be sealed");
            assert_eq!((sealed.consumed, sealed.written), (len, record.len()));
            record
        });
        let first = records.first().expect("this build has a backend").clone();
        assert!(
            records.iter().all(|one| *one == first),
            "the backends disagree"
        );
        first
    }

    /// Opens `record` and checks what holds of every outcome.
    fn open(
        &self,
        backend: Backend,
        record: &[u8],
        out_len: usize,
    ) -> Result<(ContentType, Vec<u8>), Error> {
        let mut opener = Opener::with_backend(self.traffic_keys(), backend);
        let (mut record, mut out) = (record.to_vec(), vec![0; out_len]);
        let result = opener.open_into(&mut record, &mut out);
        match &result {
            Ok(_) => assert_eq!(opener.seq(), SeqNo(1), "an opened record advances"),
            Err(Error::ApiMisuse(_)) => assert!(!opener.is_poisoned(), "no fault of the peer"),
            Err(_) => {
                assert!(opener.is_poisoned(), "a refused record ends the direction");
                let again = opener.open_in_place(&mut record);
                assert_eq!(again, Err(Error::Poisoned), "and for good");
            }
        }
        let Opened {
            content_type,
            plaintext,
        } = result?;
        let plaintext = match plaintext {
            PlaintextIn::Record(range) => record[range].to_vec(),
            PlaintextIn::Out(len) => out[..len].to_vec(),
        };
        Ok((content_type, plaintext))
    }
}
