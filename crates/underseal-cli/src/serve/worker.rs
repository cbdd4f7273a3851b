//! A worker: one thread, one listener, one single-threaded runtime.
//!
//! Nothing is shared between workers but what does not change (site, TLS configuration, log
//! target) and what each writes for itself (the connections that `underseal conns` lists), so no worker ever wakes another. Connections are tasks of the worker that accepted
//! them and borrow its buffers, clock and log.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Interval, MissedTickBehavior, interval};
use underseal::Offloads;

use super::access_log::{AccessLog, Asked, Outcome, Session, Sink};
use super::answer::{self, Reply};
use super::buffers::Buffers;
use super::clock::Clock;
use super::connection;
use super::descriptors::Reserve;
use super::open_files::OpenFiles;
use super::request::{Refused, Request};
use super::site::Site;
use super::stream::TlsAcceptor;
use super::watch::Watches;
use crate::live::Table;

/// How often deadlines are looked at and the log is written out.
const TICK: Duration = Duration::from_millis(250);
/// The same while shutting down, when the last connection's end is waited for.
const CLOSING_TICK: Duration = Duration::from_millis(20);

/// What every worker is given.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) site: Arc<Site>,
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) offloads: Offloads,
    pub(crate) log: Arc<Sink>,
    pub(crate) timeouts: Timeouts,
    pub(crate) reserve: Reserve,
}

/// The bounds of a client's patience with us, and ours with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) send: Duration,
}

/// What workers are to do, as told by the control thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Serve,
    /// Accept nothing more, close idle connections, end when the last one has ended.
    Finish,
    /// End every connection, then end.
    Quit,
}

/// What the connections of a worker share.
pub(crate) struct Worker {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) timeouts: Timeouts,
    pub(crate) watches: Rc<Watches>,
    pub(crate) buffers: Buffers,
    pub(crate) log: AccessLog,
    /// Those whose handshake is complete, for `underseal conns`.
    pub(crate) connections: Arc<Table>,
    files: OpenFiles,
    clock: Clock,
    reserve: Reserve,
}

/// An answer with the buffers it was written to.
pub(crate) struct Prepared {
    pub(crate) started: Instant,
    pub(crate) reply: Reply,
    /// Head, and body if it is short.
    pub(crate) out: Vec<u8>,
    /// The log line so far.
    pub(crate) line: Vec<u8>,
}

/// Starts a worker thread. It holds `ended` until it is done.
///
/// # Errors
/// When the runtime or the thread cannot be made.
pub(crate) fn spawn(
    index: usize,
    listener: TcpListener,
    shared: Shared,
    connections: Arc<Table>,
    orders: watch::Receiver<Order>,
    ended: mpsc::Sender<io::Error>,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            let ended = Ended(ended);
            let worker = Worker::new(shared, connections);
            let ran = LocalSet::new().block_on(&runtime, run(worker, listener, orders));
            if let Err(error) = ran {
                ended.report(error);
            }
        })?;
    Ok(())
}

/// Tells the control thread that a worker is gone: by its drop, and why, if it was not told to.
struct Ended(mpsc::Sender<io::Error>);

impl Ended {
    fn report(&self, error: io::Error) {
        // Full means that another worker's failure is ending the process already.
        let _ = self.0.try_send(error);
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if thread::panicking() {
            self.report(io::Error::other("a worker panicked"));
        }
    }
}

async fn run(
    worker: Rc<Worker>,
    listener: TcpListener,
    mut orders: watch::Receiver<Order>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut ticks = ticker(TICK);
    let mut intake = Intake::Open;
    loop {
        tokio::select! {
            accepted = listener.accept(), if intake != Intake::Full => {
                intake = worker.admit(accepted, intake);
            }
            _ = ticks.tick() => {
                worker.tick();
                intake = intake.after_tick(|| worker.reserve.has_room(&listener));
            }
            _ = orders.wait_for(|order| *order != Order::Serve) => break,
        }
    }
    drop(listener);
    finish(&worker, orders).await;
    Ok(())
}

/// Whether connections are accepted. While they are not, they wait in the backlog; asking for them
/// again at once would spin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intake {
    Open,
    /// Out of descriptors or memory.
    Full,
    /// There is room again, as far as is known so soon after.
    Recovering,
}

impl Intake {
    /// A burst is over, and said to be, once a whole tick went by without running out again.
    fn after_tick(self, has_room: impl FnOnce() -> bool) -> Self {
        match self {
            Self::Full if !has_room() => Self::Full,
            Self::Full => Self::Recovering,
            Self::Recovering => {
                tracing::info!("accepting connections again");
                Self::Open
            }
            Self::Open => Self::Open,
        }
    }

    fn exhausted(self) -> Self {
        if self == Self::Open {
            tracing::warn!("out of file descriptors or memory: new connections have to wait");
        }
        Self::Full
    }
}

/// Waits for the connections that are left, and ends them when that is ordered.
async fn finish(worker: &Worker, mut orders: watch::Receiver<Order>) {
    let mut ticks = ticker(CLOSING_TICK);
    let mut quitting = false;
    worker.watches.close_idle();
    while worker.watches.len() > 0 {
        tokio::select! {
            _ = ticks.tick() => worker.tick(),
            // An error means that the control thread is gone, which ends the process anyway.
            _ = orders.wait_for(|order| *order == Order::Quit), if !quitting => {
                quitting = true;
                worker.watches.end_all();
            }
        }
    }
    worker.log.flush();
}

fn ticker(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Out of descriptors or memory, as opposed to a connection that failed on its own.
fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    exhausted
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl Worker {
    fn new(shared: Shared, connections: Arc<Table>) -> Rc<Self> {
        Rc::new(Self {
            acceptor: TlsAcceptor::from(shared.tls).offload(shared.offloads),
            timeouts: shared.timeouts,
            watches: Watches::new(),
            buffers: Buffers::default(),
            log: AccessLog::new(shared.log),
            files: OpenFiles::new(shared.site),
            clock: Clock::new(),
            reserve: shared.reserve,
            connections,
        })
    }

    /// Starts to serve a connection, and says whether another one may come.
    fn admit(
        self: &Rc<Self>,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        intake: Intake,
    ) -> Intake {
        match accepted {
            Ok((tcp, remote)) => {
                let last = self.reserve.is_reached_by(&tcp);
                spawn_local(connection::serve(Rc::clone(self), tcp, remote));
                if last { intake.exhausted() } else { intake }
            }
            Err(error) => {
                tracing::debug!("cannot accept a connection: {error}");
                if is_exhaustion(&error) {
                    intake.exhausted()
                } else {
                    intake
                }
            }
        }
    }

    fn tick(&self) {
        self.watches.sweep();
        self.log.flush();
        self.files.forget();
    }

    /// Logs what came to an end without an answer from [`Self::prepare`].
    pub(crate) fn log_line(
        &self,
        session: &Session,
        method: Option<&str>,
        path: Option<&str>,
        outcome: &Outcome<'_>,
    ) {
        let mut line = self.buffers.take();
        self.clock.with_now(|_, time| {
            let asked = Asked {
                time,
                method,
                path,
                user_agent: None,
            };
            self.log.begin(&mut line, session, &asked);
        });
        self.log.finish(&mut line, outcome);
        self.buffers.give(line);
    }

    /// Answers a request, or the lack of one, into buffers of this worker.
    pub(crate) fn prepare(
        &self,
        session: &Session,
        request: Result<&Request<'_>, Refused>,
    ) -> Prepared {
        let started = Instant::now();
        let (mut out, mut line) = (self.buffers.take(), self.buffers.take());
        let reply = self.clock.with_now(|date, time| {
            let asked = Asked {
                time,
                method: request.ok().map(|request| request.method),
                path: request.ok().map(|request| request.target),
                user_agent: request.ok().and_then(|request| request.user_agent),
            };
            self.log.begin(&mut line, session, &asked);
            match request {
                Ok(request) => {
                    let may_persist = !self.watches.closing();
                    answer::answer(&self.files, date, may_persist, request, &mut out)
                }
                Err(refused) => answer::refuse(refused, date, &mut out),
            }
        });
        Prepared {
            started,
            reply,
            out,
            line,
        }
    }
}
