//! The client: one thread that sends what is due, whatever is answered.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use underseal::ClientConnection;
use underseal::blocking::{TlsConnector, TlsStream};

use super::service::{LEN, Service, number, request, work};
use crate::cpu_time::thread_cpu;
use crate::credentials::{Credentials, Provider, server_name};

/// How many requests, from whom, and what they cost.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections. The one of rank k sends 1/k as many requests as the first (Zipf).
    pub connections: usize,
    /// Requests per second, all connections together.
    pub rate: u32,
    /// Requests that are measured.
    pub requests: usize,
    /// Requests before that, to warm up.
    pub warm_up: usize,
    /// CPU time of a request, but for one in [`Self::one_in`].
    pub cheap: Duration,
    /// CPU time of that one.
    pub dear: Duration,
    /// One request in so many is dear.
    pub one_in: u32,
}

impl Load {
    /// The load of the figures in the documentation. Fewer requests than one in a hundred are dear:
    /// p99 is of cheap ones, and says how long they wait for dear ones and not how dear those are.
    pub const FULL: Self = Self {
        connections: 1000,
        rate: 6000,
        requests: 24_000,
        warm_up: 3000,
        cheap: Duration::from_micros(20),
        dear: Duration::from_millis(5),
        one_in: 250,
    };

    /// Just enough to run every line of code.
    pub const QUICK: Self = Self {
        connections: 20,
        rate: 500,
        requests: 60,
        warm_up: 10,
        ..Self::FULL
    };
}

/// One request.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Duration,
    connection: usize,
    rounds: u32,
}

/// Every request of a run.
#[derive(Debug)]
pub struct Schedule {
    load: Load,
    due: Vec<Due>,
}

impl Schedule {
    /// The requests of `load`, at random times: the same ones for the same seed.
    pub fn new(load: &Load, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let shares = (1..=load.connections).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        let shares: Vec<f64> = shares.collect();
        let all = shares.last().copied().unwrap_or(1.0);
        let rounds_per_second = rounds_per_second();
        let rounds = |time: Duration| (time.as_secs_f64() * rounds_per_second) as u32;
        let (cheap, dear) = (rounds(load.cheap), rounds(load.dear));
        let mut at = Duration::from_millis(1);
        let due = (0..load.warm_up + load.requests).map(|_| {
            at += Duration::from_secs_f64(-(1.0 - random.next()).ln() / f64::from(load.rate));
            let share = random.next() * all;
            let is_dear = random.next() * f64::from(load.one_in) < 1.0;
            Due {
                at,
                connection: shares
                    .partition_point(|sum| *sum <= share)
                    .min(shares.len() - 1),
                rounds: if is_dear { dear } else { cheap },
            }
        });
        Self {
            due: due.collect(),
            load: *load,
        }
    }

    /// How many connections send them.
    pub fn connections(&self) -> usize {
        self.load.connections
    }
}

/// The fastest of some tries: what the loop takes when nobody disturbs it.
fn rounds_per_second() -> f64 {
    const ROUNDS: u32 = 1_000_000;
    let tries = (0..10).map(|_| {
        let began = Instant::now();
        work(ROUNDS);
        f64::from(ROUNDS) / began.elapsed().as_secs_f64()
    });
    tries.fold(1.0, f64::max)
}

/// Numbers in 0..1, by xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One connection of the client.
pub struct Peer {
    stream: TlsStream<TcpStream, ClientConnection>,
    /// Requests without a reply.
    sent: VecDeque<usize>,
    reply: Vec<u8>,
}

/// Opens connections to `service`, one after the other.
///
/// # Errors
///
/// When one cannot be opened.
pub fn connect(
    credentials: &Credentials,
    service: &dyn Service,
    connections: usize,
) -> anyhow::Result<Vec<Peer>> {
    let connector = TlsConnector::from(credentials.client(Provider::Ring)?);
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let address = listener.local_addr()?;
    let open = || {
        let tcp = TcpStream::connect(address).context("cannot connect")?;
        tcp.set_nodelay(true)?;
        let (accepted, _) = listener.accept().context("cannot accept")?;
        accepted.set_nodelay(true)?;
        accepted.set_nonblocking(true)?;
        service.accept(accepted)?;
        let stream = connector.connect(server_name(), tcp)?;
        stream.get_ref().0.set_nonblocking(true)?;
        Ok(Peer {
            stream,
            sent: VecDeque::new(),
            reply: Vec::with_capacity(LEN),
        })
    };
    (0..connections).map(|_| open()).collect()
}

/// What came of a load.
#[derive(Debug)]
pub struct Outcome {
    /// From when a request was due to its reply.
    pub latencies: Vec<Duration>,
    /// Requests, the warm-up included.
    pub requests: usize,
    /// From the first to the last.
    pub elapsed: Duration,
    /// CPU time of the client.
    pub client_cpu: Duration,
    /// How late requests were sent, on average: what the client itself adds.
    pub late: Duration,
}

/// Sends the requests of `schedule`, and waits for the replies.
///
/// # Errors
///
/// When a connection ends, or a reply is wrong or does not come.
pub fn run(peers: Vec<Peer>, schedule: &Schedule) -> anyhow::Result<Outcome> {
    // In a thread of its own, whose priority and CPU time are nobody else's.
    let client = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            go_first();
            let before = thread_cpu();
            let mut client = Client::new(peers, schedule)?;
            client.run()?;
            client.outcome(thread_cpu() - before)
        });
        client.join()
    });
    client.unwrap_or_else(|_| Err(anyhow!("the client panicked")))
}

/// A client that waits for a core measures its own waiting: where it may, it goes before everybody.
/// Where it may not, every row suffers alike; `late_us` says how much.
fn go_first() {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let chrt = ["--fifo", "--pid", "1", &thread];
    let _ = Command::new("chrt")
        .args(chrt)
        .stderr(Stdio::null())
        .status();
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1000));
}

/// No reply may take longer.
const PATIENCE: Duration = Duration::from_secs(20);

struct Client<'a> {
    peers: Vec<Peer>,
    schedule: &'a Schedule,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    began: Instant,
    sent: usize,
    answered: usize,
    late: Duration,
    latencies: Vec<Duration>,
}

impl<'a> Client<'a> {
    fn new(peers: Vec<Peer>, schedule: &'a Schedule) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (index, peer) in peers.iter().enumerate() {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, peer.stream.get_ref().0, data, epoll::EventFlags::IN)?;
        }
        Ok(Self {
            peers,
            schedule,
            epoll,
            events: Vec::with_capacity(256),
            began: Instant::now(),
            sent: 0,
            answered: 0,
            late: Duration::ZERO,
            latencies: Vec::with_capacity(schedule.load.requests),
        })
    }

    fn run(&mut self) -> anyhow::Result<()> {
        while self.answered < self.schedule.due.len() {
            self.send_due()?;
            let next = self.schedule.due.get(self.sent).map(|due| due.at);
            let wait = next.map_or(PATIENCE, |at| at.saturating_sub(self.began.elapsed()));
            if !self.wait(wait)? && next.is_none() {
                bail!("{} requests without a reply", self.sent - self.answered);
            }
            for index in 0..self.events.len() {
                let peer = self.events[index].data.u64() as usize;
                self.receive(peer)?;
            }
        }
        Ok(())
    }

    fn send_due(&mut self) -> anyhow::Result<()> {
        while let Some(due) = self.schedule.due.get(self.sent) {
            let now = self.began.elapsed();
            let Some(late) = now.checked_sub(due.at) else {
                break;
            };
            let peer = &mut self.peers[due.connection];
            let request = request(self.sent as u64, due.rounds);
            let written = peer.stream.write(&request).context("cannot send")?;
            ensure!(written == LEN, "a request was cut");
            peer.sent.push_back(self.sent);
            self.late += late;
            self.sent += 1;
        }
        Ok(())
    }

    /// Waits for replies, and says whether there are any. `epoll_wait` counts milliseconds, `poll`
    /// nanoseconds.
    fn wait(&mut self, time: Duration) -> anyhow::Result<bool> {
        let timeout = Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        self.events.clear();
        let mut polled = [PollFd::new(&self.epoll, PollFlags::IN)];
        if poll(&mut polled, Some(&timeout))? == 0 {
            return Ok(false);
        }
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        epoll::wait(&self.epoll, spare, Some(&Timespec::default()))?;
        Ok(true)
    }

    fn receive(&mut self, index: usize) -> anyhow::Result<()> {
        let peer = &mut self.peers[index];
        let mut buffer = [0; 16 * LEN];
        loop {
            let read = match peer.stream.read(&mut buffer) {
                Ok(0) => bail!("the service ended a connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot receive"),
            };
            let now = self.began.elapsed();
            for byte in &buffer[..read] {
                peer.reply.push(*byte);
                if peer.reply.len() < LEN {
                    continue;
                }
                let expected = peer.sent.pop_front().context("a reply to nothing")?;
                ensure!(number(&peer.reply) == expected as u64, "a wrong reply");
                peer.reply.clear();
                self.answered += 1;
                if expected >= self.schedule.load.warm_up {
                    self.latencies.push(now - self.schedule.due[expected].at);
                }
            }
        }
    }

    fn outcome(self, client_cpu: Duration) -> anyhow::Result<Outcome> {
        let requests = u32::try_from(self.sent)?;
        Ok(Outcome {
            latencies: self.latencies,
            requests: self.sent,
            elapsed: self.began.elapsed(),
            client_cpu,
            late: self.late / requests.max(1),
        })
    }
}
