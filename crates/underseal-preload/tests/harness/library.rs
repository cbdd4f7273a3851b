//! Where the library is: cargo builds it before these tests, and leaves it beside them.

use std::path::PathBuf;
use std::process::Command;

pub(crate) fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let library = test.with_file_name("libunderseal_preload.so");
    assert!(library.is_file(), "{} is missing", library.display());
    library
}

/// Has `command` run under the library, also where the kernel has TLS.
pub(crate) fn under_the_library(command: &mut Command) {
    command.env("LD_PRELOAD", library());
    command.env("UNDERSEAL_PRELOAD_ALWAYS", "1");
}
