//! ICMP errors can be forged by whoever knows the addresses: they are counted, and change nothing.

use std::net::UdpSocket;
use std::time::Duration;

use underseal_dtls::blocking::DtlsSocket;
use underseal_record::ContentType;
use underseal_record::dtls::Sealer;

use crate::{keys, parts, recv};

#[test]
fn a_port_that_is_closed_for_a_while_does_not_end_an_association() {
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    near.connect(address).unwrap();
    drop(far);
    near.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let socket = DtlsSocket::from_parts(near, parts(0)).unwrap();
    // The first is answered by ICMP, the second meets its error and is sent all the same.
    socket.send(b"one").unwrap();
    socket.send(b"two").unwrap();
    assert_eq!(socket.counters().icmp_errors, 1);
    assert!(recv(&socket).is_err(), "nobody sent anything");
    assert_eq!(socket.counters().icmp_errors, 2);

    let far = UdpSocket::bind(address).unwrap();
    let mut sealer = Sealer::new(keys(1));
    let mut datagram = [0; 100];
    let data = ContentType::APPLICATION_DATA;
    let len = sealer.seal(data, b"back", &mut datagram).unwrap();
    far.send_to(&datagram[..len], socket.socket().local_addr().unwrap())
        .unwrap();
    assert_eq!(recv(&socket).unwrap(), "back");
}
