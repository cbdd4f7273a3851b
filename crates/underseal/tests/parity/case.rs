//! One cell of the matrix: what a test is run with, and what this kernel makes of it.

use std::fmt::Display;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use underseal::record::{Algorithm, ProtocolVersion};
use underseal::{Direction, Engine, Engines, Errno, Error, Offload, Offloads, Refusal};
use underseal_sys::probe::KernelTls;
use underseal_testkit::Suite;

use crate::connect::sockets;

/// How long one test may take before it fails by its name: far more than it takes under software
/// emulation of a whole machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What one test is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) suite: Suite,
    /// The engines of the stream under test. Its peer is not underseal, or on the user engine.
    pub(crate) engines: Engines,
    /// The test's full name, as the test harness prints it.
    name: &'static str,
}

impl Case {
    /// `path` is `module_path!()` and the function's name: it starts with the name of this crate.
    pub(crate) fn new(suite: Suite, tx: Engine, rx: Engine, path: &'static str) -> Self {
        let (_, name) = path.split_once("::").expect("a path below the crate");
        let engines = Engines { tx, rx };
        Self {
            suite,
            engines,
            name,
        }
    }

    /// Runs `test` in a thread of its own for a bounded time, so that one that hangs says so.
    pub(crate) fn run(self, test: fn(Self)) {
        let (done, wait) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let _done = done;
            match self.refused_suite() {
                None => test(self),
                Some(refusal) => self.fails_loudly(refusal),
            }
        });
        match wait.recv_timeout(LIMIT) {
            Err(RecvTimeoutError::Timeout) => panic!("{} hangs: {LIMIT:?} are over", self.name),
            // The sender is dropped by the end of the test, be it a panic.
            _ => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        }
    }

    /// The same case before its engines are swapped.
    pub(crate) fn on_user_engines(self) -> Self {
        let engines = Engines {
            tx: Engine::User,
            rx: Engine::User,
        };
        Self { engines, ..self }
    }

    /// What the stream under test is asked for: nothing is left to be chosen.
    pub(crate) fn offloads(self) -> Offloads {
        let offload = |engine| match engine {
            Engine::User => Offload::User,
            Engine::Kernel => Offload::Kernel,
            other => panic!("no case has the engine {other}"),
        };
        Offloads {
            tx: offload(self.engines.tx),
            rx: offload(self.engines.rx),
        }
    }

    pub(crate) fn engine(self, direction: Direction) -> Engine {
        match direction {
            Direction::Tx => self.engines.tx,
            Direction::Rx => self.engines.rx,
        }
    }

    fn kernel_directions(self) -> impl Iterator<Item = Direction> {
        let directions = Direction::ALL.into_iter();
        directions.filter(move |direction| self.engine(*direction) == Engine::Kernel)
    }

    /// Why the kernel does not take this suite. AES-GCM is older than every kernel that counts.
    fn refused_suite(self) -> Option<(Direction, Refusal)> {
        let algorithm = match self.suite {
            Suite::Tls13Aes128 | Suite::Tls12Aes128 => Algorithm::Aes128Gcm,
            Suite::Tls13Aes256 | Suite::Tls12Aes256 => Algorithm::Aes256Gcm,
            Suite::Tls13ChaCha20 | Suite::Tls12ChaCha20 => Algorithm::ChaCha20Poly1305,
        };
        let version = match self.suite.is_tls13() {
            true => ProtocolVersion::Tls13,
            false => ProtocolVersion::Tls12,
        };
        let refused = self.kernel_directions().find_map(|direction| {
            let engine = Offload::Kernel.engine(direction, version, algorithm);
            engine.err().map(|refusal| (direction, refusal))
        })?;
        let (_, refusal) = refused;
        let known = matches!(refusal, Refusal::Keys(_)) && algorithm == Algorithm::ChaCha20Poly1305;
        assert!(known, "{}: {refusal}", self.name);
        Some(refused)
    }

    /// The documented end where the kernel lacks the suite: the connection is refused.
    fn fails_loudly(self, (direction, refusal): (Direction, Refusal)) {
        let error = self.try_server(sockets()).unwrap_err();
        let expected = Error::Offload { direction, refusal };
        assert_eq!(error.to_string(), expected.to_string());
        self.unsupported(refusal);
    }

    /// Why the kernel cannot update the key of `direction`, if it has to.
    pub(crate) fn cannot_rekey(self, direction: Direction) -> Option<Refusal> {
        let errno = KernelTls::get().rekey.errno()?;
        let kernel = self.engine(direction) == Engine::Kernel;
        kernel.then_some(Refusal::Rekey(Errno::from_raw_os_error(
            errno.raw_os_error(),
        )))
    }

    /// Whether the keys of all `directions` can be updated. Where it is the kernel that cannot,
    /// that is said.
    pub(crate) fn can_update_keys(self, directions: &[Direction]) -> bool {
        if !self.suite.is_tls13() {
            return false;
        }
        let mut directions = directions.iter();
        let refusal = directions.find_map(|direction| self.cannot_rekey(*direction));
        if let Some(refusal) = refusal {
            self.unsupported(refusal);
        }
        refusal.is_none()
    }

    /// Says that the kernel cannot do what the test is about, after the test saw the documented
    /// end of it. KERNELS.md is made of these lines.
    pub(crate) fn unsupported(self, reason: impl Display) {
        println!("unsupported: {} {reason}", self.name);
    }
}
