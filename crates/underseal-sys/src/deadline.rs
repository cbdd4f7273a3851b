//! A time limit for tasks of a runtime that may have no timers.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What a clock takes, and nobody waits for: 136 years.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// Resolves when a time is over. It is a descriptor (timerfd_create(2)): a runtime whose sockets are
/// waited for has what waits for descriptors, whether it has timers or not.
#[derive(Debug)]
pub struct Deadline(AsyncFd<OwnedFd>);

impl Deadline {
    /// A deadline `time` from now, or 136 years if that is less.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`, `ENOMEM`: out of descriptors or memory.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and in one without I/O.
    pub fn after(time: Duration) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Zero would be no timer at all.
        let time = time.clamp(Duration::from_nanos(1), LONGEST);
        let value = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(time).map_err(io::Error::other)?,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &value)?;
        // SAFETY: an `OwnedFd` is open as long as it lives, and always the same descriptor; the
        // `AsyncFd` owns it, and gives out nothing that could close or replace it.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self(timer))
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_read_ready(cx).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_deadline_passes_in_a_runtime_without_timers() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        runtime.block_on(async {
            let started = Instant::now();
            Deadline::after(Duration::from_millis(20)).unwrap().await;
            assert!(started.elapsed() >= Duration::from_millis(20));
            Deadline::after(Duration::ZERO).unwrap().await;
        });
    }
}
