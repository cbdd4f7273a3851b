//! Sockets that someone else made a TLS socket of before.

use std::net::TcpStream;

use underseal::{Errno, Error, Offload, Offloads, Refusal};
use underseal_sys::tls::{self, Cipher, CryptoInfo, Direction, Version};
use underseal_testkit::Suite;

use crate::connect::{KERNEL, SUITE, USER, accept_over, assert_alive, send_large_file, sockets};
use crate::machine::alone;

/// Kernel TLS on both ends and in both directions, with keys that underseal knows nothing of.
fn sockets_with_tls() -> (TcpStream, TcpStream) {
    let (ours, theirs) = sockets();
    let info = CryptoInfo::new(Version::Tls13, Cipher::Aes128Gcm, &[1; 16], &[2; 12], 0);
    let info = info.unwrap();
    for socket in [&ours, &theirs] {
        tls::attach(socket).unwrap();
        for direction in Direction::ALL {
            tls::set(socket, direction, &info).unwrap();
        }
    }
    (ours, theirs)
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn tls_inside_of_kernel_tls_stays_in_user_space() {
    let _machine = alone();
    for suite in Suite::EACH_VERSION {
        let (mut server, peer) = accept_over(sockets_with_tls(), suite, Offload::Auto).unwrap();
        let mut peer = send_large_file(&mut server, peer);
        assert_eq!(server.engines(), USER, "{suite:?}");
        assert_alive(&mut server, &mut peer);
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn keys_of_another_owner_are_not_replaced() {
    let _machine = alone();
    let (ours, theirs) = sockets_with_tls();
    let watched = ours.try_clone().unwrap();
    let error = accept_over((ours, theirs), Suite::Tls13Aes128, Offload::Kernel).unwrap_err();
    match Error::of(&error) {
        Some(Error::Offload { refusal, .. }) => assert_eq!(refusal, Refusal::Ulp(Errno::EXIST)),
        other => panic!("{other:?}"),
    }
    for direction in Direction::ALL {
        let info = tls::get(&watched, direction).unwrap();
        assert_eq!(info.dangerous_key(), [1; 16], "{direction:?}");
    }
}

/// Something attached the protocol and stopped there, as a server that fell back would.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_socket_with_the_protocol_and_no_keys_is_used() {
    let _machine = alone();
    let (ours, theirs) = sockets();
    tls::attach(&ours).unwrap();
    assert_eq!(tls::attach(&ours), Err(underseal_sys::Errno::EXIST));
    let (mut server, mut peer) = accept_over((ours, theirs), SUITE, Offload::Kernel).unwrap();
    assert_eq!(server.engines(), KERNEL);
    assert_alive(&mut server, &mut peer);
}

/// The other direction has the keys of another version: the kernel takes one version per socket.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn half_a_socket_of_another_owner_is_left_to_it() {
    let _machine = alone();
    let (mut server, mut peer) = accept_over(sockets(), SUITE, Offload::User).unwrap();
    let info = CryptoInfo::new(Version::Tls13, Cipher::Aes128Gcm, &[1; 16], &[2; 12], 0).unwrap();
    assert_alive(&mut server, &mut peer);
    let socket = &server.get_ref().0;
    tls::attach(socket).unwrap();
    tls::set(socket, Direction::Rx, &info).unwrap();
    let tx_alone = "tx=kernel,rx=auto".parse::<Offloads>().unwrap();
    let error = server.set_offload(tx_alone).unwrap_err();
    match error {
        Error::Offload { direction, refusal } => {
            assert_eq!(direction, Direction::Tx);
            assert_eq!(refusal, Refusal::Keys(Errno::INVAL));
        }
        other => panic!("{other:?}"),
    }
}
