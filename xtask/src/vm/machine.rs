//! One boot of one kernel: QEMU by software emulation, bounded in time, and what came of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::hang::{Hung, SILENCE, hang};
use super::log::{Log, kernel_fault};
use crate::shell;

/// How long a boot and all tests may take: three times what they take on a machine of two CPUs. A
/// guest that hangs is found sooner.
pub(crate) const LIMIT: Duration = Duration::from_secs(900);

/// How often the log is looked at.
const TICK: Duration = Duration::from_millis(250);

/// How often someone who waits hears that something happens.
const PROGRESS: Duration = Duration::from_secs(10);

/// A panic ends the VM at once, by the reboot that QEMU does not do. Warnings are what a kernel
/// reports its own faults by; the next level would be thousands of lines.
const KERNEL_COMMAND_LINE: &str =
    "console=ttyS0 loglevel=5 rdinit=/init panic=-1 oops=panic watchdog_thresh=30";

/// Has `vm/init` write a line to the third serial port every other second: tests that hang leave a
/// guest alive. Not where instructions are counted.
const SIGNS_OF_LIFE: &str = "underseal.alive";

/// Everything that QEMU emulates, but for one instruction: with CMPXCHG16B from QEMU 7.2 the
/// allocator of Linux 6.12 corrupted its free lists in half of all boots.
const CPU: &str = "max,-cx16";

/// The same without ERMS. Each byte that `rep movsb` copies is counted as an instruction, where a
/// real CPU copies dozens in a cycle; without ERMS the kernel copies eight bytes at a time.
const COUNTING_CPU: &str = "max,-cx16,-erms";

/// How the CPU is emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emulation {
    /// As fast as it can be, with so many CPUs.
    Fast { cpus: usize },
    /// One CPU that takes a nanosecond of the guest's time for each instruction, however long that
    /// takes here, so that the guest's clocks count instructions. Sleep takes no time here.
    Counting,
}

impl Emulation {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Fast { .. } => &["-accel", "tcg,thread=multi", "-cpu", CPU],
            Self::Counting => &[
                "-accel",
                "tcg,thread=single",
                "-icount",
                "shift=0,sleep=off",
                "-cpu",
                COUNTING_CPU,
            ],
        }
    }

    fn cpus(self) -> usize {
        match self {
            Self::Fast { cpus } => cpus,
            Self::Counting => 1,
        }
    }

    fn command_line(self) -> String {
        match self {
            Self::Fast { .. } => format!("{KERNEL_COMMAND_LINE} {SIGNS_OF_LIFE}"),
            Self::Counting => KERNEL_COMMAND_LINE.to_owned(),
        }
    }
}

/// A VM that is ready to boot.
pub(crate) struct Machine {
    /// What it is called in messages.
    pub(crate) name: String,
    /// The kernel's image.
    pub(crate) image: PathBuf,
    /// The packed initramfs.
    pub(crate) initramfs: PathBuf,
    /// What the programs say ends up here.
    pub(crate) log: PathBuf,
    /// The kernel's own log.
    pub(crate) console: PathBuf,
    /// How its CPU is emulated.
    pub(crate) emulation: Emulation,
    /// How long it may run.
    pub(crate) limit: Duration,
}

impl Machine {
    /// Boots, waits for the end, and returns the log of the programs.
    ///
    /// # Errors
    /// When the VM does not come up, does not end in time, or its kernel reports a fault; [`Hung`]
    /// where it is the emulator's fault. A program that failed is in the log.
    pub(crate) fn run(&self) -> Result<Log> {
        for file in [&self.log, &self.console, &self.alive()] {
            fs::write(file, "")?;
        }
        let child = self.command().spawn();
        let child = Running(child.context("cannot start qemu-system-x86_64")?);
        let ended = self.wait(child)?;
        let log = Log::parse(&read(&self.log)?);
        let console = read(&self.console)?;
        let silent = match ended {
            Ended::Silent(silent) => silent,
            _ => Duration::ZERO,
        };
        if let Some(why) = hang(&console, &log, silent) {
            return Err(Hung(format!("{why}, {}\n{}", log.state(), self.tails()?)).into());
        }
        if let Some(line) = kernel_fault(&console) {
            bail!("the kernel reported a fault: {line}\n{}", self.tails()?);
        }
        if let Ended::Silent(silent) = ended {
            let seconds = silent.as_secs();
            bail!(
                "stopped, silent for {seconds} s, {}\n{}",
                log.state(),
                self.tails()?
            );
        }
        if matches!(ended, Ended::TooLate) {
            let limit = self.limit.as_secs();
            bail!(
                "stopped after {limit} s, {}\n{}",
                log.state(),
                self.tails()?
            );
        }
        if !log.is_complete() {
            bail!("ended early, {}\n{}", log.state(), self.tails()?);
        }
        Ok(log)
    }

    fn command(&self) -> Command {
        let serial = |file: &Path| format!("file:{}", file.display());
        let mut command = shell::program("qemu-system-x86_64", &["-nodefaults", "-no-reboot"]);
        command
            .args(self.emulation.arguments())
            .args(["-smp", &self.emulation.cpus().to_string()])
            .args(["-m", "2048"])
            .args(["-display", "none", "-monitor", "none", "-nic", "none"])
            .args([
                "-serial",
                &serial(&self.console),
                "-serial",
                &serial(&self.log),
                "-serial",
                &serial(&self.alive()),
            ])
            .arg("-kernel")
            .arg(&self.image)
            .arg("-initrd")
            .arg(&self.initramfs)
            .args(["-append", &self.emulation.command_line()])
            .stdin(Stdio::null());
        command
    }

    /// Where the guest's signs of life end up.
    fn alive(&self) -> PathBuf {
        self.console.with_extension("alive")
    }

    fn wait(&self, mut child: Running) -> Result<Ended> {
        let start = Instant::now();
        let mut next = PROGRESS;
        let (mut written, mut heard) = (0, start);
        while start.elapsed() < self.limit {
            if let Some(status) = child.0.try_wait()? {
                if !status.success() {
                    bail!("qemu-system-x86_64 ended with {status}");
                }
                return Ok(Ended::ByItself);
            }
            if start.elapsed() > next {
                next += PROGRESS;
                let log = Log::parse(&read(&self.log)?);
                let seconds = start.elapsed().as_secs();
                eprintln!("xtask: vm {}: {seconds} s, {}", self.name, log.state());
                let now = self.written()?;
                if now != written {
                    (written, heard) = (now, Instant::now());
                }
                let silent = heard.elapsed();
                if self.emulation != Emulation::Counting
                    && (silent >= SILENCE || hang(&read(&self.console)?, &log, silent).is_some())
                {
                    return Ok(Ended::Silent(silent));
                }
            }
            thread::sleep(TICK);
        }
        Ok(Ended::TooLate)
    }

    /// Bytes that the guest has written to any of its ports.
    fn written(&self) -> Result<u64> {
        let files = [&self.log, &self.console, &self.alive()];
        let lens = files.map(|file| fs::metadata(file).map(|data| data.len()));
        Ok(lens.into_iter().sum::<std::io::Result<u64>>()?)
    }

    /// The ends of both logs, for a message.
    fn tails(&self) -> Result<String> {
        let mut text = String::new();
        for file in [&self.console, &self.log] {
            text.push_str(&format!(
                "--- the end of {}\n{}",
                file.display(),
                tail(&read(file)?)
            ));
        }
        Ok(text)
    }
}

/// How a VM came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    ByItself,
    /// Stopped: nothing came out of it for so long, or its kernel says that it hangs.
    Silent(Duration),
    /// Stopped at the limit.
    TooLate,
}

/// A child that does not outlive us, whichever way we go.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Either fails where the child has ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a serial port received: not always text, and lines end as on a terminal.
fn read(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
}

/// The last lines of `text`.
pub(crate) fn tail(text: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<_> = text.lines().collect();
    let skip = lines.len().saturating_sub(LINES);
    lines[skip..]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect()
}
