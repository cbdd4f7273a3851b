//! The main thread while the workers serve: signals, reload of the certificate, shutdown.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep};

use super::access_log::Sink;
use super::certificate::{Identity, Stamp};
use super::worker::Order;
use crate::exit::{Exit, Failure};

/// How often the certificate files are looked at.
const RELOAD_POLL: Duration = Duration::from_secs(2);

/// The ends that the main thread holds of what connects it with the workers.
pub(crate) struct Workers {
    pub(crate) orders: watch::Sender<Order>,
    /// Closed when the last worker has ended; gives the error of one that had to.
    pub(crate) ended: mpsc::Receiver<io::Error>,
}

/// What SIGHUP loads or opens again.
pub(crate) struct Reloadable {
    pub(crate) identity: Arc<Identity>,
    pub(crate) log: Arc<Sink>,
}

/// Calls `ready` once signals are taken care of, and runs until all workers have ended.
///
/// # Errors
/// [`Exit::Failure`] when a worker fails or signals cannot be received.
pub(crate) fn run(
    mut workers: Workers,
    reloadable: &Reloadable,
    grace: Duration,
    ready: impl FnOnce(),
) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let mut signals = Signals::install().map_err(|error| failed(&error))?;
        ready();
        match serve(&mut workers, &mut signals, reloadable).await {
            Some(error) => Err(failed(&error)),
            None => finish(&mut workers, &mut signals, grace).await,
        }
    })
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("cannot serve: {error}"),
        "the system is short of something; `--log debug` may say more",
    )
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until a signal says to stop, or a worker fails with the error given.
async fn serve(
    workers: &mut Workers,
    signals: &mut Signals,
    reloadable: &Reloadable,
) -> Option<io::Error> {
    let mut reload = Reload::new(&reloadable.identity);
    let mut poll = interval(RELOAD_POLL);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return None,
            _ = signals.interrupt.recv() => return None,
            _ = signals.hangup.recv() => {
                reload.now();
                if let Err(failure) = reloadable.log.reopen() {
                    tracing::warn!("the old access log stays: {}", failure.message());
                }
            }
            _ = poll.tick() => reload.if_changed(),
            ended = workers.ended.recv() => {
                return Some(ended.unwrap_or_else(|| io::Error::other("all workers ended")));
            }
        }
    }
}

async fn finish(
    workers: &mut Workers,
    signals: &mut Signals,
    grace: Duration,
) -> Result<(), Failure> {
    tracing::info!("shutting down: running downloads have {grace:?}, a second signal ends them");
    workers.orders.send_replace(Order::Finish);
    let mut grace = pin!(sleep(grace));
    loop {
        tokio::select! {
            ended = workers.ended.recv() => match ended {
                Some(error) => return Err(failed(&error)),
                None => return Ok(()),
            },
            () = &mut grace, if !grace.is_elapsed() => {
                tracing::warn!("time is up: the connections that are left are cut");
                workers.orders.send_replace(Order::Quit);
            }
            () = signals.stop() => {
                tracing::warn!("second signal: the connections that are left are cut");
                workers.orders.send_replace(Order::Quit);
            }
        }
    }
}

/// Decides when to load the certificate again.
struct Reload<'a> {
    identity: &'a Identity,
    /// The files as they were when they were last loaded, or failed to load.
    loaded: Stamp,
    /// The files as they were at the last look.
    seen: Stamp,
}

impl<'a> Reload<'a> {
    fn new(identity: &'a Identity) -> Self {
        let stamp = identity.stamp();
        Self {
            identity,
            loaded: stamp.clone(),
            seen: stamp,
        }
    }

    /// Loads changed files once they look the same twice: certificate and key are two files, and
    /// whoever replaces them replaces one before the other.
    fn if_changed(&mut self) {
        let stamp = self.identity.stamp();
        let settled = stamp == self.seen;
        self.seen = stamp;
        if settled && self.seen != self.loaded {
            self.now();
        }
    }

    fn now(&mut self) {
        self.loaded = self.identity.stamp();
        match self.identity.reload() {
            Ok(fingerprint) => tracing::info!("certificate loaded again, SHA-256 {fingerprint}"),
            Err(failure) => tracing::warn!("the old certificate stays: {}", failure.message()),
        }
    }
}
