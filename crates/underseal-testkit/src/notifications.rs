use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::Command;

use crate::require_program;

/// Has the kernel tell of every send that was acknowledged. No crate that tests use
/// sets this option without `unsafe`.
const SCRIPT: &str = "
import socket
s = socket.socket(fileno=0)
SO_TIMESTAMPING, TX_ACK, SOFTWARE, OPT_TSONLY = 37, 1 << 9, 1 << 4, 1 << 11
s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_ACK | SOFTWARE | OPT_TSONLY)
s.detach()
";

/// Leaves a notification for the owner of a socket (`MSG_ERRQUEUE`) whenever the peer has what it sends
/// from now on. poll(2) returns at once as long as nobody takes it.
///
/// # Panics
/// When there is no python3, or the kernel does not do so.
pub fn notify_of_deliveries(socket: &TcpStream) {
    let socket = socket.try_clone().expect("a socket of one's own");
    let status = Command::new(require_program("python3"))
        .args(["-c", SCRIPT])
        .stdin(OwnedFd::from(socket))
        .status();
    assert!(status.expect("python3 runs").success());
}
