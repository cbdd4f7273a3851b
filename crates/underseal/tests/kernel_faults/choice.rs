//! Which engine gets a direction, and when.

use std::io::{Seek as _, Write as _};
use std::thread;

use underseal::record::{Algorithm, ProtocolVersion};
use underseal::{
    Direction, Engine, Error, KeyUpdateRequest, Offload, Parts, Refusal, ServerConnection,
};
use underseal_testkit::Suite;
use underseal_testkit::record_peer::{APPLICATION_DATA, HANDSHAKE, key_update};

use crate::connect::{
    Server, USER, accept_over, assert_alive, in_kernel, pattern, send_large_file, sockets,
};
use crate::machine::alone;

/// A file of which `Auto` thinks that it is worth the kernel.
const LARGE: usize = 256 * 1024;

fn file(len: usize) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&pattern(len)).unwrap();
    file.rewind().unwrap();
    file
}

/// What `Auto` gives a connection that sends a large file here. Kernels take all the suites.
fn expected(suite: Suite) -> Engine {
    let version = match suite.is_tls13() {
        true => ProtocolVersion::Tls13,
        false => ProtocolVersion::Tls12,
    };
    let tried = Offload::Auto.engine(Direction::Tx, version, Algorithm::Aes128Gcm);
    tried.unwrap_or(Engine::User)
}

/// What a stream was asked for is not forgotten on its way, be it to another process.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn auto_moves_after_a_stream_was_taken_apart() {
    let _machine = alone();
    for suite in Suite::EACH_VERSION {
        let (server, peer) = accept_over(sockets(), suite, Offload::Auto).unwrap();
        let (io, bytes) = server.into_parts().unwrap().into_bytes();
        let parts = Parts::<_, ServerConnection>::from_bytes(io, &bytes).unwrap();
        let mut server = Server::from_parts(parts).unwrap();
        assert_eq!(server.engines(), USER);
        let mut peer = send_large_file(&mut server, peer);
        assert_eq!(server.engines().tx, expected(suite));
        assert_alive(&mut server, &mut peer);
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn auto_moves_at_the_first_large_file() {
    let _machine = alone();
    for suite in Suite::ALL {
        let (mut server, mut peer) = accept_over(sockets(), suite, Offload::Auto).unwrap();
        assert_alive(&mut server, &mut peer);
        let small = file(LARGE - 1);
        let large = file(LARGE);
        let reader = thread::spawn(move || {
            let mut data = Vec::new();
            while data.len() < LARGE - 1 + LARGE {
                let (content_type, payload) = peer.receive().unwrap();
                assert_eq!(content_type, APPLICATION_DATA);
                data.extend(payload);
            }
            (data, peer)
        });
        server.send_file(&small, 0..LARGE as u64 - 1).unwrap();
        assert_eq!(server.engines(), USER, "{suite:?}: not for a small one");
        server.send_file(&large, 0..LARGE as u64).unwrap();
        assert_eq!(server.engines().tx, expected(suite), "{suite:?}");
        assert_eq!(server.engines().rx, Engine::User, "{suite:?}");
        let (data, mut peer) = reader.join().unwrap();
        let sent = [pattern(LARGE - 1), pattern(LARGE)].concat();
        assert!(data == sent, "{suite:?}");
        assert_alive(&mut server, &mut peer);
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn auto_moves_at_the_first_splice() {
    let _machine = alone();
    for suite in Suite::ALL {
        let (mut server, mut peer) = accept_over(sockets(), suite, Offload::Auto).unwrap();
        assert_alive(&mut server, &mut peer);
        let will_move = expected(suite) == Engine::Kernel;
        assert_eq!(server.splices(Direction::Tx), will_move, "{suite:?}");
        assert!(
            !server.splices(Direction::Rx),
            "{suite:?}: nothing moves that"
        );
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, b"spliced").unwrap();
        assert_eq!(server.splice_from(&reader, 7).unwrap(), 7, "{suite:?}");
        server.flush().unwrap();
        assert_eq!(server.engines().tx, expected(suite), "{suite:?}");
        assert_eq!(server.splices(Direction::Tx), will_move, "{suite:?}");
        let received = peer.receive();
        assert_eq!(received, Some((APPLICATION_DATA, b"spliced".to_vec())));
        assert_alive(&mut server, &mut peer);
    }
}

/// A key update of the peer must not end a connection that nobody asked to put into the kernel.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn auto_stays_where_keys_cannot_be_replaced() {
    let _machine = alone();
    assert_eq!(expected(Suite::Tls12Aes128), Engine::Kernel);
    match underseal_sys::probe::KernelTls::get().rekey.errno() {
        None => assert_eq!(expected(Suite::Tls13Aes128), Engine::Kernel),
        Some(_) => assert_eq!(expected(Suite::Tls13Aes128), Engine::User),
    }
}

/// As after a fork: two streams with the same secrets over one socket.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_second_process_cannot_repeat_a_key_update() {
    let _machine = alone();
    if let Some(errno) = underseal_sys::probe::KernelTls::get().rekey.errno() {
        // What such a kernel does with any key update is in the parity suite.
        assert_eq!(errno, underseal_sys::Errno::BUSY);
        return;
    }
    let (server, mut peer) = in_kernel(Suite::Tls13Aes128);
    let (io, bytes) = server.into_parts().unwrap().into_bytes();
    let again = |io| -> Server {
        let parts = Parts::<_, ServerConnection>::from_bytes(io, &bytes).unwrap();
        Server::from_parts(parts).unwrap()
    };
    let mut one = again(io.try_clone().unwrap());
    let mut other = again(io);
    one.key_update(KeyUpdateRequest::NotRequested).unwrap();
    let error = other
        .key_update(KeyUpdateRequest::NotRequested)
        .unwrap_err();
    let refused = matches!(
        Error::of(&error),
        Some(Error::Offload {
            direction: Direction::Tx,
            refusal: Refusal::Shared
        })
    );
    assert!(refused, "{error}");
    one.write_all(b"under the next key").unwrap();
    assert_eq!(peer.receive(), Some((HANDSHAKE, key_update(0).to_vec())));
    peer.update_rx();
    let received = peer.receive();
    assert_eq!(
        received,
        Some((APPLICATION_DATA, b"under the next key".to_vec()))
    );
}
