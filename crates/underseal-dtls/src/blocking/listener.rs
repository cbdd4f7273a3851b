use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use underseal_record::dtls::ClientHello;

use crate::{DtlsAcceptor, Error, Event, ListenerConfig};

/// [`DtlsListener`](crate::DtlsListener) for programs without a runtime: one thread receives, any may send by
/// [`DtlsPeer::blocking_send`](crate::DtlsPeer::blocking_send).
///
/// It has a runtime of its own, which starts no thread and runs while [`recv`](Self::recv) or
/// [`recv_timeout`](Self::recv_timeout) is called. Those, and dropping it, panic in a task of another runtime, where
/// tokio lets nobody wait; `spawn_blocking` has threads where it may be. A task that awaits
/// [`DtlsPeer::send`](crate::DtlsPeer::send) while the socket is full goes on only while a thread receives, because this
/// runtime alone learns that there is room: threads send by `blocking_send`, which asks the system itself.
pub struct DtlsListener {
    listener: crate::DtlsListener,
    /// Declared after the listener, whose socket it watches.
    runtime: Runtime,
}

impl DtlsListener {
    /// As [`DtlsListener::new`](crate::DtlsListener::new). The socket waits no more by itself.
    ///
    /// # Errors
    ///
    /// The same; [`Error::Socket`] if the system has no descriptors for waiting.
    pub fn new(
        socket: UdpSocket,
        acceptor: impl Into<DtlsAcceptor>,
        config: ListenerConfig,
    ) -> Result<Self, Error> {
        let (runtime, socket) = adopt(socket)?;
        let listener = crate::DtlsListener::new(socket, acceptor, config)?;
        Ok(Self { listener, runtime })
    }

    /// As [`DtlsListener::group`](crate::DtlsListener::group): each is for a thread of its own.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn group(
        sockets: Vec<UdpSocket>,
        acceptor: impl Into<DtlsAcceptor>,
        config: &ListenerConfig,
        pick: impl Fn(SocketAddr, &ClientHello<'_>) -> usize + Send + Sync + 'static,
    ) -> Result<Vec<Self>, Error> {
        let adopted = sockets.into_iter().map(adopt);
        let adopted = adopted.collect::<Result<Vec<_>, Error>>()?;
        let (runtimes, sockets): (Vec<_>, Vec<_>) = adopted.into_iter().unzip();
        let listeners = crate::DtlsListener::group(sockets, acceptor, config, pick)?;
        let pair = |(listener, runtime)| Self { listener, runtime };
        Ok(listeners.into_iter().zip(runtimes).map(pair).collect())
    }

    /// As [`DtlsListener::recv`](crate::DtlsListener::recv).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Panics
    ///
    /// In a task of a runtime of tokio.
    pub fn recv(&mut self, buffer: &mut [u8]) -> Result<Event, Error> {
        self.runtime.block_on(self.listener.recv(buffer))
    }

    /// As [`recv`](Self::recv), for no longer than `patience`: `None` where nothing has happened by then.
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(
        &mut self,
        buffer: &mut [u8],
        patience: Duration,
    ) -> Result<Option<Event>, Error> {
        let received = self.listener.recv(buffer);
        let within = async { tokio::time::timeout(patience, received).await };
        self.runtime.block_on(within).ok().transpose()
    }

    /// The listener itself: for its counters, peers and socket.
    pub fn get_ref(&self) -> &crate::DtlsListener {
        &self.listener
    }

    /// The listener itself: for adding associations, and for what it admits.
    pub fn get_mut(&mut self) -> &mut crate::DtlsListener {
        &mut self.listener
    }
}

/// A runtime that waits for `socket`.
fn adopt(socket: UdpSocket) -> Result<(Runtime, tokio::net::UdpSocket), Error> {
    socket.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let socket = {
        let _entered = runtime.enter();
        tokio::net::UdpSocket::from_std(socket)?
    };
    Ok((runtime, socket))
}

impl fmt::Debug for DtlsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsListener")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}
