//! A kernel that lacks TLS: the kernel `no-tls`.

use underseal::{Errno, Error, Offload, Refusal};
use underseal_testkit::Suite;

use crate::connect::{USER, accept_over, assert_alive, send_large_file, sockets};
use crate::machine::alone;

#[test]
#[ignore = "needs a kernel without TLS: cargo xtask vm"]
fn auto_goes_on_in_user_space() {
    let _machine = alone();
    for suite in Suite::ALL {
        let (mut server, peer) = accept_over(sockets(), suite, Offload::Auto).unwrap();
        let mut peer = send_large_file(&mut server, peer);
        assert_eq!(server.engines(), USER, "{suite:?}");
        assert_alive(&mut server, &mut peer);
    }
}

#[test]
#[ignore = "needs a kernel without TLS: cargo xtask vm"]
fn asking_for_the_kernel_fails_and_says_why() {
    let _machine = alone();
    for suite in Suite::ALL {
        let error = accept_over(sockets(), suite, Offload::Kernel).unwrap_err();
        match Error::of(&error) {
            Some(Error::Offload { refusal, .. }) => {
                assert_eq!(refusal, Refusal::Ulp(Errno::NOENT), "{suite:?}");
            }
            other => panic!("{suite:?}: {other:?}"),
        }
    }
}
