//! The module `tls` comes and goes while this process lives.

use underseal::{Direction, Engine, Engines, Errno, Error, Offload, Refusal};
use underseal_sys::probe::KernelTls;
use underseal_testkit::Suite;

use crate::connect::{
    KERNEL, SUITE, USER, accept_over, assert_alive, in_kernel, send_large_file, sockets,
};
use crate::machine::alone;

/// What keeps root's processes from having a module loaded: another program in modprobe's place.
const NO_MODPROBE: &str = "/bin/false";

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_live_connection_keeps_its_module() {
    let machine = alone();
    for suite in Suite::EACH_VERSION {
        let (mut server, mut peer) = in_kernel(suite);
        assert!(!machine.try_unload_tls());
        assert_alive(&mut server, &mut peer);
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_module_that_was_unloaded_is_loaded_by_the_next_connection() {
    let machine = alone();
    assert!(KernelTls::get().ulp.is_yes());
    machine.unload_tls();
    let (mut server, mut peer) = in_kernel(SUITE);
    assert!(machine.has_tls());
    assert_alive(&mut server, &mut peer);
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_module_that_is_gone_for_good_leaves_the_user_engine() {
    let machine = alone();
    assert!(KernelTls::get().ulp.is_yes(), "this process remembers that");
    let no_modprobe = machine.set("kernel/modprobe", NO_MODPROBE);
    machine.unload_tls();
    let (mut server, peer) = accept_over(sockets(), SUITE, Offload::Auto).unwrap();
    assert!(server.splices(Direction::Tx), "it was not tried");
    let mut peer = send_large_file(&mut server, peer);
    assert_eq!(server.engines(), USER);
    assert!(!server.splices(Direction::Tx), "it was refused");
    assert_alive(&mut server, &mut peer);
    let error = accept_over(sockets(), SUITE, Offload::Kernel).unwrap_err();
    let refusal = match Error::of(&error) {
        Some(Error::Offload { refusal, .. }) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal, Refusal::Ulp(Errno::NOENT));
    drop(no_modprobe);

    // A live stream does not move by itself, and may be told to.
    assert_alive(&mut server, &mut peer);
    server.set_offload(Offload::Kernel).unwrap();
    assert_alive(&mut server, &mut peer);
    assert_eq!(server.engines(), KERNEL);
    let (mut server, peer) = accept_over(sockets(), SUITE, Offload::Auto).unwrap();
    send_large_file(&mut server, peer);
    let auto = Engines {
        tx: Engine::Kernel,
        rx: Engine::User,
    };
    assert_eq!(server.engines(), auto);
}
