//! CPU time and CPU affinity of threads and processes.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Pid;
use rustix::thread::{ClockId, CpuSet, sched_getaffinity, sched_setaffinity};

/// CPU time that the calling thread has used, in user and kernel mode.
pub fn thread_cpu() -> Duration {
    let now = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// What reading that clock costs: a system call, and taken off every batch.
pub fn clock_cost() -> Duration {
    let times = 10_000;
    let began = thread_cpu();
    for _ in 1..times {
        std::hint::black_box(thread_cpu());
    }
    (thread_cpu() - began) / times
}

/// The two cores that every measurement runs on.
///
/// Work that the kernel does in softirq on loopback runs on the core of whoever caused it, so the
/// sides are kept apart: what is measured alone on one core, its peer alone on the other.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// Core of the side that is measured.
    pub measured: usize,
    /// Core of the fixed peer; the same as `measured` on a machine with one core.
    pub peer: usize,
}

impl Cores {
    /// Takes the first two cores that this process may run on.
    ///
    /// # Errors
    ///
    /// When the kernel does not say which cores those are.
    pub fn of_this_process() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot read the CPU affinity")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let measured = cores.next().context("no CPU is allowed")?;
        Ok(Self {
            measured,
            peer: cores.next().unwrap_or(measured),
        })
    }
}

/// Pins the calling thread, and every process it starts from now on, to one core.
///
/// # Errors
///
/// When the kernel refuses.
pub fn pin_to(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot pin to core {core}"))
}

/// CPU time of a process and its children at one moment.
#[derive(Debug)]
pub struct ProcessCpu {
    /// Nanoseconds on a CPU by (process, thread).
    threads: BTreeMap<(u32, u32), u64>,
    /// User and system time of whole processes, exited threads included, as the kernel rounds it.
    coarse: Duration,
}

impl ProcessCpu {
    /// Reads the CPU time of `pid` and of its direct children (nginx's workers).
    ///
    /// # Errors
    ///
    /// When the process is gone, or the kernel has no `/proc/*/schedstat`.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let mut threads = BTreeMap::new();
        let mut coarse = Duration::ZERO;
        for process in family(pid)? {
            coarse += coarse_cpu(process)?;
            for thread in numbered(&format!("/proc/{process}/task"))? {
                let path = format!("/proc/{process}/task/{thread}/schedstat");
                // A thread may end between the listing and the read; the coarse time still has it.
                let Ok(text) = fs::read_to_string(&path) else {
                    continue;
                };
                let ran = text
                    .split_whitespace()
                    .next()
                    .and_then(|field| field.parse().ok());
                threads.insert(
                    (process, thread),
                    ran.with_context(|| format!("odd {path}"))?,
                );
            }
        }
        Ok(Self { threads, coarse })
    }

    /// CPU time used since `earlier`.
    ///
    /// The per-thread figure has nanoseconds but forgets threads that ended; the coarse one is
    /// rounded to clock ticks but forgets nothing. The second is used when it shows that the first
    /// missed something.
    pub fn since(&self, earlier: &Self) -> Duration {
        let fine = self
            .threads
            .iter()
            .map(|(key, ran)| ran.saturating_sub(earlier.threads.get(key).copied().unwrap_or(0)));
        let fine = Duration::from_nanos(fine.sum());
        let coarse = self.coarse.saturating_sub(earlier.coarse);
        if coarse > fine + 4 * TICK {
            coarse
        } else {
            fine
        }
    }
}

/// Resident memory of a process and its direct children, in bytes; what they share counts for each.
///
/// # Errors
///
/// When one is gone.
pub fn resident_bytes_of_family(pid: u32) -> anyhow::Result<u64> {
    family(pid)?.into_iter().map(resident_bytes).sum()
}

/// Resident memory of a process, in bytes.
///
/// # Errors
///
/// When the process is gone.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(1024 * kib.with_context(|| format!("no VmRSS in {path}"))?)
}

/// One clock tick of `/proc/*/stat`: USER_HZ is 100 on every Linux ABI.
const TICK: Duration = Duration::from_millis(10);

/// A process and its direct children.
///
/// # Errors
///
/// When it is gone.
pub(crate) fn family(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut processes = vec![pid];
    for thread in numbered(&format!("/proc/{pid}/task"))? {
        let path = format!("/proc/{pid}/task/{thread}/children");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        processes.extend(
            text.split_whitespace()
                .filter_map(|child| child.parse::<u32>().ok()),
        );
    }
    Ok(processes)
}

fn coarse_cpu(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The command name is in parentheses and may hold spaces; utime and stime are the 12th and
    // 13th fields after it.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u32>);
    let ticks: u32 = ticks
        .sum::<Result<u32, _>>()
        .with_context(|| format!("odd {path}"))?;
    Ok(TICK * ticks)
}

fn numbered(directory: &str) -> anyhow::Result<Vec<u32>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {directory}"))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

/// Lets this process, and those it starts, have as many open files as the kernel grants.
///
/// # Errors
///
/// When `wanted` files cannot be had.
pub fn raise_open_files(wanted: u64) -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    // Raising the hard limit is for root alone; staying below it is for everybody.
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum,
        },
    )
    .with_context(|| {
        format!("cannot have {wanted} open files; hint: ulimit -n {wanted} as root, then again")
    })
}

/// The [`Pid`] of a child, for the calls of rustix.
///
/// # Errors
///
/// When the number is none the kernel would give.
pub fn pid_of(child: &std::process::Child) -> anyhow::Result<Pid> {
    let raw = i32::try_from(child.id()).context("pid out of range")?;
    Pid::from_raw(raw).context("pid 0")
}
