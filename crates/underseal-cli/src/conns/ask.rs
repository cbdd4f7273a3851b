//! Finds the processes and asks each for its connections.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tokio::runtime;
use tokio::task::JoinSet;

use crate::exit::{Exit, Failure};
use underseal_server::live::socket::{self, Answer};
use underseal_server::live::{Row, directory};

/// What came of asking.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) rows: Vec<Row>,
    /// How many processes answered.
    pub(crate) processes: usize,
    /// How many more did that nobody wants to know of.
    pub(crate) others: usize,
    /// The processes that answered, as far as they have an id here.
    pub(crate) pids: BTreeSet<u32>,
    /// Those that did not, each with the reason.
    pub(crate) failed: Vec<String>,
    /// Where was looked.
    pub(crate) directories: String,
}

/// Asks every process that this one may ask; with `wanted`, only the answers of these count.
///
/// # Errors
/// [`Exit::Failure`] when the system refuses what is needed for asking.
pub(crate) fn everybody(wanted: &[u32]) -> Result<Asked, Failure> {
    let mut builder = runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().map_err(|error| {
        let message = format!("cannot ask: {error}");
        Failure::new(Exit::Failure, message, "the system is short of something")
    })?;
    let directories = directory::all();
    let shown: Vec<_> = directories
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    let mut asked = Asked {
        directories: shown.join(", "),
        ..Asked::default()
    };
    runtime.block_on(async {
        let mut answers = JoinSet::new();
        for directory in &directories {
            ask_in(directory, &mut answers);
        }
        let mut answers = answers.join_all().await;
        answers.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        for (path, owner, answer) in answers {
            match answer {
                Ok(answer) => asked.take(answer, owner, wanted),
                Err(error) => asked.refused(&path, owner, &error),
            }
        }
    });
    Ok(asked)
}

/// Asks all that answer in a directory, at once: one that does not answer holds up nobody.
fn ask_in(directory: &Path, answers: &mut JoinSet<(PathBuf, u32, io::Result<Answer>)>) {
    // A directory that is not there, or not to be read, has nobody in it to ask; one that others
    // can write to could have anybody.
    let Ok(owner) = directory::owner(directory) else {
        return;
    };
    for path in socket::sockets_in(directory).unwrap_or_default() {
        answers.spawn(async move {
            let answer = socket::ask(&path).await;
            (path, owner, answer)
        });
    }
}

impl Asked {
    fn take(&mut self, answer: Answer, owner: u32, wanted: &[u32]) {
        // Whoever owns a directory can put a link to somebody else's socket into it.
        let strange = answer.uid != owner;
        let unwanted = !wanted.is_empty() && !answer.pid.is_some_and(|pid| wanted.contains(&pid));
        if strange {
            return;
        }
        if unwanted {
            self.others += 1;
            return;
        }
        if answer.is_cut {
            let pid = shown(answer.pid);
            self.failed.push(format!(
                "process {pid} has more connections than are listed"
            ));
        }
        self.processes += 1;
        self.pids.extend(answer.pid);
        for line in answer.lines.split_inclusive(|&byte| byte == b'\n') {
            match serde_json::from_slice::<Row>(line) {
                Ok(row) => self.rows.push(Row {
                    pid: answer.pid,
                    ..row
                }),
                Err(error) => {
                    let pid = shown(answer.pid);
                    let why = format!("process {pid} says what makes no sense here: {error}");
                    return self.failed.push(why);
                }
            }
        }
    }

    fn refused(&mut self, path: &PathBuf, owner: u32, error: &io::Error) {
        match error.kind() {
            // Its process is dead. Those of other users are for them to remove.
            io::ErrorKind::ConnectionRefused => {
                if owner == directory::own_uid() {
                    let _ = std::fs::remove_file(path);
                }
            }
            // It ended while we looked.
            io::ErrorKind::NotFound => {}
            _ => {
                let why = format!("`{}` does not answer: {error}", path.display());
                self.failed.push(why);
            }
        }
    }
}

fn shown(pid: Option<u32>) -> String {
    pid.map_or("-".to_owned(), |pid| pid.to_string())
}
