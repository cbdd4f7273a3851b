//! One cell of the matrix, and the time it may take.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use underseal_testkit::Suite;

/// How long one test may take before it fails by its name: far more than it takes under software
/// emulation of a whole machine.
const LIMIT: Duration = Duration::from_secs(90);

/// What one test is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) suite: Suite,
    /// The test's full name, as the test harness prints it.
    name: &'static str,
}

impl Case {
    /// `path` is `module_path!()` and the function's name: it starts with the name of this crate.
    pub(crate) fn new(suite: Suite, path: &'static str) -> Self {
        let (_, name) = path.split_once("::").expect("a path below the crate");
        Self { suite, name }
    }

    /// Runs `test` in a thread of its own for a bounded time, so that one that hangs says so.
    pub(crate) fn run(self, test: fn(Self)) {
        let (done, wait) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let _done = done;
            test(self);
        });
        match wait.recv_timeout(LIMIT) {
            Err(RecvTimeoutError::Timeout) => panic!("{} hangs: {LIMIT:?} are over", self.name),
            // The sender is dropped by the end of the test, be it a panic.
            _ => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        }
    }
}
