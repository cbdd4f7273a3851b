//! A socket of quinn's that holds trains.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::train::{Train, goes_on};

/// Trains that are held at once: of connections to as many peers, mostly. One lock for each, so that
/// connections that send at the same time do not wait for each other.
pub(super) const PLACES: usize = 16;

/// Holds trains that more may follow, and sends everything else at once.
pub(super) struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    places: [Mutex<Train>; PLACES],
    /// A bit for each place that a train is held in. It changes under that place's lock.
    held: AtomicU16,
    /// Of the task that sends what is held.
    sender: Mutex<Option<Waker>>,
}

impl Socket {
    pub(super) fn over(inner: Arc<dyn AsyncUdpSocket>) -> Self {
        Self {
            inner,
            places: Default::default(),
            held: AtomicU16::new(0),
            sender: Mutex::new(None),
        }
    }

    /// That of the socket below.
    pub(super) fn poller(&self) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    /// Whom to wake when something is held that was not.
    pub(super) fn register(&self, waker: &Waker) {
        let mut sender = self.sender();
        if sender.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *sender = Some(waker.clone());
        }
    }

    /// The places that a train is held in.
    pub(super) fn held(&self) -> impl Iterator<Item = usize> + use<> {
        let held = self.held.load(Ordering::Acquire);
        (0..PLACES).filter(move |place| held & (1 << place) != 0)
    }

    /// Sends what is held at `place` unless it has another length than `seen`: more may follow then. The
    /// length of what is held still.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] where the socket is full, and no other.
    pub(super) fn send_at(&self, place: usize, seen: usize) -> io::Result<usize> {
        let mut train = self.train(place);
        if train.len() == seen {
            self.send(place, &mut train)?;
        }
        Ok(train.len())
    }

    /// Sends the train that is held at `place`.
    ///
    /// What the socket does not want, but for a full one, is lost, as datagrams may be: the caller is
    /// not the one whom that error concerns, who finds it with what he sends next.
    fn send(&self, place: usize, train: &mut Train) -> io::Result<()> {
        if let Some(transmit) = train.transmit() {
            let refused = self.inner.try_send(&transmit).err();
            let full = refused.filter(|error| error.kind() == io::ErrorKind::WouldBlock);
            if let Some(full) = full {
                return Err(full);
            }
        }
        train.clear();
        self.held.fetch_and(!(1 << place), Ordering::Release);
        Ok(())
    }

    /// Leaves the train at `place` to the task.
    fn hold(&self, place: usize) {
        let held = self.held.fetch_or(1 << place, Ordering::Release);
        if held & (1 << place) == 0 {
            // Where the bit was set, the task is on its way already.
            if let Some(sender) = &*self.sender() {
                sender.wake_by_ref();
            }
        }
    }

    fn train(&self, place: usize) -> MutexGuard<'_, Train> {
        let train = self.places[place].lock();
        train.unwrap_or_else(PoisonError::into_inner)
    }

    fn sender(&self) -> MutexGuard<'_, Option<Waker>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let most = self.inner.max_transmit_segments();
        let place = place(&transmit.destination);
        let mut train = self.train(place);
        if !train.is_empty() && !train.takes(transmit, most) {
            // It came first. Where the socket is full, nothing was done with `transmit`.
            self.send(place, &mut train)?;
        }
        let goes_on = goes_on(transmit);
        if train.is_empty() && !goes_on {
            drop(train);
            return self.inner.try_send(transmit);
        }
        train.push(transmit);
        // From here on it was taken, also by a full socket.
        if (goes_on && !train.is_full(most)) || self.send(place, &mut train).is_err() {
            self.hold(place);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// Datagrams to one address have one place, so that they stay in order.
fn place(destination: &SocketAddr) -> usize {
    let last = match destination.ip() {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    (usize::from(destination.port()) ^ usize::from(last)) % PLACES
}

impl Drop for Socket {
    /// Sends what it can, and lets the task end.
    fn drop(&mut self) {
        for place in self.held() {
            let _ = self.send(place, &mut self.train(place));
        }
        if let Some(sender) = self.sender().take() {
            sender.wake();
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
