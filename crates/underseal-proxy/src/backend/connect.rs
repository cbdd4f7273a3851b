//! Connections to backends: a kept one, or one that is made.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;

use super::addresses::{Dialing, Trial};
use super::{Backend, Backends, Known, Sockets, Target};
use crate::log;
use crate::metrics::{Handshake, Side};
use crate::principal::Principal;
use crate::process::Process;
use crate::stream::{Io, Stream};
use underseal_server::deadline::{Deadline, Phase, Stop};
use underseal_server::live::Established;

/// Why there is no connection to any backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// None accepts connections.
    Refused,
    /// We have no socket for one, or no stream, or others have just found out that there is none: this says
    /// nothing of the backend.
    Lacking,
    /// None accepted in time.
    TimedOut,
    /// TLS failed: its certificate, most likely.
    Handshake,
    /// The proxy is ending.
    Ended,
}

impl Unreachable {
    /// For logs and metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Refused | Self::Lacking => "backend-refused",
            Self::TimedOut => "backend-timeout",
            Self::Handshake => "backend-handshake",
            Self::Ended => "proxy-ended",
        }
    }

    /// What a client is told.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Refused | Self::Lacking | Self::Ended => 503,
            Self::TimedOut => 504,
            Self::Handshake => 502,
        }
    }
}

/// Why there is no connection to a backend, and what it did.
pub(crate) type Failure = (Unreachable, io::Error);

/// Why a wait for a backend ended.
impl From<Stop> for Unreachable {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::TimedOut => Self::TimedOut,
            Stop::Closing | Stop::Ended => Self::Ended,
        }
    }
}

impl Backends {
    /// Makes a connection to a backend, or if it takes none to the next that does. `header` is what
    /// is sent first, before TLS.
    ///
    /// # Errors
    /// What the last of them did.
    pub(crate) async fn connect(
        &self,
        process: &Process,
        deadline: &Deadline,
        first: usize,
        header: Option<&[u8]>,
    ) -> Result<Box<Backend>, Unreachable> {
        let begin = async |backend| Ok(backend);
        let open = async |trial: &Trial<'_>| self.open_and(process, trial, header, &begin).await;
        self.connect_by(process, deadline, first, open).await
    }

    /// Tries one backend after the other by `open`, until one of them succeeds: what came of it. Each has
    /// the whole of `--connect-timeout`: a slow one is not to be another's fault.
    ///
    /// # Errors
    /// What the last of them did.
    pub(crate) async fn connect_by<T>(
        &self,
        process: &Process,
        deadline: &Deadline,
        first: usize,
        open: impl AsyncFn(&Trial<'_>) -> Result<T, Failure>,
    ) -> Result<T, Unreachable> {
        let mut failed = Unreachable::Refused;
        for index in self.order(first) {
            let target = &self.targets[index];
            let (attempt, trial) = (target.health.attempt(), target.trial(index));
            deadline.enter(Phase::Busy, process.timeouts().connect);
            match deadline.until(pin!(open(&trial))).await {
                Ok(Ok(opened)) => {
                    attempt.succeeded();
                    return Ok(opened);
                }
                Ok(Err((Unreachable::Ended, _))) => return Err(Unreachable::Ended),
                Ok(Err((why, error))) => {
                    target.say(why, &error);
                    failed = why;
                    if why == Unreachable::Lacking || is_ours(&error) {
                        continue;
                    }
                }
                Err(Stop::TimedOut) => {
                    trial.failed();
                    failed = Unreachable::TimedOut;
                    target.say(failed, &"gave no connection, or no stream, in time");
                }
                Err(stop) => return Err(stop.into()),
            }
            process.fail(target, failed);
            attempt.failed();
        }
        Err(failed)
    }

    /// Makes a connection to the backend `index` and to no other, and has `begin` speak on it.
    ///
    /// # Errors
    /// What it did.
    pub(crate) async fn connect_only<T>(
        &self,
        process: &Process,
        (index, header): (usize, Option<&[u8]>),
        begin: impl AsyncFn(Box<Backend>) -> io::Result<T>,
    ) -> Result<T, Unreachable> {
        let trial = Patient(self.targets[index].trial(index));
        let opened = self.open_and(process, &trial.0, header, &begin).await;
        opened.map_err(|(why, error)| {
            tracing::debug!("backend {}: {}: {error}", self.name_of(index), why.word());
            match is_ours(&error) {
                true => Unreachable::Lacking,
                false => why,
            }
        })
    }

    /// Makes a connection to the backend of `trial`, for as long as that takes, which is none before `begin`
    /// has spoken on it. Of several addresses the next one is tried where one accepts and does nothing else.
    ///
    /// # Errors
    /// What it did.
    pub(crate) async fn open_and<T>(
        &self,
        process: &Process,
        trial: &Trial<'_>,
        header: Option<&[u8]>,
        begin: &impl AsyncFn(Box<Backend>) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let target = trial.target;
        let begin = async |opened| {
            let begun = begin(target.backend(trial.index(), opened)).await;
            begun.map_err(|error| (Unreachable::Handshake, error))
        };
        let sockets = match &target.sockets {
            Sockets::Addresses(sockets) => target.order(sockets.get().to_vec()),
            Sockets::Path(path) => return begin(open_path(process, path, header).await?).await,
        };
        let mut dialing = Dialing::new(sockets, TcpStream::connect);
        let mut failed = None;
        loop {
            let accepted = dialing.next().await;
            let accepted =
                accepted.map_err(|error| failed.take().unwrap_or_else(|| refused(error)))?;
            trial.accepted(accepted.0);
            let begun = async { begin(self.open(process, target, accepted, header).await?).await };
            match begun.await {
                Ok(begun) => {
                    trial.succeeded();
                    return Ok(begun);
                }
                Err(failure) => failed = Some(failure),
            }
            trial.failed();
        }
    }

    /// All backends, one after the other: the one whose turn it is, the others, and last those that are
    /// passed over.
    fn order(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let is_last = |index: &usize| *index != first && self.is_passed_over(*index);
        let (last, others): (Vec<_>, Vec<_>) = self.from(first).partition(is_last);
        others.into_iter().chain(last)
    }

    /// Speaks TLS, where that is spoken, on a connection to `address`.
    async fn open(
        &self,
        process: &Process,
        target: &Target,
        (address, mut tcp): (SocketAddr, TcpStream),
        header: Option<&[u8]>,
    ) -> Result<Opened, Failure> {
        tcp.set_nodelay(true).map_err(refused)?;
        if let Some(header) = header {
            tcp.write_all(header).await.map_err(refused)?;
        }
        let open = process.tally.connection(Side::Backend);
        let (Some(name), Some(connector)) = (&target.address.tls, &self.connector) else {
            let stream = Stream::new(Io::Plain(tcp), None, open);
            return Ok((stream, Some(address), None));
        };
        let connect = connector.get().connect(name.clone(), tcp);
        let failed = |error: io::Error| {
            process.tally.handshake(Side::Backend, Handshake::Failed);
            (Unreachable::Handshake, error)
        };
        let stream = Box::pin(connect).await.map_err(failed)?;
        let (tcp, tls) = stream.get_ref();
        let principal = Principal::of_backend(tls.peer_certificates()).map_err(failed)?;
        process.tally.handshake(Side::Backend, Handshake::Complete);
        process.count_engines(Side::Backend, stream.engines());
        let registration = tcp.local_addr().and_then(|local| {
            let established = Established::of(tls, local, tcp.peer_addr()?);
            Ok(process.connections.add(established))
        });
        Ok((
            Stream::new(Io::Connected(stream), registration.ok(), open),
            Some(address),
            principal,
        ))
    }
}

/// A trial of somebody who gives it up only where it has lasted long enough.
struct Patient<'a>(Trial<'a>);

impl Drop for Patient<'_> {
    fn drop(&mut self) {
        self.0.failed();
    }
}

/// Says of a backend that it takes no connection.
pub(super) fn refused(error: io::Error) -> Failure {
    (Unreachable::Refused, error)
}

/// A connection, where it leads, and the SPIFFE ID that was proved.
type Opened = (Stream, Option<SocketAddr>, Option<Rc<str>>);

impl Target {
    fn backend(&self, index: usize, (stream, address, principal): Opened) -> Box<Backend> {
        Box::new(Backend {
            stream,
            known: Known {
                target: index,
                address,
                principal,
                sni: self.sni.clone(),
            },
            reused: false,
        })
    }

    /// Says what is wrong with a backend, after the word that the log has for it: once, while it goes on.
    fn say(&self, why: Unreachable, error: &dyn fmt::Display) {
        let (name, word) = (&self.address.name, why.word());
        match self.health.is_failing() {
            false => tracing::warn!("backend {name}: {word}: {error}"),
            true => tracing::debug!("backend {name}: {word}: {error}"),
        }
    }
}

impl Process {
    fn fail(&self, target: &Target, why: Unreachable) {
        let kind = log::backend_error(why.word());
        self.tally.backend_error(&target.address.name, kind);
    }
}

/// Whether there is no socket to be had, which says nothing of the backend.
fn is_ours(error: &io::Error) -> bool {
    // Of addresses: all ports of ours to that backend are taken. See `Failures`.
    let lacking = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRINUSE,
        Errno::ADDRNOTAVAIL,
    ];
    Errno::from_io_error(error).is_some_and(|errno| lacking.contains(&errno))
}

/// Why there is no connection to any address of a backend.
#[derive(Default)]
pub(super) struct Failures(Option<io::Error>);

impl Failures {
    /// Adds what came of `socket`. What is the backend's fault is told before what is not.
    pub(super) fn add(&mut self, socket: &SocketAddr, error: io::Error) {
        let is_portless = Errno::from_io_error(&error) == Some(Errno::ADDRNOTAVAIL);
        let error = match is_portless && !has_source(socket) {
            true => io::Error::new(error.kind(), "no address of this machine leads there"),
            false => error,
        };
        if self.0.as_ref().is_none_or(is_ours) || !is_ours(&error) {
            self.0 = Some(error);
        }
    }

    /// What is told of a name that stands for nothing, too.
    pub(super) fn told(self) -> io::Error {
        self.0
            .unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }
}

/// Whether this machine has an address from which to reach `socket`, as far as it can be told: without
/// IPv6 there is none for `::1`, and the kernel says of that what it says where ports are lacking. UDP
/// has ports of its own.
fn has_source(socket: &SocketAddr) -> bool {
    let family = match socket {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC;
    let Ok(udp) = socket_with(family, SocketType::DGRAM, flags, None) else {
        return true;
    };
    connect(&udp, socket) != Err(Errno::ADDRNOTAVAIL)
}

/// How long after a full backlog a socket is tried again: nobody tells when there is room.
const BACKLOG: Duration = Duration::from_millis(10);

/// A connection to a socket in the file system.
async fn open_path(
    process: &Process,
    path: &Path,
    header: Option<&[u8]>,
) -> Result<Opened, Failure> {
    let unix = connect_path(path, header).await.map_err(refused)?;
    let open = process.tally.connection(Side::Backend);
    Ok((Stream::new(Io::Unix(unix), None, open), None, None))
}

/// Connects to one, and sends `header` first.
async fn connect_path(path: &Path, header: Option<&[u8]>) -> io::Result<UnixStream> {
    let mut unix = loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(BACKLOG).await,
            connected => break connected?,
        }
    };
    if let Some(header) = header {
        unix.write_all(header).await?;
    }
    Ok(unix)
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;
    use crate::backend::testing::{address, process};

    #[test]
    fn what_this_machine_lacks_is_not_the_backends_fault() {
        let of = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for ours in [Errno::MFILE, Errno::NOBUFS, Errno::ADDRNOTAVAIL] {
            assert!(is_ours(&of(ours)), "{ours}");
        }
        for theirs in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::CONNRESET] {
            assert!(!is_ours(&of(theirs)), "{theirs}");
        }
        // A name that stands for nothing.
        assert!(!is_ours(&Failures::default().told()));
    }

    #[tokio::test]
    async fn each_backend_is_waited_for_as_long_as_the_first() {
        let connect = Duration::from_millis(50);
        let (process, local) = (process(connect), SocketAddr::from(([127, 0, 0, 1], 9)));
        let deadline = process.deadlines.add();
        let addresses = [address(vec![local]), address(vec![local])];
        let backends = Backends::new(&addresses, None, None);
        let open = async |trial: &Trial<'_>| {
            // Its time begins now, and whether it is over is looked at once it has said something.
            process.deadlines.sweep();
            yield_now().await;
            match trial.index() {
                0 => {
                    std::thread::sleep(2 * connect);
                    Err((
                        Unreachable::Refused,
                        io::ErrorKind::ConnectionRefused.into(),
                    ))
                }
                index => Ok(index),
            }
        };
        let opened = backends.connect_by(&process, &deadline, 0, open).await;
        assert_eq!(opened, Ok(1));
    }

    #[test]
    fn of_several_addresses_the_backends_fault_is_told() {
        let local: SocketAddr = ([127, 0, 0, 1], 9).into();
        let told = |errnos: &[Errno]| {
            let mut failures = Failures::default();
            for errno in errnos {
                failures.add(&local, (*errno).into());
            }
            Errno::from_io_error(&failures.told())
        };
        // There is a way to that address, so it is ports that are lacking.
        let (lacking, refused) = (Errno::ADDRNOTAVAIL, Errno::CONNREFUSED);
        assert_eq!(told(&[lacking]), Some(lacking));
        for both in [[lacking, refused], [refused, lacking]] {
            assert_eq!(told(&both), Some(refused));
        }
        assert_eq!(told(&[Errno::HOSTUNREACH, refused]), Some(refused));
    }
}
