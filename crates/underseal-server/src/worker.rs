//! A worker: one thread, one listener, one single-threaded runtime.
//!
//! Connections are tasks of the worker that accepted them, so no worker ever wakes another. What
//! they share is theirs alone: it lives and dies on the worker's thread.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::control::Workers;
use super::deadline::Deadlines;
use super::descriptors::Reserve;
use super::intake::{Intake, is_exhaustion};
use crate::Error;

/// How often deadlines are looked at and the log is written out.
const TICK: Duration = Duration::from_millis(250);
/// The same while shutting down, when the last connection's end is waited for.
const CLOSING_TICK: Duration = Duration::from_millis(20);

/// What workers are to do, as told by the control thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Accept connections.
    Serve,
    /// Accept nothing more, close idle connections, end when the last one has ended.
    Finish,
    /// End every connection, then end.
    Quit,
}

/// What a subcommand does with the connections that one of its workers accepted.
pub trait Accept: 'static {
    /// What is begun before the first connection, as tasks of the current [`LocalSet`]; nothing, unless a
    /// subcommand says otherwise.
    fn start(self: Rc<Self>) {}

    /// Starts to serve a connection, as a task of the current [`LocalSet`] that holds `permit`, if
    /// there is one, until the connection has ended.
    fn accept(self: Rc<Self>, tcp: TcpStream, remote: SocketAddr, permit: Option<Permit>);

    /// The same for a connection that is to be led to TLS.
    fn redirect(self: Rc<Self>, tcp: TcpStream, remote: SocketAddr, permit: Option<Permit>);

    /// The connections there are.
    fn deadlines(&self) -> &Deadlines;

    /// What is to be done a few times a second; the deadlines have been looked at.
    fn tick(&self);
}

/// The right to one of a bounded number of connections; given back when it is dropped.
pub type Permit = OwnedSemaphorePermit;

/// The sockets of one worker.
pub struct Sockets {
    /// Where what it serves comes in.
    pub listener: TcpListener,
    /// Where plain HTTP comes in that is to be led to TLS.
    pub redirect: Option<TcpListener>,
}

impl Sockets {
    /// One of each for every worker.
    pub fn pair(
        listeners: Vec<TcpListener>,
        redirects: impl IntoIterator<Item = TcpListener>,
    ) -> Vec<Self> {
        let redirects = redirects.into_iter().map(Some);
        let redirects = redirects.chain(std::iter::repeat_with(|| None));
        let pairs = listeners.into_iter().zip(redirects);
        pairs
            .map(|(listener, redirect)| Self { listener, redirect })
            .collect()
    }
}

/// Which of them a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Listener,
    Redirect,
}

/// What bounds how many connections there are.
#[derive(Clone)]
pub struct Bounds {
    /// Of descriptors.
    pub reserve: Reserve,
    /// Of the whole process; without it, only descriptors do.
    pub connections: Option<Arc<Semaphore>>,
}

/// Makes what the worker of the given number is made of, on the worker's own thread.
pub trait Make<W>: FnOnce(usize) -> Rc<W> + Clone + Send + 'static {}

impl<W, F: FnOnce(usize) -> Rc<W> + Clone + Send + 'static> Make<W> for F {}

/// What a worker does with its listener, until orders end it.
pub trait Run<L, W, F>:
    FnOnce(Rc<W>, L, watch::Receiver<Order>) -> F + Clone + Send + 'static
{
}

impl<L, W, F, R> Run<L, W, F> for R where
    R: FnOnce(Rc<W>, L, watch::Receiver<Order>) -> F + Clone + Send + 'static
{
}

/// Starts one worker thread for each set of sockets, which accepts connections.
///
/// # Errors
/// [`Error::Workers`] when a runtime or a thread cannot be made.
pub fn start<W: Accept>(
    sockets: Vec<Sockets>,
    bounds: &Bounds,
    make: impl Make<W>,
) -> Result<Workers, Error> {
    let bounds = bounds.clone();
    start_with(sockets, make, move |worker, sockets, orders| {
        run(worker, sockets, bounds, orders)
    })
}

/// Starts one worker thread per listener, which does with it what `run` does: as a future in a
/// [`LocalSet`] of the worker's own.
///
/// # Errors
/// As [`start`].
pub fn start_with<L: Send + 'static, W: 'static, F>(
    listeners: Vec<L>,
    make: impl Make<W>,
    run: impl Run<L, W, F>,
) -> Result<Workers, Error>
where
    F: Future<Output = io::Result<()>>,
{
    let (orders, order) = watch::channel(Order::Serve);
    let (failed, ended) = mpsc::channel(1);
    for (index, listener) in listeners.into_iter().enumerate() {
        let (make, run, order) = (make.clone(), run.clone(), order.clone());
        let serve = move || run(make(index), listener, order);
        spawn(index, serve, Ended(failed.clone())).map_err(Error::Workers)?;
    }
    Ok(Workers { orders, ended })
}

/// Starts a worker thread. It holds `ended` until it is done.
fn spawn<F: Future<Output = io::Result<()>>>(
    index: usize,
    serve: impl FnOnce() -> F + Send + 'static,
    ended: Ended,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            let ended = ended;
            let ran = LocalSet::new().block_on(&runtime, async { serve().await });
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

async fn run<W: Accept>(
    worker: Rc<W>,
    sockets: Sockets,
    bounds: Bounds,
    mut orders: watch::Receiver<Order>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(sockets.listener)?;
    let redirect = sockets.redirect.map(tokio::net::TcpListener::from_std);
    let redirect = redirect.transpose()?;
    let mut admission = Admission {
        worker: Rc::clone(&worker),
        bounds,
        intake: Intake::Open,
        waiting: None,
    };
    Rc::clone(&worker).start();
    let mut ticks = ticks();
    loop {
        tokio::select! {
            accepted = listener.accept(), if admission.is_open() => {
                admission.admit(accepted, Entry::Listener);
            }
            accepted = accept(redirect.as_ref()), if admission.is_open() && redirect.is_some() => {
                admission.admit(accepted, Entry::Redirect);
            }
            permit = permit(&admission.bounds), if admission.waiting.is_some() => admission.let_in(permit),
            _ = ticks.tick() => {
                tick(&*worker);
                let reserve = admission.bounds.reserve;
                admission.intake = admission.intake.after_tick(|| reserve.has_room(&listener));
            }
            _ = orders.wait_for(|order| *order != Order::Serve) => break,
        }
    }
    drop((listener, redirect, admission));
    finish(&*worker, orders).await;
    Ok(())
}

/// Waits for a connection; for ever where there is no listener.
async fn accept(listener: Option<&tokio::net::TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Waits for the right to another connection. A future that is dropped has taken none.
async fn permit(bounds: &Bounds) -> Option<Permit> {
    let connections = Arc::clone(bounds.connections.as_ref()?);
    // Nobody closes it.
    connections.acquire_owned().await.ok()
}

/// Who is let in, and who waits.
struct Admission<W> {
    worker: Rc<W>,
    bounds: Bounds,
    intake: Intake,
    /// Accepted when there were as many connections as may be: it goes first when one has ended.
    waiting: Option<(TcpStream, SocketAddr, Entry)>,
}

impl<W: Accept> Admission<W> {
    fn is_open(&self) -> bool {
        self.intake != Intake::Full && self.waiting.is_none()
    }

    /// Starts to serve a connection, if another one may be.
    fn admit(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>, entry: Entry) {
        match accepted {
            Ok((tcp, remote)) => {
                if self.bounds.reserve.is_reached_by(&tcp) {
                    self.intake = self.intake.exhausted();
                }
                self.place(tcp, remote, entry);
            }
            Err(error) => {
                tracing::debug!("cannot accept a connection: {error}");
                if is_exhaustion(&error) {
                    self.intake = self.intake.exhausted();
                }
            }
        }
    }

    fn place(&mut self, tcp: TcpStream, remote: SocketAddr, entry: Entry) {
        let Some(connections) = &self.bounds.connections else {
            return self.serve(tcp, remote, entry, None);
        };
        match Arc::clone(connections).try_acquire_owned() {
            Ok(permit) => self.serve(tcp, remote, entry, Some(permit)),
            Err(_) => {
                tracing::debug!("{remote} waits: there are as many connections as may be");
                self.waiting = Some((tcp, remote, entry));
            }
        }
    }

    fn let_in(&mut self, permit: Option<Permit>) {
        if let Some((tcp, remote, entry)) = self.waiting.take() {
            self.serve(tcp, remote, entry, permit);
        }
    }

    fn serve(&self, tcp: TcpStream, remote: SocketAddr, entry: Entry, permit: Option<Permit>) {
        let worker = Rc::clone(&self.worker);
        match entry {
            Entry::Listener => worker.accept(tcp, remote, permit),
            Entry::Redirect => worker.redirect(tcp, remote, permit),
        }
    }
}

/// Waits for the connections that are left, and ends them when that is ordered.
pub async fn finish(worker: &impl Accept, mut orders: watch::Receiver<Order>) {
    let mut ticks = ticker(CLOSING_TICK);
    let mut quitting = false;
    worker.deadlines().close_idle();
    while !worker.deadlines().is_empty() {
        tokio::select! {
            _ = ticks.tick() => tick(worker),
            // An error means that the control thread is gone, which ends the process anyway.
            _ = orders.wait_for(|order| *order == Order::Quit), if !quitting => {
                quitting = true;
                worker.deadlines().end_all();
            }
        }
    }
    worker.tick();
}

/// What is due a few times a second: looks at the deadlines of connections, then has the worker do
/// the rest.
pub fn tick(worker: &impl Accept) {
    worker.deadlines().sweep();
    worker.tick();
}

/// The times at which a worker that serves is to [`tick`].
pub fn ticks() -> Interval {
    ticker(TICK)
}

fn ticker(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
