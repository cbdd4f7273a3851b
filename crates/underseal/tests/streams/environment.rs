//! What an environment variable does to a program. A child process has it: this test binary once more.

use std::process::Command;

use underseal::{Engine, Engines, OFFLOAD_VARIABLE, Offload, Offloads};
use underseal_testkit::Suite;

use crate::pairs::with_tokio_rustls;

/// Tells a child that it is one.
const CHILD: &str = "UNDERSEAL_TEST_CHILD";

/// Whether this is the child; if not, one runs `test` with `value` as what the environment asks for.
fn is_child(test: &str, value: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]);
    let child = command.env(CHILD, "").env(OFFLOAD_VARIABLE, value).output();
    let child = child.unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// The kernel would refuse a stream in memory.
#[tokio::test]
async fn a_program_that_does_not_ask_is_not_changed() {
    let test = "environment::a_program_that_does_not_ask_is_not_changed";
    if is_child(test, "kernel") {
        let (mut server, _client) = with_tokio_rustls(Suite::Tls13Aes128, 1 << 16).await;
        server.set_offload(Offload::Auto).unwrap();
        let (tx, rx) = (Engine::User, Engine::User);
        assert_eq!(server.engines(), Engines { tx, rx });
    }
}

#[test]
fn a_program_that_asks_is_told() {
    let test = "environment::a_program_that_asks_is_told";
    if is_child(test, "tx=kernel,rx=user") {
        let (tx, rx) = (Offload::Kernel, Offload::User);
        let asked = Offloads::from_environment();
        assert_eq!(asked, Some(Offloads { tx, rx }));
    }
}

#[test]
fn what_makes_no_sense_is_nothing() {
    if is_child("environment::what_makes_no_sense_is_nothing", "nic") {
        assert_eq!(Offloads::from_environment(), None);
    }
}
