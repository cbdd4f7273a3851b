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
    /// Most numbers are watched by one instance, for which no memory is taken or freed: close(2) is for signal
    /// handlers too.
    first: Option<Watch>,
    others: Vec<Watch>,
    /// There are more than there is memory for.
    has_more: bool,
}

impl Watches {
    fn all(&self) -> impl Iterator<Item = &Watch> {
        self.first.iter().chain(&self.others)
    }

    /// Notes what a successful epoll_ctl(2) did.
    pub(crate) fn note(&mut self, epoll: c_int, operation: c_int, event: (u32, u64)) {
        let (events, data) = event;
        let watch = Watch {
            epoll,
            events,
            data,
        };
        let mut all = self.first.iter_mut().chain(&mut self.others);
        let known = all.find(|watch| watch.epoll == epoll);
        match (operation, known) {
            (libc::EPOLL_CTL_DEL, Some(_)) => self.remove(epoll),
            (libc::EPOLL_CTL_DEL, None) => {}
            (_, Some(known)) => *known = watch,
            (_, None) => self.add(watch),
        }
    }

    fn add(&mut self, watch: Watch) {
        if self.first.is_none() {
            self.first = Some(watch);
        } else if self.others.try_reserve_exact(1).is_ok() {
            self.others.push(watch);
        } else {
            self.has_more = true;
        }
    }

    fn remove(&mut self, epoll: c_int) {
        match self.first {
            Some(first) if first.epoll == epoll => self.first = self.others.pop(),
            _ => self.others.retain(|watch| watch.epoll != epoll),
        }
    }

    /// Forgets all, and frees nothing.
    pub(crate) fn forget(&mut self) {
        self.first = None;
        self.others.clear();
        self.has_more = false;
    }

    /// Whether nobody watches it.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty() && !self.has_more
    }

    /// Has nobody watch `fd` any more, whose program has closed it and which stays open.
    pub(crate) fn end(&self, fd: c_int) {
        self.all().for_each(|watch| watch.delete(fd));
    }

    /// Watches `to` where `from` was watched. Edges that were not fetched yet come again.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for what cannot be carried over; what epoll_ctl(2) said otherwise. All is as before
    /// then.
    pub(crate) fn carry_over(&self, from: c_int, to: c_int) -> Result<(), Errno> {
        const ONCE: u32 = (libc::EPOLLONESHOT | libc::EPOLLEXCLUSIVE) as u32;
        // Whether one that fires once has done so cannot be known, and others cannot be changed.
        if self.has_more || self.all().any(|watch| watch.events & ONCE != 0) {
            return Err(Errno::OPNOTSUPP);
        }
        for (index, watch) in self.all().enumerate() {
            if let Err(error) = watch.add(to) {
                self.all().take(index).for_each(|watch| watch.delete(to));
                return Err(error);
            }
        }
        for watch in self.all() {
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
