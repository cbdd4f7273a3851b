//! Which epoll instances watch a number, so that the TCP socket stays watched when it moves.

use std::ffi::c_int;

use rustix::io::Errno;

use crate::sys;

/// One epoll instance.
#[derive(Clone, Copy, Default)]
struct Watch {
    epoll: c_int,
    events: u32,
    data: u64,
}

/// The epoll instances that watch one number.
#[derive(Clone, Default)]
pub(crate) struct Watches {
    watches: Vec<Watch>,
    /// There are more than there is memory for.
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
        let known = self.watches.iter().position(|watch| watch.epoll == epoll);
        match (operation, known) {
            (libc::EPOLL_CTL_DEL, Some(index)) => drop(self.watches.swap_remove(index)),
            (libc::EPOLL_CTL_DEL, None) => {}
            (_, Some(index)) => self.watches[index] = watch,
            // Most numbers are watched by one instance.
            (_, None) => match self.watches.try_reserve_exact(1) {
                Ok(()) => self.watches.push(watch),
                Err(_) => self.has_more = true,
            },
        }
    }

    /// Whether nobody watches it.
    pub(crate) fn is_empty(&self) -> bool {
        self.watches.is_empty() && !self.has_more
    }

    /// Has nobody watch `fd` any more, whose program has closed it and which stays open.
    pub(crate) fn end(&self, fd: c_int) {
        self.watches.iter().for_each(|watch| watch.delete(fd));
    }

    /// Watches `to` where `from` was watched. Edges that were not fetched yet come again.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for what cannot be carried over; what epoll_ctl(2) said otherwise. All is as before
    /// then.
    pub(crate) fn carry_over(&self, from: c_int, to: c_int) -> Result<(), Errno> {
        const ONCE: u32 = (libc::EPOLLONESHOT | libc::EPOLLEXCLUSIVE) as u32;
        let watches = &self.watches;
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
