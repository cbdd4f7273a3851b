//! nginx while it is replaced: its workers by a reload, and itself by another binary.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use underseal_testkit::require_program;

use crate::nginx::{Nginx, content, eventually};

const LEN: usize = 1_000_000;

/// Starts nginx, and ends when it is there: it takes a new binary only where its parent is another than at first.
const START: &str = r#"file=$1; shift
("$@" & while ! [ -s "$file" ]; do sleep 0.01; done)
while :; do sleep 1; done"#;

/// nginx that hands the library on.
fn nginx() -> Nginx {
    let program = |root: &Path| {
        let mut command = Command::new(require_program("sh"));
        command.args(["-c", START, "start"]).arg(root.join("pid"));
        command.arg(require_program("nginx"));
        command.args(["-g", "env LD_PRELOAD; env UNDERSEAL_PRELOAD_ALWAYS;"]);
        command
    };
    Nginx::start_as("ssl_protocols TLSv1.3;", &[LEN], program).started_by_another()
}

/// Fetches over and over while `meanwhile` runs: each download is whole. Returns what that does.
fn under_load<T>(nginx: &Nginx, meanwhile: impl FnOnce() -> T) -> T {
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let expected = content(LEN);
    let fetch = || {
        while !is_over.load(Ordering::Relaxed) {
            assert!(nginx.fetch(LEN, &["--http1.1"]) == expected, "they differ");
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let clients = [(); 3].map(|()| scope.spawn(fetch));
        eventually(|| (count.load(Ordering::Relaxed) > 0).then_some(()));
        let over = Over(&is_over);
        let done = meanwhile();
        drop(over);
        for client in clients {
            client.join().expect("whole downloads");
        }
        done
    })
}

/// Ends the load, also where a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until one of the workers has sealed a file by the socket.
fn seals(nginx: &Nginx, workers: impl Fn() -> Vec<u32>) {
    eventually(|| {
        let log = nginx.log();
        let workers: Vec<String> = workers().iter().map(|pid| format!("{pid}#")).collect();
        let has_sealed = |line: &str| {
            line.contains("SSL_sendfile") && workers.iter().any(|worker| line.contains(worker))
        };
        log.lines().any(has_sealed).then_some(())
    });
}

#[test]
fn reloads_under_load_end_no_download_and_every_worker_seals() {
    let nginx = nginx();
    under_load(&nginx, || {
        for _ in 0..3 {
            let before = nginx.workers();
            nginx.signal(Signal::HUP);
            seals(&nginx, || {
                let mut new = nginx.workers();
                new.retain(|worker| !before.contains(worker));
                new
            });
        }
    });
}

/// Another master, which the one that has started it does not end.
struct Master(u32);

impl Master {
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        let _ = kill_process(pid.expect("a number"), signal);
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        eventually(|| (!Path::new(&format!("/proc/{}", self.0)).exists()).then_some(()));
    }
}

#[test]
fn a_new_binary_under_load_ends_no_download_and_seals_as_the_old_one() {
    let nginx = nginx();
    let pid = nginx.root().join("pid");
    let _new = under_load(&nginx, || {
        let old = fs::read_to_string(&pid).expect("a master");
        nginx.signal(Signal::USR2);
        let new = eventually(|| {
            let new = fs::read_to_string(&pid).ok().filter(|new| *new != old)?;
            new.trim().parse().ok()
        });
        let new = Master(new);
        let workers = || Nginx::workers_of(new.0);
        eventually(|| (!workers().is_empty()).then_some(()));
        seals(&nginx, workers);
        // The old one and its workers end with what they are doing.
        nginx.signal(Signal::QUIT);
        eventually(|| (!nginx.is_running()).then_some(()));
        let before = nginx.log().len();
        eventually(|| nginx.log()[before..].contains("SSL_sendfile").then_some(()));
        new
    });
}
