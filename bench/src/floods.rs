//! What others on a worker notice of a peer that asks for a key update after each byte that it
//! sends, and reads nothing.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{ScopedJoinHandle, scope};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use underseal::TlsAcceptor;

use crate::context::Context;
use crate::cpu_time::pin_to;
use crate::credentials::Provider;
use crate::pairs::{client_handshake, pour};
use crate::report::figures::{Figure, Target, ratio};
use crate::report::tables::{list, titled};
use crate::round_trip::quantile;
use crate::rows::asynchronous::{Asynchronous, reply_once};
use crate::rows::underseal_tokio::UndersealTokio;
use crate::rows::{MESSAGE, Row as _, Tuning};
use crate::run::{Run, Samples};
use crate::suite::{Measure, Suite};

/// `cargo xtask bench floods`.
pub const SUITE: Suite = Suite {
    name: "floods",
    measures: &[Measure {
        name: MEASURE,
        rounds: |scale| scale.rounds.div_ceil(2),
        take: measure,
    }],
    check: |_, _| Ok(()),
    figures,
    tables,
};

/// The only measure.
pub const MEASURE: &str = "bystander";

/// Names of the rows.
pub mod name {
    /// Nobody else is there.
    pub const ALONE: &str = "alone";
    /// The worker handles the flood as well.
    pub const FLOODED: &str = "beside a flood of key updates";
}

/// Round trips of the bystander before it looks whether the flood is over.
const AT_ONCE: usize = 20;

fn figures(run: &Run) -> Vec<Figure> {
    let p99 = |row| run.samples.series(MEASURE, row, "", "p99_us");
    let what = "a connection beside a flood of key updates on its worker: p99 ÷ without the flood";
    let (flooded, alone) = (p99(name::FLOODED), p99(name::ALONE));
    vec![ratio(what, Target::AtMost(2.0), &flooded, &alone)]
}

fn tables(run: &Run) -> String {
    let values = [
        ("p50_us", "p50, µs"),
        ("p99_us", "p99, µs"),
        ("round_trips", "round trips"),
        ("updates_per_s", "key updates/s"),
    ];
    let title = "a connection on a worker, 1 KiB there and back";
    titled(title, list(&run.samples, MEASURE, &values))
}

/// Measures a bystander's round trips, alone and beside the flood.
fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let rows = [(name::ALONE, 0), (name::FLOODED, context.scale.updates)];
    for (name, updates) in context.in_turn(rows.to_vec(), round) {
        if !context.wants(name) {
            continue;
        }
        let mut seen = bystander(context, updates).with_context(|| name.to_owned())?;
        seen.latencies.sort_unstable();
        samples.add(
            (MEASURE, name, "", round),
            &[
                ("p50_us", quantile(&seen.latencies, 0.50)),
                ("p99_us", quantile(&seen.latencies, 0.99)),
                ("round_trips", seen.latencies.len() as f64),
                ("updates_per_s", seen.updates_per_s(updates)),
            ],
        );
    }
    Ok(())
}

/// What a bystander saw.
struct Seen {
    latencies: Vec<Duration>,
}

impl Seen {
    /// Requests for updates that the worker handled meanwhile.
    fn updates_per_s(&self, updates: usize) -> f64 {
        let took: Duration = self.latencies.iter().sum();
        updates as f64 / took.as_secs_f64()
    }
}

/// What the bystander has to know of the flood.
struct Flood {
    updates: usize,
    /// Says so when all of it is sealed, so that its sender needs no more CPU than to write.
    is_sealed: Receiver<()>,
    /// Ends when the worker has handled all of it.
    is_over: Receiver<()>,
}

/// Round trips on a worker that handles `updates` requests for key updates at the same time: as
/// many as that takes, or a fixed number without a flood.
fn bystander(context: &Context, updates: usize) -> anyhow::Result<Seen> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    let address = listener.local_addr()?;
    let cores = context.cores;
    let acceptor = TlsAcceptor::from(context.credentials.server(Provider::Ring)?);
    let (sealed, is_sealed) = channel();
    let (over, is_over) = channel();
    let (left, has_left) = channel();
    scope(|scope| {
        let worker = scope.spawn(move || {
            pin_to(cores.measured)?;
            work(listener, &acceptor, updates, over)
        });
        let flood = scope.spawn(move || {
            pin_to(cores.peer)?;
            match updates {
                0 => Ok(()),
                _ => flood(
                    context,
                    TcpStream::connect(address)?,
                    updates,
                    &sealed,
                    &has_left,
                ),
            }
        });
        let flooding = Flood {
            updates,
            is_sealed,
            is_over,
        };
        let asking = scope.spawn(move || {
            pin_to(cores.peer)?;
            let seen = ask(context, || TcpStream::connect(address), &flooding);
            drop(left);
            seen
        });
        let seen = joined(asking);
        joined(flood)?;
        joined(worker)?;
        seen
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    let joined = thread.join();
    joined.unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
}

/// One worker, as in a server: a runtime of one thread, and a task per connection. The flood, if
/// there is one, comes first.
fn work(
    listener: TcpListener,
    acceptor: &TlsAcceptor,
    updates: usize,
    over: Sender<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    listener.set_nonblocking(true)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let flood = match updates {
            0 => None,
            _ => {
                let (tcp, _) = listener.accept().await?;
                let stream = acceptor.accept(tcp).await?;
                Some(tokio::spawn(take(stream, over)))
            }
        };
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let mut stream = acceptor.accept(tcp).await?;
        // Until the bystander leaves.
        while reply_once(&mut stream).await.is_ok() {}
        if let Some(flood) = flood {
            let taken = flood.await?;
            ensure!(taken == updates, "the flood ended after {taken} updates");
        }
        Ok(())
    })
}

/// Takes all bytes that come, and says how many they were. `over` is dropped then.
async fn take(mut stream: impl AsyncRead + Unpin, over: Sender<()>) -> usize {
    let (mut taken, mut buffer) = (0, [0; MESSAGE]);
    // The stream ends without close_notify, which is an error.
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        taken += count;
    }
    drop(over);
    taken
}

/// Asks for `updates` key updates at the pace of plain TCP, one after each byte, and reads nothing.
fn flood(
    context: &Context,
    mut tcp: TcpStream,
    updates: usize,
    is_sealed: &Sender<()>,
    bystander_left: &Receiver<()>,
) -> anyhow::Result<()> {
    let config = context.credentials.client(Provider::Ring)?;
    let mut connection = client_handshake(&config, &mut tcp)?;
    let mut sealed = Vec::new();
    for _ in 0..updates {
        connection.writer().write_all(&[0x5a])?;
        connection.refresh_traffic_keys()?;
        while connection.wants_write() {
            connection.write_tls(&mut sealed)?;
        }
    }
    is_sealed.send(())?;
    pour(&mut tcp, &sealed)?;
    // What it did not read would reset the connection: it stays as long as the measurement.
    let _ = bystander_left.recv();
    Ok(())
}

/// Makes round trips until the flood is over.
fn ask(
    context: &Context,
    connect: impl FnOnce() -> io::Result<TcpStream>,
    flood: &Flood,
) -> anyhow::Result<Seen> {
    let row = Asynchronous(UndersealTokio::new(&context.credentials, Provider::Ring)?);
    if flood.updates > 0 {
        flood.is_sealed.recv().context("the flood failed")?;
    }
    let tcp = connect()?;
    tcp.set_nodelay(true)?;
    let mut link = row.connect(tcp, Tuning::default())?;
    if flood.updates == 0 {
        let latencies = link.request(context.scale.round_trips)?;
        return Ok(Seen { latencies });
    }
    let mut latencies = Vec::new();
    while flood.is_over.try_recv() == Err(TryRecvError::Empty) {
        latencies.extend(link.request(AT_ONCE)?);
    }
    Ok(Seen { latencies })
}
