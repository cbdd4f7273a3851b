//! The main thread while the workers serve: signals, reload of what was read from files, shutdown.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep};

use super::access_log::Sink;
use super::certificate::Stamp;
use super::worker::Order;
use crate::error::{Error, without_error_numbers};

/// How often the files are looked at.
const RELOAD_POLL: Duration = Duration::from_secs(2);

/// The ends that the main thread holds of what connects it with the workers.
pub struct Workers {
    /// What the workers are to do.
    pub orders: watch::Sender<Order>,
    /// Closed when the last worker has ended; gives the error of one that had to.
    pub ended: mpsc::Receiver<io::Error>,
}

/// Why something was not loaded again, in words for people.
pub type ReloadError = Box<dyn std::error::Error>;

/// What was read from files, and can be read again while connections go on.
pub trait Reload {
    /// What it is, as messages name it.
    fn what(&self) -> &'static str;

    /// The files as they were before they were loaded for the first time: what is written meanwhile, or
    /// before anybody watches, is a change too.
    fn first(&self) -> &Stamp;

    /// The files as they are now.
    fn stamp(&self) -> Stamp;

    /// Loads them again, and says what was loaded if there is something to say. On failure what is
    /// in use stays.
    ///
    /// # Errors
    /// As at the start.
    fn reload(&self) -> Result<Option<String>, ReloadError>;
}

/// What SIGHUP loads or opens again.
pub struct Reloadable {
    /// What is watched, and loaded again when it changes.
    pub files: Vec<Arc<dyn Reload>>,
    /// Opened again.
    pub log: Arc<Sink>,
    /// Told what was loaded again, and whether that went well.
    pub observer: Box<dyn Fn(&'static str, bool)>,
}

/// Calls `ready` once signals are taken care of, and runs until all workers have ended.
///
/// # Errors
/// [`Error::Serve`] when a worker fails or signals cannot be received.
pub fn run(
    mut workers: Workers,
    reloadable: &Reloadable,
    grace: Duration,
    ready: impl FnOnce(),
) -> Result<(), Error> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Serve)?;
    runtime.block_on(async {
        let mut signals = Signals::install().map_err(Error::Serve)?;
        ready();
        match serve(&mut workers, &mut signals, reloadable).await {
            Some(error) => Err(Error::Serve(error)),
            None => finish(&mut workers, &mut signals, grace).await,
        }
    })
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
    let mut files: Vec<_> = reloadable
        .files
        .iter()
        .map(|file| Watched::new(&**file, &reloadable.observer))
        .collect();
    let mut poll = interval(RELOAD_POLL);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return None,
            _ = signals.interrupt.recv() => return None,
            _ = signals.hangup.recv() => {
                files.iter_mut().for_each(Watched::reload);
                if let Err(error) = reloadable.log.reopen() {
                    let why = without_error_numbers(error.to_string());
                    tracing::warn!("the old access log stays: {why}");
                }
            }
            _ = poll.tick() => files.iter_mut().for_each(Watched::reload_if_changed),
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
) -> Result<(), Error> {
    tracing::info!("shutting down: what is under way has {grace:?}, a second signal ends it");
    workers.orders.send_replace(Order::Finish);
    let mut grace = pin!(sleep(grace));
    loop {
        tokio::select! {
            ended = workers.ended.recv() => match ended {
                Some(error) => return Err(Error::Serve(error)),
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

/// Decides when to load something again.
struct Watched<'a> {
    files: &'a dyn Reload,
    observer: &'a dyn Fn(&'static str, bool),
    /// The files as they were when they were last loaded, or failed to load.
    loaded: Stamp,
    /// The files as they were at the last look.
    seen: Stamp,
}

impl<'a> Watched<'a> {
    fn new(files: &'a dyn Reload, observer: &'a dyn Fn(&'static str, bool)) -> Self {
        Self {
            files,
            observer,
            loaded: files.first().clone(),
            seen: files.first().clone(),
        }
    }

    /// Loads changed files once they look the same twice: certificate and key are two files, and
    /// whoever replaces them replaces one before the other.
    fn reload_if_changed(&mut self) {
        let stamp = self.files.stamp();
        let settled = stamp == self.seen;
        self.seen = stamp;
        if settled && self.seen != self.loaded {
            self.reload();
        }
    }

    fn reload(&mut self) {
        self.loaded = self.files.stamp();
        let what = self.files.what();
        let reloaded = self.files.reload();
        (self.observer)(what, reloaded.is_ok());
        match reloaded {
            Ok(None) => tracing::info!("{what} loaded again"),
            Ok(Some(loaded)) => tracing::info!("{what} loaded again, {loaded}"),
            Err(error) => {
                let why = without_error_numbers(error.to_string());
                tracing::warn!("the old {what} stays: {why}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A file that was loaded once, and how often it was loaded again.
    struct File {
        path: PathBuf,
        first: Stamp,
        reloads: Cell<u32>,
    }

    impl Reload for File {
        fn what(&self) -> &'static str {
            "file"
        }

        fn first(&self) -> &Stamp {
            &self.first
        }

        fn stamp(&self) -> Stamp {
            Stamp::of([&*self.path])
        }

        fn reload(&self) -> Result<Option<String>, ReloadError> {
            self.reloads.set(self.reloads.get() + 1);
            Ok(None)
        }
    }

    #[test]
    fn what_is_written_before_anybody_watches_is_loaded_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, "old").expect("write");
        let file = File {
            first: Stamp::of([&*path]),
            path,
            reloads: Cell::default(),
        };
        fs::write(&file.path, "newer").expect("write");
        let mut watched = Watched::new(&file, &|_, _| ());
        watched.reload_if_changed();
        assert_eq!(file.reloads.get(), 0, "it may be written still");
        for _ in 0..3 {
            watched.reload_if_changed();
            assert_eq!(file.reloads.get(), 1);
        }
    }
}
