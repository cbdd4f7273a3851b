//! What something took: on the clock, and of CPUs, which other work on the machine does not make more.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

/// In which the kernel counts, per second: the same on every architecture that Rust has.
const TICKS: u64 = 100;

/// A beginning.
pub(crate) struct Meter {
    start: Instant,
    cpu: Option<Duration>,
}

/// What has been used since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// Of the programs that were waited for since, whoever started them; none where the kernel does not say.
    pub(crate) cpu: Option<Duration>,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            cpu: of_children(),
        }
    }

    pub(crate) fn read(&self) -> Cost {
        let cpu = of_children().zip(self.cpu);
        Cost {
            wall: self.start.elapsed(),
            cpu: cpu.map(|(now, then)| now.saturating_sub(then)),
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7.1} s", self.wall.as_secs_f64())?;
        match self.cpu {
            Some(cpu) => write!(f, ", {:>7.1} s of CPUs", cpu.as_secs_f64()),
            None => Ok(()),
        }
    }
}

fn of_children() -> Option<Duration> {
    parse(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// The fields `cutime` and `cstime` of proc_pid_stat(5): children that were waited for, and theirs.
fn parse(stat: &str) -> Option<Duration> {
    // The name before stands in parentheses, and may have blanks and parentheses in it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(13);
    let ticks = [fields.next()?, fields.next()?].map(str::parse::<u64>);
    let [user, system] = ticks.map(Result::ok);
    Some(Duration::from_millis((user? + system?) * 1000 / TICKS))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_time_of_children_is_found_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 250 50 20 0 1 0";
        assert_eq!(parse(stat), Some(Duration::from_secs(3)));
        assert_eq!(parse("7 (cut"), None);
    }

    #[test]
    fn what_a_child_computes_is_counted() {
        let meter = Meter::start();
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let status = Command::new("sh").args(["-c", script]).status().unwrap();
        assert!(status.success());
        assert!(meter.read().cpu.unwrap() > Duration::ZERO);
    }
}
