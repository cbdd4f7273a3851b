//! The program in C that a test of this name has: what lies beside its `main.rs`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use underseal_testkit::{Peer, require_program};

use crate::library::under_the_library;

const NAME: &str = env!("CARGO_CRATE_NAME");

fn sources(directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let files = entries.map(|entry| entry.expect("a file").path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect()
}

/// The program, compiled once.
fn compiled() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(NAME);
        let new = program.with_extension(std::process::id().to_string());
        let mut compiler = Command::new(require_program("cc"));
        // Addresses that it knows to be bad are the point; what it defines itself the library is to find.
        compiler.args(["-O1", "-w", "-pthread", "-rdynamic"]);
        compiler.args(["-I", &format!("{tests}/harness"), "-o"]);
        compiler.arg(&new).args(sources(&format!("{tests}/{NAME}")));
        Peer::spawn(&mut compiler).finish().successful();
        std::fs::rename(&new, &program).expect("a program");
        program
    })
}

/// The program, under the library.
pub(crate) fn program() -> Command {
    let mut command = Command::new(compiled());
    under_the_library(&mut command);
    command
}
