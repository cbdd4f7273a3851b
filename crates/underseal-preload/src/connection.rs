//! A socket with TLS_TX: where its TCP socket is, and what seals for it.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use rustix::io::Errno;
use underseal_ulp::{Transmit, Wire};

use crate::{process, sys, table};

/// A number that the program does not know, closed on drop.
pub(crate) struct Private(c_int);

impl Private {
    /// Another number for the file of `fd`.
    ///
    /// # Errors
    ///
    /// `EMFILE`, also where the table has no place for the number.
    pub(crate) fn of(fd: c_int) -> Result<Self, Errno> {
        let number = process::private_number(fd)?;
        if !table::hide(number) {
            let _ = sys::close(number);
            return Err(Errno::MFILE);
        }
        Ok(Self(number))
    }

    pub(crate) fn number(&self) -> c_int {
        self.0
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if table::reveal(self.0) {
            let _ = sys::close(self.0);
        }
    }
}

/// What is behind one number of the program's.
pub(crate) struct Socket {
    private: Private,
    transmit: Arc<Mutex<Option<Transmit>>>,
    /// Of the inert socket at the program's number.
    pub(crate) inert: (u64, u64),
    /// For those that must not keep it open.
    pub(crate) weak: Weak<Self>,
}

impl Socket {
    pub(crate) fn new(private: Private, transmit: Transmit, inert: (u64, u64)) -> Arc<Self> {
        let transmit = Arc::new(Mutex::new(Some(transmit)));
        Self::of(private, transmit, inert)
    }

    fn of(
        private: Private,
        transmit: Arc<Mutex<Option<Transmit>>>,
        inert: (u64, u64),
    ) -> Arc<Self> {
        Arc::new_cyclic(|weak| Self {
            private,
            transmit,
            inert,
            weak: Weak::clone(weak),
        })
    }

    /// The same connection behind another number, as after dup.
    ///
    /// # Errors
    ///
    /// `EMFILE`.
    pub(crate) fn duplicate(&self) -> Result<Arc<Self>, Errno> {
        let private = Private::of(self.private.number())?;
        let transmit = Arc::clone(&self.transmit);
        Ok(Self::of(private, transmit, self.inert))
    }

    /// The number of the TCP socket.
    pub(crate) fn tcp(&self) -> c_int {
        self.private.number()
    }

    /// Sends with whoever seals, alone: as the kernel, a second sender waits.
    ///
    /// # Errors
    ///
    /// What `send` says; `EIO` if an earlier call failed inside of this library, and nobody knows where.
    pub(crate) fn send<T>(
        &self,
        flags: c_int,
        send: impl FnOnce(&mut Transmit, &mut TcpWire) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut transmit = self.transmit.lock().map_err(|_| Errno::IO)?;
        self.send_with(&mut transmit, flags, send)
    }

    /// Sends what waits, as far as the socket takes it, and if nobody else is sending.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if not all was taken; what the socket said.
    pub(crate) fn try_flush(&self) -> Result<(), Errno> {
        let mut transmit = self.transmit.try_lock().map_err(|_| Errno::AGAIN)?;
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let flush = |transmit: &mut Transmit, wire: &mut TcpWire| transmit.flush(wire);
        self.send_with(&mut transmit, flags, flush)
    }

    /// Whether the connection has no other number.
    pub(crate) fn is_last(&self) -> bool {
        Arc::strong_count(&self.transmit) == 1
    }

    /// Whether something waits that the program was told is sent.
    pub(crate) fn is_owing(&self) -> bool {
        let transmit = self.transmit.try_lock();
        transmit.is_ok_and(|transmit| transmit.as_ref().is_some_and(Transmit::is_owing))
    }

    fn send_with<T>(
        &self,
        transmit: &mut MutexGuard<'_, Option<Transmit>>,
        flags: c_int,
        send: impl FnOnce(&mut Transmit, &mut TcpWire) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let transmit = transmit.as_mut().ok_or(Errno::BADFD)?;
        let mut wire = TcpWire {
            fd: self.tcp(),
            flags,
        };
        send(transmit, &mut wire)
    }

    /// Drops what seals, in a process that does not own it: keys and numbers are overwritten. Not if
    /// a thread that is not here was in it.
    pub(crate) fn wipe(&self) {
        if let Ok(mut transmit) = self.transmit.try_lock() {
            *transmit = None;
        }
    }
}

/// The TCP socket, with the flags of one call.
pub(crate) struct TcpWire {
    fd: c_int,
    flags: c_int,
}

impl Wire for TcpWire {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        sys::send(self.fd, bytes, self.flags)
    }
}
