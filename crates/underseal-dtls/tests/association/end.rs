use underseal_dtls::Error;
use underseal_record::ContentType;

use crate::{recv, socket_and_wire};

#[test]
fn closing_sends_one_close_notify_and_receiving_goes_on() {
    let (socket, mut wire) = socket_and_wire();
    socket.close();
    socket.close();
    assert_eq!(wire.receive(), (ContentType::ALERT, vec![1, 0]));
    assert!(matches!(socket.send(b"x"), Err(Error::Closed)));
    let data = wire.data("still there");
    wire.send(&data);
    assert_eq!(recv(&socket).unwrap(), "still there");
    assert_eq!(socket.counters().sealed, 1);
}
