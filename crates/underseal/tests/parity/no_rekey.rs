//! What key updates come to where the kernel cannot rekey (before Linux 6.14): an end that is
//! documented, and that neither side has to guess.

use std::io::{ErrorKind, Read, Write};

use underseal::record::AlertDescription;
use underseal::{Direction, Error, KeyUpdateRequest, Refusal};
use underseal_testkit::record_peer::APPLICATION_DATA;

use crate::case::Case;
use crate::key_updates::send_update;

/// Whether the kernel can update the keys of these directions, as far as it holds them. Where it
/// cannot, the documented end is seen instead.
pub(crate) fn can_rekey(case: Case, directions: &[Direction]) -> bool {
    let refused = directions
        .iter()
        .find_map(|direction| Some((*direction, case.cannot_rekey(*direction)?)));
    let Some((direction, refusal)) = refused else {
        return true;
    };
    match direction {
        Direction::Tx => refuses_to_update(case, refusal),
        Direction::Rx => ends_at_an_update(case, refusal),
    }
    case.unsupported(refusal);
    false
}

/// The call fails and nothing else does: the key stays as good as it was.
fn refuses_to_update(case: Case, refusal: Refusal) {
    let (mut stream, mut peer) = case.server();
    for request in [KeyUpdateRequest::NotRequested, KeyUpdateRequest::Requested] {
        let error = stream.key_update(request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        is_refusal(&error, Direction::Tx, refusal);
    }
    stream.write_all(b"goes on").unwrap();
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"goes on".to_vec(), true));
}

/// The peer's next record cannot be opened: the connection ends, and the peer is told.
fn ends_at_an_update(case: Case, refusal: Refusal) {
    let (mut stream, mut peer) = case.server();
    peer.send(APPLICATION_DATA, b"before");
    send_update(&mut peer, 0, b"after");
    let mut received = [0; 6];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"before");
    for _ in 0..2 {
        is_refusal(
            &stream.read(&mut received).unwrap_err(),
            Direction::Rx,
            refusal,
        );
    }
    let error = stream.write(b"after").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let alert = AlertDescription::INTERNAL_ERROR;
    assert_eq!(peer.receive_alert(), Some(alert.0));
}

fn is_refusal(error: &std::io::Error, direction: Direction, refusal: Refusal) {
    let expected = Error::Offload { direction, refusal };
    let text = Error::of(error).map(|error| error.to_string());
    assert_eq!(text, Some(expected.to_string()), "{error}");
}
