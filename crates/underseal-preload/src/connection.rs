//! A socket with TLS_TX or TLS_RX: where its TCP socket is, and what seals and opens for it.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use rustix::io::Errno;
use underseal_record::{Algorithm, ProtocolVersion, SeqNo, TrafficKeys};
use underseal_ulp::{CryptoInfo, Receive, Transmit, cipher, wire_version};

use crate::listing::Registration;
use crate::{process, sys, table};

mod half;
mod tcp;

use half::{Busy, Guard, Half, Locked};
pub(crate) use tcp::{TcpSource, TcpWire};

/// A number that the program does not know, closed on drop if it still is what it was.
pub(crate) struct Private {
    number: c_int,
    identity: (u64, u64),
    /// Whether it is another's: a raw system call has closed it.
    is_lost: Arc<AtomicBool>,
}

impl Private {
    /// Another number for the file of `fd`.
    ///
    /// # Errors
    ///
    /// `EMFILE`, also where the table has no place for the number.
    pub(crate) fn of(fd: c_int) -> Result<Self, Errno> {
        Self::of_file(fd, sys::identity(fd)?)
    }

    /// The same, for who knows which file it is.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub(crate) fn of_file(fd: c_int, identity: (u64, u64)) -> Result<Self, Errno> {
        let number = process::private_number(fd)?;
        let is_lost = Arc::default();
        if !table::hide(number, &is_lost) {
            let _ = sys::close(number);
            return Err(Errno::MFILE);
        }
        Ok(Self {
            number,
            identity,
            is_lost,
        })
    }

    /// The number; none at all where it is another's.
    pub(crate) fn number(&self) -> c_int {
        match self.is_lost.load(Ordering::Acquire) {
            false => self.number,
            true => -1,
        }
    }

    /// Whether it still is its file's.
    pub(crate) fn is_intact(&self) -> bool {
        sys::identity(self.number()) == Ok(self.identity)
    }

    /// Of the file.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let is_intact = self.is_intact();
        if table::reveal(self.number, &self.is_lost) && is_intact {
            let _ = sys::close(self.number);
        }
    }
}

/// What all numbers of a connection have in common.
pub(crate) struct Shared {
    /// Of the TCP socket.
    identity: (u64, u64),
    transmit: Locked<Transmit>,
    receive: Locked<Receive>,
    /// Version and cipher, since the first keys.
    suite: OnceLock<(ProtocolVersion, Algorithm)>,
    /// Whether each direction was asked for, for those who must not wait.
    seals: AtomicBool,
    opens: AtomicBool,
    /// What the program has said of its data: bits of option numbers.
    hints: AtomicU8,
    /// An error that the socket told somebody who could not pass it on, and tells once; 0 for none.
    untold: AtomicI32,
    /// Whether the program has ended the sending direction, and something still goes out before the end.
    is_shut_down: AtomicBool,
    /// Where `underseal conns` reads of it.
    registration: Option<Registration>,
}

/// The two directions of a TLS socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Tx,
    Rx,
}

/// What is behind one number of the program's.
pub(crate) struct Socket {
    private: Private,
    shared: Arc<Shared>,
    /// Of the inert socket at the program's number.
    pub(crate) inert: (u64, u64),
    /// For those that must not keep it open.
    pub(crate) weak: Weak<Self>,
    /// Whether somebody looks at the record that is open, if one is.
    pub(crate) is_watched: AtomicBool,
    /// How many of its references are this library's own, and no call's.
    pub(crate) kept: AtomicUsize,
}

impl Socket {
    /// A connection of which no direction is TLS yet.
    pub(crate) fn new(private: Private, inert: (u64, u64)) -> Arc<Self> {
        let identity = private.identity();
        let registration = Registration::of(identity.1, private.number());
        let shared = Arc::new(Shared {
            identity,
            transmit: Locked::new(),
            receive: Locked::new(),
            suite: OnceLock::new(),
            seals: AtomicBool::new(false),
            opens: AtomicBool::new(false),
            hints: AtomicU8::new(0),
            untold: AtomicI32::new(0),
            is_shut_down: AtomicBool::new(false),
            registration,
        });
        Self::of(private, shared, inert)
    }

    fn of(private: Private, shared: Arc<Shared>, inert: (u64, u64)) -> Arc<Self> {
        table::own(private.number, Arc::as_ptr(&shared));
        Arc::new_cyclic(|weak| Self {
            private,
            shared,
            inert,
            weak: Weak::clone(weak),
            is_watched: AtomicBool::new(false),
            kept: AtomicUsize::new(0),
        })
    }

    /// The same connection behind another number, as after dup.
    ///
    /// # Errors
    ///
    /// `EMFILE`.
    pub(crate) fn duplicate(&self) -> Result<Arc<Self>, Errno> {
        let private = Private::of(self.private.number())?;
        let shared = Arc::clone(&self.shared);
        Ok(Self::of(private, shared, self.inert))
    }

    /// The number of the TCP socket.
    pub(crate) fn tcp(&self) -> c_int {
        self.private.number()
    }

    /// Takes keys for a direction: its first, or its next.
    ///
    /// # Errors
    ///
    /// As the kernel: `EINVAL` for another version or cipher than the other direction has; otherwise as for
    /// the keys behind a KeyUpdate.
    pub(crate) fn set_keys(&self, direction: Direction, keys: TrafficKeys) -> Result<(), Errno> {
        // Not the other direction's lock: somebody may wait for the peer in it.
        match direction {
            Direction::Tx => {
                let mut transmit = self.shared.transmit.lock()?;
                if !matches!(*transmit, Half::Plain) {
                    return transmit.change(|transmit| transmit.tls()?.replace_keys(keys));
                }
                self.check_suite(&keys)?;
                let tls = Transmit::new(keys);
                transmit.change(|transmit| *transmit = Half::Tls(tls));
                self.shared.seals.store(true, Ordering::Release);
            }
            Direction::Rx => {
                let mut receive = self.shared.receive.lock()?;
                if !matches!(*receive, Half::Plain) {
                    return receive.change(|receive| receive.tls()?.replace_keys(keys));
                }
                self.check_suite(&keys)?;
                let tls = self.first_receive(keys)?;
                receive.change(|receive| *receive = Half::Tls(tls));
                self.shared.opens.store(true, Ordering::Release);
            }
        }
        self.describe();
        Ok(())
    }

    /// Lists what it is now.
    fn describe(&self) {
        if let (Some(registration), Some((version, algorithm))) =
            (self.registration(), self.shared.suite.get())
        {
            let directions = (self.seals(), self.opens());
            registration.describe(wire_version(*version), cipher(*algorithm), directions);
        }
    }

    /// Where it is listed, if it is.
    pub(crate) fn registration(&self) -> Option<&Registration> {
        self.shared.registration.as_ref()
    }

    /// Whether a direction may start with these keys: the first one says what both are.
    fn check_suite(&self, keys: &TrafficKeys) -> Result<(), Errno> {
        let suite = (keys.version(), keys.algorithm());
        match *self.shared.suite.get_or_init(|| suite) == suite {
            true => Ok(()),
            false => Err(Errno::INVAL),
        }
    }

    /// The version of both directions, once there are keys.
    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        self.shared.suite.get().map(|(version, _)| *version)
    }

    /// Takes over `SO_RCVLOWAT`, which counts plaintext from here on.
    fn first_receive(&self, keys: TrafficKeys) -> Result<Receive, Errno> {
        let mut receive = Receive::new(keys);
        let low_water = sys::option::<c_int>(self.tcp(), libc::SOL_SOCKET, libc::SO_RCVLOWAT)?;
        if low_water > 1 {
            receive.set_low_water(usize::try_from(low_water).unwrap_or(1));
            sys::set_option(self.tcp(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, 1)?;
        }
        Ok(receive)
    }

    /// Whether what is sent is sealed.
    pub(crate) fn seals(&self) -> bool {
        self.shared.seals.load(Ordering::Acquire)
    }

    /// Whether what is received is opened.
    pub(crate) fn opens(&self) -> bool {
        self.shared.opens.load(Ordering::Acquire)
    }

    /// What the program has said of its data.
    pub(crate) fn hints(&self) -> u8 {
        self.shared.hints.load(Ordering::Relaxed)
    }

    /// Changes that.
    pub(crate) fn change_hints(&self, change: impl Fn(u8) -> u8) {
        let relaxed = Ordering::Relaxed;
        let hints = &self.shared.hints;
        let _ = hints.fetch_update(relaxed, relaxed, |hints| Some(change(hints)));
    }

    /// Receives with whoever opens, alone: as the kernel, a second reader waits, unless he is not to.
    ///
    /// # Errors
    ///
    /// What `receive` says; `EAGAIN` where another reader is in it; `EIO` as [`send`](Self::send).
    pub(crate) fn receive<T>(
        &self,
        flags: c_int,
        receive: impl FnOnce(&mut Receive, &mut TcpSource) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut direction = match self.shared.receive.try_lock() {
            Ok(direction) => direction,
            Err(Busy::Locked) if self.is_nonblocking(flags)? => return Err(Errno::AGAIN),
            Err(_) => self.shared.receive.lock()?,
        };
        let mut source = TcpSource::new(self.tcp(), flags);
        let outcome = receive(direction.tls()?, &mut source);
        if outcome.as_ref().err() != source.failed() {
            self.keep_untold(source.failed());
        }
        outcome
    }

    /// Whether a reader would get something now, of what the TCP socket has. Where somebody is reading it is his.
    pub(crate) fn is_readable(&self) -> bool {
        let Ok(mut direction) = self.shared.receive.try_lock() else {
            return true;
        };
        let mut source = TcpSource::new(self.tcp(), libc::MSG_DONTWAIT);
        let Ok(receive) = direction.tls() else {
            return true;
        };
        let is_readable = receive.is_readable(&mut source);
        self.keep_untold(source.failed());
        is_readable
    }

    fn is_nonblocking(&self, flags: c_int) -> Result<bool, Errno> {
        let of_the_file = sys::fcntl(self.tcp(), libc::F_GETFL, 0)?;
        Ok(flags & libc::MSG_DONTWAIT != 0 || of_the_file & libc::O_NONBLOCK as usize != 0)
    }

    /// Sends with whoever seals, alone: as the kernel, a second sender waits.
    ///
    /// # Errors
    ///
    /// What `send` says, or the socket told somebody else; `EPIPE` behind the end of the direction; `EIO` if an
    /// earlier call failed inside of this library, and nobody knows where.
    pub(crate) fn send<T>(
        &self,
        flags: c_int,
        send: impl FnOnce(&mut Transmit, &mut TcpWire) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut transmit = self.shared.transmit.lock()?;
        if let Some(error) = self.take_untold() {
            return Err(error);
        }
        if self.is_shut_down() {
            if flags & libc::MSG_NOSIGNAL == 0 {
                sys::raise(libc::SIGPIPE);
            }
            return Err(Errno::PIPE);
        }
        let (outcome, failed) = self.send_with(&mut transmit, flags, send);
        if outcome.as_ref().err() != failed.as_ref() {
            self.keep_untold(failed.as_ref());
        }
        outcome
    }

    /// What the program has to be told of an error that somebody else was told.
    pub(crate) fn take_untold(&self) -> Option<Errno> {
        match self.shared.untold.swap(0, Ordering::AcqRel) {
            0 => None,
            number => Some(Errno::from_raw_os_error(number)),
        }
    }

    /// Keeps an error that the socket does not tell again.
    fn keep_untold(&self, error: Option<&Errno>) {
        if let Some(error) = error {
            let number = error.raw_os_error();
            self.shared.untold.store(number, Ordering::Release);
        }
    }

    /// Ends the sending direction for the program.
    pub(crate) fn shut_down(&self) {
        self.shared.is_shut_down.store(true, Ordering::Release);
    }

    /// Whether it has, and something still went out before the end then.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.shared.is_shut_down.load(Ordering::Acquire)
    }

    /// What getsockopt(2) says of the keys to send with.
    pub(crate) fn transmit_info(&self, room: usize) -> Result<CryptoInfo, Errno> {
        self.with_transmit(|transmit| transmit.crypto_info(room))
    }

    /// Asks or changes how data is sealed, for somebody who sends nothing.
    pub(crate) fn with_transmit<T>(
        &self,
        with: impl FnOnce(&mut Transmit) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut transmit = self.shared.transmit.lock()?;
        with(transmit.tls()?)
    }

    /// Sends what waits, as far as the socket takes it, and if nobody else is sending. A record that is open stays so.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if not all was taken; what the socket said.
    pub(crate) fn try_flush(&self) -> Result<(), Errno> {
        self.try_send(Transmit::flush)
    }

    /// As [`try_flush`](Self::try_flush), with a record that is open.
    ///
    /// # Errors
    ///
    /// As [`try_flush`](Self::try_flush).
    pub(crate) fn try_end_record(&self) -> Result<(), Errno> {
        self.try_send(Transmit::end_record)
    }

    fn try_send(
        &self,
        send: impl FnOnce(&mut Transmit, &mut TcpWire) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut transmit = self.shared.transmit.try_lock().map_err(|_| Errno::AGAIN)?;
        if matches!(*transmit, Half::Plain) {
            return Ok(());
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let (outcome, failed) = self.send_with(&mut transmit, flags, send);
        // Nobody who flushes for others tells the program.
        self.keep_untold(failed.as_ref());
        outcome
    }

    /// How long the end of the connection is to wait for the peer, if it is to (`SO_LINGER`): no time where it is to
    /// throw away what the peer has not taken.
    pub(crate) fn linger(&self) -> Option<Duration> {
        let linger = sys::option::<[c_int; 2]>(self.tcp(), libc::SOL_SOCKET, libc::SO_LINGER);
        let [is_on, seconds] = linger.ok()?;
        // The kernel says so of more seconds than a number has.
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        (is_on != 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// Has it wait so long, to the next whole second; not at all where that is no time.
    pub(crate) fn set_linger(&self, time: Duration) {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let seconds = c_int::try_from(seconds).unwrap_or(c_int::MAX);
        let linger = [c_int::from(seconds > 0), seconds];
        let _ = sys::set_option(self.tcp(), libc::SOL_SOCKET, libc::SO_LINGER, linger);
    }

    /// Whether the connection has no other number.
    pub(crate) fn is_last(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    /// How many bytes wait that the program was told are sent, before sealing or behind it; nothing where that
    /// cannot be known, as somebody is sending.
    pub(crate) fn owed(&self) -> Option<usize> {
        match self.shared.transmit.try_lock() {
            Ok(mut transmit) => Some(transmit.tls().map_or(0, |transmit| transmit.owed())),
            Err(Busy::Locked) => None,
            Err(Busy::Broken) => Some(0),
        }
    }

    /// The number of the record whose start is held, if one is.
    ///
    /// # Errors
    ///
    /// `EAGAIN` where that cannot be known, as somebody is sending.
    pub(crate) fn held_record(&self) -> Result<Option<SeqNo>, Errno> {
        match self.shared.transmit.try_lock() {
            Ok(mut transmit) => transmit.tls().map(|transmit| transmit.held_record()),
            Err(Busy::Locked) => Err(Errno::AGAIN),
            Err(Busy::Broken) => Err(Errno::IO),
        }
    }

    /// What `send` says, and what the socket said that it does not say again.
    fn send_with<T>(
        &self,
        transmit: &mut Guard<'_, Transmit>,
        flags: c_int,
        send: impl FnOnce(&mut Transmit, &mut TcpWire) -> Result<T, Errno>,
    ) -> (Result<T, Errno>, Option<Errno>) {
        let mut wire = TcpWire::new(self.tcp(), flags);
        let outcome = transmit
            .tls()
            .and_then(|transmit| send(transmit, &mut wire));
        (outcome, wire.failed().copied())
    }
}

impl Shared {
    /// Gives up a connection of the process that this one came from by fork, with one of the numbers that its program
    /// does not know, if that still is its own: what seals and opens is overwritten. Other threads of that process may
    /// have been in it, and this one too, where it `comes_back`.
    pub(crate) fn give_up(&self, number: c_int, comes_back: bool) {
        self.transmit.give_up(comes_back);
        self.receive.give_up(comes_back);
        if sys::identity(number) == Ok(self.identity) {
            let _ = sys::close(number);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        table::disown(self.private.number, Arc::as_ptr(&self.shared));
    }
}
