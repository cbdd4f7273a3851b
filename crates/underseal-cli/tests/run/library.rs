//! Where `underseal run` finds the library.

use super::*;

/// What a binary says that is copied to a place where the environment names no library.
fn run_by(binary: &Path, runtime: &Path) -> Finished {
    let mut command = Command::new(binary);
    command.args(["run", "--any", "--", "cat", "/proc/self/maps"]);
    command.env("UNDERSEAL_RUNTIME_DIR", runtime);
    command.env_remove("UNDERSEAL_PRELOAD_LIBRARY");
    Peer::spawn(&mut command).finish()
}

#[test]
fn a_library_is_found_beside_the_binary_and_where_packages_put_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().canonicalize().expect("a path");
    let (binaries, package) = (root.join("bin"), root.join("lib/underseal"));
    fs::create_dir_all(&binaries).expect("a directory");
    fs::create_dir_all(&package).expect("a directory");
    let binary = binaries.join("underseal");
    fs::copy(env!("CARGO_BIN_EXE_underseal"), &binary).expect("a copy");
    for place in [&package, &binaries] {
        // Each is found before the one that was there already.
        let library = place.join("libunderseal_preload.so");
        fs::copy(built_library(), &library).expect("a copy");
        let maps = run_by(&binary, &root.join("runtime")).successful().text();
        assert!(maps.contains(&library.display().to_string()), "{maps}");
    }
}

#[test]
fn a_library_that_is_not_there_is_said_to_be_missing() {
    let runtime = tempfile::tempdir().expect("a directory");
    let mut command = underseal_run(runtime.path());
    command.env("UNDERSEAL_PRELOAD_LIBRARY", "/nonexistent/library.so");
    let finished = Peer::spawn(command.args(["--any", "--", "sh"])).finish();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.text());
    let reason = "there is no library `/nonexistent/library.so`";
    assert!(finished.stderr.contains(reason), "{}", finished.text());
}

#[test]
fn a_library_that_is_in_the_binary_is_written_to_a_file_of_the_user() {
    let directory = tempfile::tempdir().expect("a directory");
    let binary = directory.path().join("underseal");
    let mut objcopy = Command::new(require_program("objcopy"));
    let section = format!(".underseal_preload={}", built_library().display());
    objcopy.args(["--add-section", &section, env!("CARGO_BIN_EXE_underseal")]);
    Peer::spawn(objcopy.arg(&binary)).finish().successful();
    let runtime = directory.path().join("runtime");
    let written = runtime.join("libunderseal_preload.so");
    for _ in 0..2 {
        let maps = run_by(&binary, &runtime).successful().text();
        assert!(maps.contains(&written.display().to_string()), "{maps}");
    }
    assert!(fs::read(&written).expect("a library") == fs::read(built_library()).expect("it"));
    let bare = directory.path().join("bare");
    fs::copy(env!("CARGO_BIN_EXE_underseal"), &bare).expect("a copy");
    let finished = run_by(&bare, &runtime);
    assert_eq!(finished.status.code(), Some(1), "{}", finished.text());
    assert!(
        finished.stderr.contains(", nor in it"),
        "{}",
        finished.text()
    );
}
