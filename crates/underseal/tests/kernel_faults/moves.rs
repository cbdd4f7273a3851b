//! Moves that fail, at each of their steps: there is one sealer before, and the same one after.

use std::io::Write as _;
use std::net::TcpStream;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use underseal::record::Padding;
use underseal::rustls::ServerConfig;
use underseal::{Direction, Error, Offload, Offloads, Refusal};
use underseal_sys::tls::{self, Cipher, CryptoInfo, Version};
use underseal_testkit::Suite;
use underseal_testkit::record_peer::APPLICATION_DATA;

use crate::connect::{
    Peer, Server, USER, accept_configured, assert_alive, pattern, send_large_file, sockets,
};
use crate::machine::alone;

/// A step of a move, by what makes it fail.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The user engine pads.
    Padding,
    /// The socket has the upper layer protocol, with the keys of somebody else.
    Attach,
    /// Records are to be shorter than the kernel can have them.
    Limit,
    /// The other direction has keys of another version.
    Keys,
    /// The receive buffer is too small, and stays so.
    ReceiveBuffer,
}

/// Whose keys no stream of a test has.
fn foreign(version: Version) -> CryptoInfo {
    CryptoInfo::new(version, Cipher::Aes128Gcm, &[1; 16], &[2; 12], 0).unwrap()
}

fn set_foreign(socket: &TcpStream, direction: Direction, version: Version) {
    // It may be there: the attempt before this one failed behind it.
    let _ = tls::attach(socket);
    tls::set(socket, direction, &foreign(version)).unwrap();
}

/// A stream on the user engine, none of whose moves in `direction` gets past `step`.
fn before(step: Step, suite: Suite, direction: Direction, offload: Offload) -> (Server, Peer) {
    let (ours, theirs) = sockets();
    match step {
        Step::Attach => {
            for (socket, direction) in [(&ours, direction), (&theirs, other(direction))] {
                set_foreign(socket, direction, Version::Tls13);
            }
        }
        Step::ReceiveBuffer => set_socket_recv_buffer_size(&ours, 4_096).unwrap(),
        _ => {}
    }
    let configure = |config: &mut ServerConfig| {
        config.max_fragment_size = matches!(step, Step::Limit).then_some(40);
    };
    let (mut server, mut peer) =
        accept_configured((ours, theirs), suite, offload, configure).unwrap();
    match step {
        Step::Padding => server.set_padding(Padding::Multiple(16)).unwrap(),
        Step::Keys => {
            // What follows is only sent: the kernel would open what is received.
            let version = match suite.is_tls13() {
                true => Version::Tls12,
                false => Version::Tls13,
            };
            assert_alive(&mut server, &mut peer);
            set_foreign(server.get_ref().0, other(direction), version);
        }
        _ => {}
    }
    assert_eq!(server.engines(), USER);
    (server, peer)
}

fn other(direction: Direction) -> Direction {
    match direction {
        Direction::Tx => Direction::Rx,
        Direction::Rx => Direction::Tx,
    }
}

/// The kernel has no key of this stream: it can neither seal nor open for it.
fn assert_not_held(step: Step, server: &Server, direction: Direction) {
    match (step, tls::get(server.get_ref().0, direction)) {
        (Step::Attach, Ok(info)) => assert_eq!(info.dangerous_key(), [1; 16]),
        (_, held) => assert!(held.is_err(), "{step:?}: the kernel holds the direction"),
    }
    assert_eq!(server.engines(), USER, "{step:?}");
}

fn sends(server: &mut Server, peer: &mut Peer) {
    let data = pattern(1_000);
    server.write_all(&data).unwrap();
    let mut received = Vec::new();
    while received.len() < data.len() {
        let (content_type, payload) = peer.receive().unwrap();
        assert_eq!(content_type, APPLICATION_DATA);
        received.extend(payload);
    }
    assert!(received == data);
}

fn receives(server: &mut Server, peer: &mut Peer) {
    use std::io::Read as _;
    peer.send(APPLICATION_DATA, b"ping");
    let mut ping = [0; 4];
    server.read_exact(&mut ping).unwrap();
    assert_eq!(&ping, b"ping");
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_sending_direction_that_the_kernel_refuses_has_one_sealer() {
    let _machine = alone();
    for suite in Suite::EACH_VERSION {
        for step in [Step::Padding, Step::Attach, Step::Limit, Step::Keys] {
            let (mut server, mut peer) = before(step, suite, Direction::Tx, Offload::User);
            sends(&mut server, &mut peer);
            let offloads = Offloads {
                tx: Offload::Kernel,
                rx: Offload::User,
            };
            for _ in 0..2 {
                let error = match server.set_offload(offloads).unwrap_err() {
                    Error::Offload { direction, refusal } => {
                        assert_eq!(direction, Direction::Tx);
                        refusal
                    }
                    error => panic!("{step:?}: {error}"),
                };
                let expected = match step {
                    Step::Padding => matches!(error, Refusal::Padding),
                    Step::Attach => matches!(error, Refusal::Ulp(_)),
                    Step::Limit => matches!(error, Refusal::MaxPayload(_)),
                    _ => matches!(error, Refusal::Keys(_)),
                };
                assert!(expected, "{step:?}: {error}");
                assert_not_held(step, &server, Direction::Tx);
                sends(&mut server, &mut peer);
            }
        }
    }
}

/// `Auto` moves for a large file, and goes on as it was.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_file_whose_move_fails_is_sealed_once() {
    let _machine = alone();
    for suite in Suite::EACH_VERSION {
        for step in [Step::Padding, Step::Attach, Step::Limit, Step::Keys] {
            let (mut server, mut peer) = before(step, suite, Direction::Tx, Offload::Auto);
            sends(&mut server, &mut peer);
            let mut peer = send_large_file(&mut server, peer);
            assert_not_held(step, &server, Direction::Tx);
            sends(&mut server, &mut peer);
        }
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_receiving_direction_that_the_kernel_refuses_has_one_opener() {
    let machine = alone();
    for suite in Suite::EACH_VERSION {
        for step in [Step::ReceiveBuffer, Step::Attach, Step::Keys] {
            let most = matches!(step, Step::ReceiveBuffer)
                .then(|| machine.set("net/core/rmem_max", "4096"));
            let (mut server, mut peer) = before(step, suite, Direction::Rx, Offload::User);
            let offloads = Offloads {
                tx: Offload::User,
                rx: Offload::Kernel,
            };
            for _ in 0..2 {
                receives(&mut server, &mut peer);
                let error = server.set_offload(offloads).unwrap_err();
                assert!(
                    matches!(
                        error,
                        Error::Offload {
                            direction: Direction::Rx,
                            ..
                        }
                    ),
                    "{error}"
                );
                assert_not_held(step, &server, Direction::Rx);
            }
            receives(&mut server, &mut peer);
            drop(most);
        }
    }
}
