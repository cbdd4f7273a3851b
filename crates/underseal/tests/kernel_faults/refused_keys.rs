//! A kernel that refuses the next key once a KeyUpdate has passed: nothing can follow, neither under
//! that key nor under the one before.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::thread;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use underseal::record::Limits;
use underseal::{Direction, Error, KeyUpdateRequest, Refusal};
use underseal_testkit::Suite;
use underseal_testkit::record_peer::{APPLICATION_DATA, HANDSHAKE, key_update};

use crate::connect::{Server, in_kernel, pattern};
use crate::machine::alone;

/// Has the kernel refuse this thread keys of `direction` from now on, and nothing else.
fn refuse_keys(direction: Direction) {
    let option = match direction {
        Direction::Tx => libc::TLS_TX,
        Direction::Rx => libc::TLS_RX,
    };
    let is = |argument, value: i32| {
        let (len, equal) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        SeccompCondition::new(argument, len, equal, value as u64).unwrap()
    };
    let rule = SeccompRule::new(vec![is(1, libc::SOL_TLS), is(2, option)]).unwrap();
    let filter = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_setsockopt, vec![rule])]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOMEM as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// Whether this kernel replaces keys. What one does that does not is in the parity suite.
fn replaces_keys() -> bool {
    match underseal_sys::probe::KernelTls::get().rekey.errno() {
        None => true,
        Some(errno) => {
            assert_eq!(errno, underseal_sys::Errno::BUSY);
            false
        }
    }
}

fn assert_refused(error: &io::Error, refused: Direction) {
    let found = Error::of(error);
    let is_refusal = matches!(
        found,
        Some(Error::Offload { direction, refusal: Refusal::Rekey(errno) })
            if direction == refused && errno.raw_os_error() == libc::ENOMEM
    );
    assert!(is_refusal, "{error}");
}

fn ask(server: &mut Server) -> io::Result<()> {
    server.key_update(KeyUpdateRequest::NotRequested)
}

fn reach_the_limit(server: &mut Server) -> io::Result<()> {
    server.lower_limits(Limits { soft: 1, hard: 9 });
    server.write_all(b"behind it")
}

/// Every way to send, and to go on elsewhere.
fn assert_closed(mut server: Server) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&pattern(100)).unwrap();
    for _ in 0..2 {
        let failed = [
            server.write(b"unsealed").map(drop),
            server.send_file(&file, 0..100).map(drop),
            server.key_update(KeyUpdateRequest::NotRequested),
            server.shutdown(),
        ];
        for result in failed {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
        server.flush().unwrap();
    }
    assert!(server.into_parts().is_err());
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_sender_whose_next_key_is_refused_is_closed_for_good() {
    let _machine = alone();
    if !replaces_keys() {
        return;
    }
    for update in [ask, reach_the_limit] {
        let (mut server, mut peer) = in_kernel(Suite::Tls13Aes128);
        server.write_all(b"before").unwrap();
        let sender = thread::spawn(move || {
            refuse_keys(Direction::Tx);
            let error = update(&mut server).unwrap_err();
            assert_refused(&error, Direction::Tx);
            assert_closed(server);
        });
        sender.join().unwrap();
        let before = Some((APPLICATION_DATA, b"before".to_vec()));
        assert_eq!(peer.receive(), before);
        assert_eq!(peer.receive(), Some((HANDSHAKE, key_update(0).to_vec())));
        peer.update_rx();
        assert_eq!(peer.receive(), None, "it ends without close_notify");
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_receiver_whose_next_key_is_refused_fails_for_good() {
    let _machine = alone();
    if !replaces_keys() {
        return;
    }
    let (mut server, mut peer) = in_kernel(Suite::Tls13Aes128);
    peer.send(APPLICATION_DATA, b"before");
    peer.send(HANDSHAKE, &key_update(0));
    peer.update_tx();
    peer.send(APPLICATION_DATA, b"under the next key");
    let receiver = thread::spawn(move || {
        refuse_keys(Direction::Rx);
        let mut received = [0; 6];
        server.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"before");
        for _ in 0..2 {
            let error = server.read(&mut received).unwrap_err();
            assert_refused(&error, Direction::Rx);
        }
        let error = server.write(b"unheard").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
    receiver.join().unwrap();
}
