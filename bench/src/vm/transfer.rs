//! One transfer between two processes, and what it cost each.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::contenders::{Arguments, Contender};
use super::counters::Counters;
use super::side::Role;
use crate::credentials::Suite;
use crate::pairs::tcp_pair;

/// Longest wait for a word of a side, in the guest's time: 100 thousand million instructions.
const PATIENCE: Duration = Duration::from_secs(100);

/// What is moved, and how.
pub(super) struct Transfer<'a> {
    pub(super) directory: &'a Path,
    pub(super) suite: Suite,
    pub(super) bytes: u64,
    pub(super) piece: usize,
}

/// Who plays one side of it, and as what.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) contender: &'a Contender,
    pub(super) role: Role,
}

/// What it cost, in instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// The side that is measured.
    pub(super) own: u64,
    /// Its peer.
    pub(super) peer: u64,
    /// Everything else that ran: kernel threads, and this process.
    pub(super) elsewhere: u64,
}

impl Transfer<'_> {
    /// Starts both sides, lets them move the data, and adds up.
    ///
    /// # Errors
    ///
    /// When a side fails, or the kernel took over other directions than it should have.
    pub(super) fn run(&self, own: &End<'_>, peer: &End<'_>) -> anyhow::Result<Cost> {
        let before = Counters::now();
        let (far, near) = tcp_pair()?;
        let mut own_side = self.start(own, near)?;
        let mut peer_side = self.start(peer, far)?;
        own_side.hear("ready")?;
        peer_side.hear("ready")?;
        let ready = Counters::now();
        check_engines(&before, &ready, own, peer)?;
        peer_side.go()?;
        own_side.go()?;
        let (own, peer) = (own_side.cost()?, peer_side.cost()?);
        let running = Counters::now().running - ready.running;
        own_side.end()?;
        peer_side.end()?;
        Ok(Cost {
            own,
            peer,
            elsewhere: running.saturating_sub(own + peer),
        })
    }

    fn start(&self, end: &End<'_>, tcp: TcpStream) -> anyhow::Result<Process> {
        let arguments = Arguments {
            bytes: self.bytes,
            piece: self.piece,
            suite: self.suite,
            directory: self.directory,
        };
        let (control, theirs) = UnixStream::pair().context("no socket pair")?;
        control.set_read_timeout(Some(PATIENCE))?;
        let mut command = end.contender.command(end.role, &arguments)?;
        command.stdin(Stdio::from(OwnedFd::from(tcp)));
        command.stdout(Stdio::from(OwnedFd::from(theirs)));
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Process {
            child,
            control: BufReader::new(control),
            name: format!("{} as {}", end.contender.name, end.role.word()),
        })
    }
}

/// Compares what the kernel took over with what both ends claim.
fn check_engines(
    before: &Counters,
    ready: &Counters,
    own: &End<'_>,
    peer: &End<'_>,
) -> anyhow::Result<()> {
    let claims = |direction: usize| -> u64 {
        let ends = [own, peer].into_iter();
        let playing = ends.filter(|end| !matches!(end.role, Role::Drain | Role::Pour));
        playing
            .map(|end| u64::from(end.contender.in_kernel[direction]))
            .sum()
    };
    let took = (
        ready.tls_tx.saturating_sub(before.tls_tx),
        ready.tls_rx.saturating_sub(before.tls_rx),
    );
    let claimed = (claims(0), claims(1));
    ensure!(
        took == claimed,
        "the kernel took over {took:?} sending and receiving directions, and should have {claimed:?}"
    );
    Ok(())
}

/// A side that runs.
struct Process {
    child: Child,
    control: BufReader<UnixStream>,
    name: String,
}

impl Process {
    /// Waits for a line that begins with `word`, and gives the rest of it.
    fn hear(&mut self, word: &str) -> anyhow::Result<String> {
        let mut line = String::new();
        let heard = self.control.read_line(&mut line);
        heard.with_context(|| format!("{} says nothing", self.name))?;
        let rest = line.strip_prefix(word).map(str::trim);
        let rest = rest.with_context(|| format!("{} says {line:?}, not {word}", self.name))?;
        Ok(rest.to_owned())
    }

    fn go(&mut self) -> anyhow::Result<()> {
        let said = self.control.get_mut().write_all(b"go\n");
        said.with_context(|| format!("{} does not listen", self.name))
    }

    fn cost(&mut self) -> anyhow::Result<u64> {
        let text = self.hear("done")?;
        let parsed = text.parse();
        parsed.with_context(|| format!("{} took {text:?}", self.name))
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended by itself where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::contenders::Engine;

    fn counted(tls_tx: u64, tls_rx: u64) -> Counters {
        Counters {
            tls_tx,
            tls_rx,
            running: 0,
        }
    }

    #[test]
    fn a_row_must_use_the_engine_it_claims_and_no_other() {
        let (user, kernel) = (Engine::User, Engine::Kernel);
        let (user, kernel) = (Contender::underseal(user), Contender::underseal(kernel));
        let check = |after: Counters, own: &Contender, peer: Role| {
            let own = End {
                contender: own,
                role: Role::Send,
            };
            let peer = End {
                contender: &kernel,
                role: peer,
            };
            check_engines(&counted(7, 7), &after, &own, &peer).is_ok()
        };
        assert!(check(counted(8, 8), &kernel, Role::Drain));
        assert!(!check(counted(7, 7), &kernel, Role::Drain), "fell back");
        assert!(!check(counted(8, 7), &kernel, Role::Drain), "fell back");
        assert!(check(counted(7, 7), &user, Role::Drain));
        assert!(
            !check(counted(8, 7), &user, Role::Drain),
            "asked the kernel"
        );
        assert!(check(counted(9, 9), &kernel, Role::ReceiveAsClient));
    }
}
