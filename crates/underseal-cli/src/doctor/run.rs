//! What `underseal run` finds here: its library, a dynamic linker that loads it, and what the library asks of the
//! kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, getrlimit};
use underseal_sys::probe::{self, Memory};

use super::report::{Answer, Entry, Finding, Outcome, Section};
use crate::exit::Failure;
use crate::run::library;

/// What was found out.
pub(super) struct Facts {
    /// Where the library is, or why it is nowhere.
    pub(super) preload: Result<PathBuf, Failure>,
    /// Whether the dynamic linker loads it; nothing where that could not be tried.
    pub(super) is_loaded: Option<bool>,
    pub(super) memory: Memory,
    /// Descriptors that a process may have; nothing for as many as it likes.
    pub(super) descriptors: Option<u64>,
}

/// Has the dynamic linker say what it would load for this binary.
pub(super) fn probe() -> Section {
    let library = library::find();
    section(Facts {
        is_loaded: library.as_ref().ok().and_then(|library| is_loaded(library)),
        preload: library,
        memory: Memory::probe(),
        descriptors: getrlimit(Resource::Nofile).current,
    })
}

fn is_loaded(library: &Path) -> Option<bool> {
    let mut command = Command::new("/proc/self/exe");
    // The linker lists what it loads, and runs nothing.
    command.env("LD_TRACE_LOADED_OBJECTS", "1");
    command.env("LD_PRELOAD", library).arg("--version");
    let listed = command.output().ok()?.stdout;
    let listed = String::from_utf8_lossy(&listed);
    let library = library.to_str()?;
    // Another file without a linker would have said its version.
    let is_list = listed.contains(" => ");
    is_list.then(|| listed.contains(library))
}

pub(super) fn section(facts: Facts) -> Section {
    let entry = |key, subject, outcome| {
        Entry::Finding(Finding {
            key,
            subject,
            outcome,
        })
    };
    let linker = linker(&facts);
    Section {
        key: "run",
        title: "Programs that are not ours (underseal run)",
        entries: vec![
            entry("preload", "library", place(facts.preload)),
            entry("dynamic_linker", "dynamic linker loads it", linker),
            entry(
                "wipe_on_fork",
                "fork is noticed",
                kernel(facts.memory.wipe_on_fork, "Linux 4.14 or newer"),
            ),
            entry(
                "populate",
                "addresses tried at once",
                kernel(facts.memory.populate, "Linux 5.14 or newer"),
            ),
            entry("connections", "connections", connections(facts.descriptors)),
        ],
    }
}

fn place(library: Result<PathBuf, Failure>) -> Outcome {
    match library {
        Ok(place) => Outcome::said(Answer::Yes, place.display().to_string()),
        Err(failure) => Outcome::said(Answer::No, "not found").or_fix(failure.hint()),
    }
}

fn linker(facts: &Facts) -> Outcome {
    match facts.is_loaded {
        Some(true) => Outcome::YES,
        Some(false) => Outcome::said(Answer::No, "left out of its list")
            .or_fix("take a library that was built for this machine"),
        None => Outcome::said(Answer::CannotTell, "nothing to load, or no list"),
    }
}

fn kernel(answer: probe::Answer, fix: &str) -> Outcome {
    Outcome::probed(answer).or_fix(fix)
}

/// Each takes two descriptors.
fn connections(descriptors: Option<u64>) -> Outcome {
    match descriptors {
        None => Outcome::YES,
        Some(limit) => {
            let most = limit / 2;
            Outcome::said(
                Answer::Yes,
                format!("at most {most} of a process (ulimit -n)"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use underseal_sys::Errno;

    #[test]
    fn what_is_missing_says_how_to_get_it() {
        let no = probe::Answer::No(Errno::INVAL);
        let section = section(Facts {
            preload: Err(Failure::new(Exit::Failure, "it is nowhere", "put it there")),
            is_loaded: None,
            memory: Memory {
                wipe_on_fork: no,
                populate: no,
            },
            descriptors: Some(1024),
        });
        let outcomes = section.outcomes();
        assert_eq!(outcomes[0].fix.as_deref(), Some("put it there"));
        assert_eq!(outcomes[1].answer, Answer::CannotTell);
        assert_eq!(outcomes[2].fix.as_deref(), Some("Linux 4.14 or newer"));
        let connections = outcomes[4].said.as_deref();
        assert_eq!(connections, Some("at most 512 of a process (ulimit -n)"));
    }
}
