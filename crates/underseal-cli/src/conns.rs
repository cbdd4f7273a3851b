//! `underseal conns`: the live connections of this machine's underseal processes.
//!
//! [`ask`] collects what the processes say, [`programs`] what is known of those that `underseal run` has
//! started, [`kernel`] adds what the kernel knows better, and [`table`] shows it.

mod ask;
mod kernel;
mod programs;
mod table;

use std::io::{self, Write as _};

use crate::cli::ConnsArgs;
use crate::exit::{Exit, Failure, say, tolerate_closed_stdout};
use ask::Asked;
use underseal_server::live::Row;

/// Lists the connections.
///
/// # Errors
/// [`Exit::Failure`] when a process did not answer, or one that `--pid` names is not there; what
/// could be learnt has been printed by then.
pub(crate) fn run(args: &ConnsArgs) -> Result<(), Failure> {
    let mut asked = ask::everybody(&args.pid)?;
    if let Err(error) = programs::join(&mut asked, &args.pid) {
        say(&format!(
            "note: the kernel does not list its sockets ({error}), so that those of programs under \
             `underseal run` are missing\n"
        ));
    }
    let others = args.all.then_some(args.pid.as_slice());
    if (args.all || asked.rows.iter().any(Row::in_kernel))
        && let Err(error) = kernel::join(&mut asked.rows, others)
    {
        say(&format!(
            "note: the kernel does not list its sockets ({error}), so that `kernel` is all that \
             is known of their engines\n"
        ));
    }
    sort(&mut asked.rows);
    tolerate_closed_stdout(print(&asked.rows, args.json))?;
    if asked.rows.is_empty() {
        say(&nothing(&asked));
    }
    complete(&asked, &args.pid)
}

/// Processes one after the other, in each the oldest connection first.
fn sort(rows: &mut [Row]) {
    let age = |row: &Row| row.age_seconds.unwrap_or(0.0);
    rows.sort_by(|a, b| {
        let process = (a.pid.is_none(), a.pid).cmp(&(b.pid.is_none(), b.pid));
        let oldest = || age(b).total_cmp(&age(a));
        process
            .then_with(oldest)
            .then_with(|| (a.local, a.peer).cmp(&(b.local, b.peer)))
    });
}

fn print(rows: &[Row], json: bool) -> io::Result<()> {
    let mut out = Vec::new();
    if json {
        for row in rows {
            serde_json::to_writer(&mut out, row)?;
            out.push(b'\n');
        }
    } else if !rows.is_empty() {
        table::write(&mut out, rows)?;
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(&out)?;
    stdout.flush()
}

/// Why there is nothing to be seen, and what to do about it.
fn nothing(asked: &Asked) -> String {
    match asked.processes {
        // Which process there is none of is said elsewhere.
        0 if asked.others > 0 => String::new(),
        0 => format!(
            "no underseal process answers in {}\nhint: start one with `underseal serve .`; root \
             sees those of every user\n",
            asked.directories
        ),
        1 => "one underseal process, no connection\n".to_owned(),
        n => format!("{n} underseal processes, no connection\n"),
    }
}

fn complete(asked: &Asked, wanted: &[u32]) -> Result<(), Failure> {
    if let Some(first) = asked.failed.first() {
        return Err(Failure::new(
            Exit::Failure,
            format!("the list is not complete: {first}"),
            "a process that is stopped or very busy does not answer; ask again later",
        ));
    }
    let listed = |pid: u32| asked.rows.iter().any(|row| row.pid == Some(pid));
    let missing = wanted
        .iter()
        .find(|&&pid| !asked.pids.contains(&pid) && !listed(pid));
    match missing {
        None => Ok(()),
        Some(pid) => Err(Failure::new(
            Exit::Failure,
            format!("no underseal process with PID {pid} answers"),
            "`underseal conns` lists those that do; root sees those of every user",
        )),
    }
}
