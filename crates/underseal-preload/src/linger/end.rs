//! The end of a connection whose program has set `SO_LINGER`. As in `tcp_close` of `net/ipv4/tcp.c` its last close waits
//! until the peer has all of it, for so long and no longer, or until a signal comes, whether the socket is to wait
//! elsewhere or not. Nobody waits for what is left then.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use underseal_ulp::is_passing;

use crate::connection::Socket;
use crate::signals::Held;

use super::TICK;

/// Where a call of the program's is seen this often, one look after the other and always the same, it is in one: the
/// program may be about to leave it, and this library about to let go of it, by a thread that has to wait for a CPU.
const LOOKS: usize = 50;

/// How long this library is waited for, which has a connection for a look only, where the program waits for less.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a socket is left alone at most that says it takes bytes, and takes none: of memory for TCP there may be too
/// little, and who has a notification left to read (`MSG_ERRQUEUE`) is told that something failed.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// Ends it as its program has asked for. Says no where something is left to send, or the program has not asked.
pub(super) fn as_asked(socket: &Arc<Socket>) -> bool {
    let Some(time) = socket.linger().filter(|_| socket.is_last()) else {
        return false;
    };
    let now = Instant::now();
    let until = now + time;
    let signals = Held::all();
    if !is_let_go(socket, until.max(now + PATIENCE), &signals) {
        return false;
    }
    if time.is_zero() {
        // It is reset, with whatever waits.
        return true;
    }
    let is_sent = send_until(socket, until, &signals);
    if is_sent {
        // The kernel waits for the rest when the TCP socket is closed.
        let left = until.saturating_duration_since(Instant::now());
        let is_over = signals.pause(Duration::ZERO).is_err();
        socket.set_linger(if is_over { Duration::ZERO } else { left });
    }
    is_sent
}

/// Whether nobody else has the connection. The kernel has no close wait under another call on its socket; what this
/// library has is let go within a moment, and waited for.
fn is_let_go(socket: &Arc<Socket>, until: Instant, signals: &Held) -> bool {
    let (mut seen, mut before) = (0, (0, 0));
    while Arc::strong_count(socket) > 1 {
        super::take_out(socket);
        let kept = socket.kept.load(Ordering::SeqCst);
        let all = Arc::strong_count(socket);
        let is_same = all > 1 + kept && before == (all, kept);
        seen = if is_same { seen + 1 } else { 0 };
        before = (all, kept);
        let is_over = seen == LOOKS || Instant::now() >= until;
        if is_over || signals.pause(TICK).is_err() {
            return false;
        }
    }
    true
}

/// Sends what waits. Says no where some is left at the end of the time, or when a signal comes.
fn send_until(socket: &Socket, until: Instant, signals: &Held) -> bool {
    let mut before = usize::MAX;
    let mut pause = Duration::ZERO;
    loop {
        let sent = socket.try_end_record();
        let owed = socket.owed().unwrap_or(before);
        if owed == 0 || sent.is_err_and(|error| !is_passing(error)) {
            return true;
        }
        pause = match owed < before {
            true => Duration::ZERO,
            false => (2 * pause).clamp(TICK, LONGEST_PAUSE),
        };
        before = owed;
        let left = until.saturating_duration_since(Instant::now());
        let has_paused = signals.pause(pause.min(left));
        let waited = has_paused.and_then(|()| signals.wait_for_room(socket.tcp(), left));
        if left.is_zero() || waited.is_err() {
            return false;
        }
    }
}
