//! The end of a connection whose program has set `SO_LINGER`. As in `tcp_close` of `net/ipv4/tcp.c` its last close waits
//! until the peer has all of it, for so long and no longer, or until a signal comes, whether the socket is to wait
//! elsewhere or not. Nobody waits for what is left then.

use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use underseal_ulp::is_passing;

use crate::connection::Socket;
use crate::sys;

/// How often the thread of this library is waited for, which has a connection for a moment only.
const LOOKS: usize = 5;

/// Ends it as its program has asked for. Says no where something is left to send, or the program has not asked.
pub(super) fn as_asked(socket: &Arc<Socket>) -> bool {
    let Some(time) = socket.linger().filter(|_| socket.is_last()) else {
        return false;
    };
    super::take_out(socket);
    if !is_let_go(socket) {
        return false;
    }
    if time.is_zero() {
        // It is reset, with whatever waits.
        return true;
    }
    let until = Instant::now() + time;
    let is_sent = send_until(socket, until);
    if is_sent {
        // The kernel waits for the rest when the TCP socket is closed.
        socket.set_linger(until.saturating_duration_since(Instant::now()));
    }
    is_sent
}

/// Whether nobody else has the connection. The kernel has no close wait under another call on its socket.
fn is_let_go(socket: &Arc<Socket>) -> bool {
    (0..LOOKS).any(|_| {
        let is_only = Arc::strong_count(socket) == 1;
        if !is_only {
            super::tick();
        }
        is_only
    })
}

/// Sends what waits. Says no where some is left at the end of the time, or when a signal comes.
fn send_until(socket: &Socket, until: Instant) -> bool {
    loop {
        let sent = socket.try_end_record();
        if socket.owed() == Some(0) || sent.is_err_and(|error| !is_passing(error)) {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        match sent {
            Err(Errno::AGAIN) => {
                if sys::wait_for_room(socket.tcp(), left) == Err(Errno::INTR) {
                    return false;
                }
            }
            // There is no memory, for a moment.
            _ => super::tick(),
        }
    }
}
