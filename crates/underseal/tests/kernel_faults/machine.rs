//! The machine the tests run on, which they change, one at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use underseal_testkit::PATIENCE;

/// The machine, for one test.
pub(crate) struct Machine(
    #[expect(dead_code, reason = "held, not looked at")] MutexGuard<'static, ()>,
);

/// Waits until no other test changes the machine. A test that failed has put everything back.
pub(crate) fn alone() -> Machine {
    static ALONE: Mutex<()> = Mutex::new(());
    assert!(
        std::env::var_os("UNDERSEAL_VM_KERNEL").is_some(),
        "this test changes the machine it runs on: run it with `cargo xtask vm`"
    );
    Machine(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A kernel setting, put back when this is dropped.
pub(crate) struct Setting {
    path: PathBuf,
    before: String,
}

impl Machine {
    /// Sets `name` below `/proc/sys`.
    pub(crate) fn set(&self, name: &str, value: &str) -> Setting {
        let path = Path::new("/proc/sys").join(name);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, value).unwrap();
        Setting { path, before }
    }

    /// Unloads the module `tls` as soon as no socket uses it.
    pub(crate) fn unload_tls(&self) {
        let start = Instant::now();
        while !self.try_unload_tls() {
            assert!(start.elapsed() < PATIENCE, "sockets keep the module tls");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the kernel let the module `tls` go.
    pub(crate) fn try_unload_tls(&self) -> bool {
        let rmmod = Command::new("rmmod").arg("tls").output().unwrap();
        assert_eq!(!rmmod.status.success(), self.has_tls(), "{rmmod:?}");
        rmmod.status.success()
    }

    /// Whether the module `tls` is loaded.
    pub(crate) fn has_tls(&self) -> bool {
        Path::new("/sys/module/tls/refcnt").exists()
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        fs::write(&self.path, &self.before).unwrap();
    }
}
