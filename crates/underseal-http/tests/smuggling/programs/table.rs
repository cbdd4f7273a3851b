//! `docs/smuggling.md`: who refuses what.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use underseal_testkit::require_program;

use super::Outcomes;
use super::exchange::{Exchange, Seen};
use crate::corpus::{CLASSES, Case};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/smuggling.md");

/// Compares the table in the repository with what came now, or writes it.
pub(super) fn check(programs: &[Outcomes]) {
    let text = document(programs);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(FILE, text).expect("a file of the repository");
        return;
    }
    let kept = fs::read_to_string(FILE).expect("a file of the repository");
    let lines = kept.lines().zip(text.lines());
    let differs: Vec<_> = lines.filter(|(kept, now)| kept != now).collect();
    let hint = "another version of a program, perhaps: UPDATE_SNAPSHOTS=1 accepts the new text";
    assert!(
        kept == text,
        "docs/smuggling.md differs; {hint}\n{differs:#?}"
    );
}

fn document(programs: &[Outcomes]) -> String {
    let mut text = format!(
        "# Requests that programs read differently

The corpus of `crates/underseal-http/tests/smuggling`, as underseal reads it, and as nginx
{nginx} and HAProxy {haproxy} do, each as a reverse proxy before a backend that records what it is
sent. `UPDATE_SNAPSHOTS=1 cargo test -p underseal-http --test smuggling programs` writes this file.

Behind every case a plain `GET /next` is sent on the same connection. A cell says what the program
did:

- a number: it refused with this status code; *closes*: without one
- *reads*: the backend was sent one request, of so many bytes of body, and then `GET /next`
- *then closes*: without reading `GET /next`; *then waits*: for more
- **then …**: the backend was sent this behind it, which nobody sent as a request: where another
  program finds the end of the case elsewhere, it is smuggled

What underseal reads, both programs read as the same method, path, host and body, or they refuse.
`underseal proxy` refuses and forwards the same (`crates/underseal-cli/tests/smuggling`), but for
parameters of paths, which it refuses only where policies ask for paths, or with `--path-parameters reject`,
and for HTTP/1.0 without Host, which it takes for the address that its client connected to.

",
        nginx = version("nginx", "-v"),
        haproxy = version("haproxy", "-v"),
    );
    let mut index = 0;
    for class in CLASSES {
        let _ = writeln!(text, "## {}\n", class.name);
        text.push_str("| case | underseal | nginx | HAProxy |\n|---|---|---|---|\n");
        for case in class.cases {
            let _ = write!(text, "| {} | {} |", case.name, ours(case));
            for program in programs {
                let _ = write!(text, " {} |", theirs(&program.exchanges[index]));
            }
            text.push('\n');
            index += 1;
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// The first two parts of a program's version: what Debian mends does not change them.
fn version(program: &str, option: &str) -> String {
    let output = Command::new(require_program(program)).arg(option).output();
    let output = output.expect("the program starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let mut words = said.split([' ', '/', '\n']);
    let version = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let version = version.expect("a program that says its version");
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn ours(case: &Case) -> String {
    match case.reading {
        Err(refusal) => format!("{}: {refusal}", refusal.status()),
        Ok(reading) => reads(reading.content),
    }
}

fn reads(content: usize) -> String {
    match content {
        0 => "reads".to_owned(),
        1 => "reads 1 byte".to_owned(),
        content => format!("reads {content} bytes"),
    }
}

fn theirs(exchange: &Exchange) -> String {
    let Some((first, rest)) = exchange.seen.split_first() else {
        let answer = exchange
            .answers
            .iter()
            .find(|status| !status.starts_with('1'));
        return match answer {
            Some(status) => status.clone(),
            None if exchange.waits => "waits".to_owned(),
            None => "closes".to_owned(),
        };
    };
    let then = match rest {
        [] if exchange.waits => ", then waits".to_owned(),
        [] => ", then closes".to_owned(),
        [next] if *next == Seen::next() => String::new(),
        [other, ..] => format!(", **then `{} {}`**", other.method, other.path),
    };
    reads(first.content) + &then
}
