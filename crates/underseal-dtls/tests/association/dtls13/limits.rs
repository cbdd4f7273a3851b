//! The last records of a key.

use underseal_dtls::Error;
use underseal_dtls::blocking::DtlsSocket;
use underseal_record::dtls::{Opener, ReplayWindow};
use underseal_record::{Limits, ProtocolVersion};

use super::{ALGORITHM, MESSAGE, Wire, key_update, next_secret, parts, secret};
use crate::{recv, sockets};

#[test]
fn a_key_that_has_sealed_nearly_all_that_it_may_is_updated_by_itself() {
    let (near, far) = sockets();
    let mut parts = parts(0);
    let soft = Limits::of(ProtocolVersion::Tls13, ALGORITHM).soft;
    parts.send.skip_to(soft - 1).unwrap();
    let socket = DtlsSocket::from_parts(near, parts).unwrap();
    let mut wire = Wire::beside(far);
    // Numbers are sent in part: the other side has to know where they are.
    let mut window = ReplayWindow::default();
    window.commit(soft - 2);
    wire.opener = Opener::new(secret(0).keys(), window);
    socket.send(b"the last").unwrap();
    assert_eq!(wire.receive_data(), (3, "the last".to_owned()));
    let (number, update) = wire.receive_message();
    assert_eq!(update, key_update(MESSAGE, 0));
    wire.acknowledge(number);
    wire.data("data");
    assert_eq!(recv(&socket).unwrap(), "data");
    assert!(!socket.wants_new_keys());
}

/// What is not data has the last records of a key, without which there is no next one.
#[test]
fn a_key_that_may_seal_no_more_data_is_still_updated() {
    let (near, far) = sockets();
    let mut parts = parts(0);
    let hard = Limits::of(ProtocolVersion::Tls13, ALGORITHM).hard;
    parts.send.skip_to(hard - 100).unwrap();
    let socket = DtlsSocket::from_parts(near, parts).unwrap();
    let mut wire = Wire::beside(far);
    let mut window = ReplayWindow::default();
    window.commit(hard - 101);
    wire.opener = Opener::new(secret(0).keys(), window);
    for _ in 0..200 {
        assert!(matches!(
            socket.send(b"data"),
            Err(Error::Record(underseal_record::Error::ConfidentialityLimit))
        ));
        let batch = socket.send_batch(&[b"data"]);
        assert!(matches!(batch, Err(Error::Record(_))), "{batch:?}");
    }
    socket.update_keys(false).unwrap();
    let (number, _) = wire.receive_message();
    wire.acknowledge(number);
    wire.data("acknowledged");
    assert_eq!(recv(&socket).unwrap(), "acknowledged");
    socket.send(b"data").unwrap();
    wire.opener.advance(next_secret(0).keys()).unwrap();
    assert_eq!(wire.receive_data(), (4, "data".to_owned()));
}
