//! A program whose children outlive it and write without end if they can: everything in its session is killed, and
//! its output is capped.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::shell;

/// How long the program may run.
const LIMIT: Duration = Duration::from_secs(1800);

/// Bytes of output after which the kernel ends who writes more.
const MOST_OUTPUT: &str = "--fsize=16000000";

/// How often killing is tried: a process may start another meanwhile.
const TRIES: u32 = 10;

/// A session, which is killed on drop.
pub(super) struct Session(u32);

impl Session {
    /// Runs `program` under the library, with its output in a file, until it ends or its time is over.
    pub(super) fn run(program: &Path, arguments: &[String], output: &Path) -> Result<()> {
        let out = File::create(output)?;
        let library = shell::root().join("target/debug/libunderseal_preload.so");
        // Not a leader of its group, so that setsid replaces itself by what it starts.
        let mut command = shell::program("setsid", &["prlimit", MOST_OUTPUT]);
        command.arg(program).args(arguments);
        command.env("LD_PRELOAD", library);
        command.env("UNDERSEAL_PRELOAD_ALWAYS", "1");
        command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let mut child = command.spawn().context("cannot start the test")?;
        let _session = Self(child.id());
        let end = Instant::now() + LIMIT;
        while child.try_wait()?.is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// The processes of the session.
    fn members(&self) -> Vec<String> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| self.has(name)).collect()
    }

    fn has(&self, process: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The command's name is in parentheses and may hold blanks; the session is the fourth field behind it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let session = fields.split_whitespace().nth(3);
        session.and_then(|session| session.parse().ok()) == Some(self.0)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            let members = self.members();
            if members.is_empty() {
                return;
            }
            let mut kill = shell::program("kill", &["-KILL"]);
            // One of them may have ended meanwhile.
            let _ = kill.args(members).stderr(Stdio::null()).status();
            thread::sleep(Duration::from_millis(50));
        }
    }
}
