//! The fuzz target's entry point as a property, and over its corpus, so that every test run drives
//! it.

use std::io::Read;
use std::sync::LazyLock;

use proptest::prelude::*;
use underseal::record::{ApiMisuse, Error as RecordError};
use underseal::{Error, blocking, fuzz};
use underseal_testkit::record_peer::APPLICATION_DATA;
use underseal_testkit::{Suite, over_corpus};

use crate::pairs::{pattern, with_record_peer};

/// Bytes before the side, and behind the last part.
const MAGIC_LEN: usize = 8;
const CHECKSUM_LEN: usize = 4;

/// Parts of streams with something in every place.
static BODIES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| Suite::EACH_VERSION.map(body));

fn body(suite: Suite) -> Vec<u8> {
    let (mut stream, mut peer) = with_record_peer(suite, 1 << 16);
    let records =
        [b"read in part", b"not read yet"].map(|data| peer.record(APPLICATION_DATA, data));
    peer.send_bytes(&records.concat());
    stream.read_exact(&mut [0; 4]).unwrap();
    let mut parts = stream.into_parts().unwrap();
    parts.unsent = pattern(30);
    let (_, bytes) = parts.into_bytes();
    bytes[MAGIC_LEN..bytes.len() - CHECKSUM_LEN].to_vec()
}

proptest! {
    #[test]
    fn whatever_bytes_are_read_as_parts_nothing_panics(
        which in 0..2_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut body = BODIES[which].clone();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        fuzz::parts(&body);
        fuzz::parts(&noise);
    }
}

#[test]
fn the_corpus_holds() {
    over_corpus("parts", |input| {
        assert!(fuzz::are_parts(input), "an input of an older format");
        fuzz::parts(input);
    });
}

/// The kernel engine counts records by it, and an alert or a key update that does not fit one would
/// be cut.
#[test]
fn parts_whose_records_are_too_short_or_too_long_are_refused() {
    for max_plaintext in [0, 1, 26, (1 << 14) + 1, usize::MAX] {
        let (stream, _peer) = with_record_peer(Suite::Tls13Aes128, 1 << 16);
        let mut parts = stream.into_parts().unwrap();
        parts.max_plaintext = max_plaintext;
        let refused = blocking::TlsStream::from_parts(parts).unwrap_err();
        assert!(
            matches!(
                refused,
                Error::Record(RecordError::ApiMisuse(ApiMisuse::RecordSizeLimit))
            ),
            "{max_plaintext}: {refused:?}"
        );
    }
}
