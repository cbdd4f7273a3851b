//! Which epoll instances watch a number, so that the TCP socket stays watched when it moves.

use std::ffi::c_int;

use rustix::io::Errno;

use crate::sys;

/// More instances than this watch no socket of the programs that are known.
const MOST: usize = 2;

/// One epoll instance.
#[derive(Clone, Copy, Default)]
struct Watch {
    epoll: c_int,
    events: u32,
    data: u64,
}

/// The epoll instances that watch one number.
#[derive(Clone, Copy, Default)]
pub(crate) struct Watches {
    watches: [Watch; MOST],
    count: usize,
    /// There are more than there is room for.
    has_more: bool,
}

impl Watches {
    /// Notes what a successful epoll_ctl(2) did.
    pub(crate) fn note(&mut self, epoll: c_int, operation: c_int, event: (u32, u64)) {
        let (events, data) = event;
        let watch = Watch {
            epoll,
            events,
            data,
        };
        let used = &mut self.watches[..self.count];
        let known = used.iter().position(|watch| watch.epoll == epoll);
        match (operation, known) {
            (libc::EPOLL_CTL_DEL, Some(index)) => {
                self.watches[index] = self.watches[self.count - 1];
                self.count -= 1;
            }
            (libc::EPOLL_CTL_DEL, None) => {}
            (_, Some(index)) => self.watches[index] = watch,
            (_, None) if self.count < MOST => {
                self.watches[self.count] = watch;
                self.count += 1;
            }
            (_, None) => self.has_more = true,
        }
    }

    /// Whether nobody watches it.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 && !self.has_more
    }

    /// Watches `to` where `from` was watched. Edges that were not fetched yet come again.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for what cannot be carried over; what epoll_ctl(2) said otherwise. All is as before
    /// then.
    pub(crate) fn carry_over(&self, from: c_int, to: c_int) -> Result<(), Errno> {
        const ONCE: u32 = (libc::EPOLLONESHOT | libc::EPOLLEXCLUSIVE) as u32;
        let watches = &self.watches[..self.count];
        // Whether one that fires once has done so cannot be known, and others cannot be changed.
        if self.has_more || watches.iter().any(|watch| watch.events & ONCE != 0) {
            return Err(Errno::OPNOTSUPP);
        }
        for (index, watch) in watches.iter().enumerate() {
            if let Err(error) = watch.add(to) {
                watches[..index].iter().for_each(|watch| watch.delete(to));
                return Err(error);
            }
        }
        for watch in watches {
            let gone = sys::epoll_ctl(watch.epoll, libc::EPOLL_CTL_DEL, from, None);
            if gone.is_err() {
                // It was watched no more, in a way that this library has not seen.
                watch.delete(to);
            }
        }
        Ok(())
    }
}

impl Watch {
    fn add(&self, fd: c_int) -> Result<(), Errno> {
        let mut event = libc::epoll_event {
            events: self.events,
            u64: self.data,
        };
        match sys::epoll_ctl(self.epoll, libc::EPOLL_CTL_ADD, fd, Some(&mut event)) {
            // The instance was closed, and its number may be another file's.
            Err(Errno::BADF | Errno::INVAL | Errno::PERM) => Ok(()),
            added => added,
        }
    }

    fn delete(&self, fd: c_int) {
        let _ = sys::epoll_ctl(self.epoll, libc::EPOLL_CTL_DEL, fd, None);
    }
}
