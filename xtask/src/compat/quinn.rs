//! quinn's own tests, run with the packets of `underseal_quic::quinn` and the sockets of `underseal_quic::trains`.
//! They are fetched with the published packages and are not in this repository. They look into the crates that
//! they are in, so that our sources are compiled in copies of those, behind their own names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::items::copy_files;
use super::{ensure_count, target};
use crate::shell;

const PACKAGES: [&str; 2] = ["quinn-proto", "quinn"];

/// How many tests there are of both, and of ours in their copies. quinn leaves out three of its own, which take
/// long.
const TESTS: usize = 338 + 5;

/// What they are built with: all that has tests.
const FEATURES: &str = "quinn/rustls-ring,quinn/runtime-tokio,quinn/bloom";

/// What only their examples and benches need, or browsers.
const LEFT_OUT: [&str; 7] = [
    "anyhow",
    "bencher",
    "clap",
    "crc",
    "directories-next",
    "url",
    "wasm-bindgen-test",
];

const MANIFEST: &str = "\
[workspace]
resolver = \"2\"
members = [\"quinn\", \"quinn-proto\"]

[profile.dev]
debug = 0

[patch.crates-io]
quinn-proto = { path = \"quinn-proto\" }
";

/// Our sources, below `crates/underseal-quic/src`: what they name with `crate` is here, too.
const SOURCES: [&str; 5] = [
    "quinn.rs",
    "quinn/keys.rs",
    "quinn/secrets.rs",
    "quinn/session.rs",
    "suite.rs",
];

/// Those of sockets.
const SOCKETS: [&str; 4] = [
    "trains.rs",
    "trains/sender.rs",
    "trains/socket.rs",
    "trains/train.rs",
];

const DECLARED_SOCKETS: &str = "\nextern crate self as quinn;\npub mod trains;\n";

/// Where endpoints get their sockets.
const RUNTIMES: [(&str, usize); 2] = [("src/runtime.rs", 1), ("src/tests.rs", 3)];

const DECLARED: &str = "\nextern crate self as quinn_proto;\npub mod quinn;\nmod suite;\n";

/// Where quinn's configurations start sessions.
const SESSIONS: &str = "src/crypto/rustls.rs";

/// Their own way becomes a method, for versions that are not ours.
const METHODS: &[Change] = &[
    Change {
        theirs: "impl crypto::ClientConfig for QuicClientConfig {",
        count: 1,
        ours: "impl QuicClientConfig {",
    },
    Change {
        theirs: "impl crypto::ServerConfig for QuicServerConfig {",
        count: 1,
        ours: "impl QuicServerConfig {",
    },
];

/// What must happen within a tenth of a second, and takes longer on a busy machine.
const PATIENCE: &[Change] = &[
    Change {
        theirs: "timeout(Duration::from_millis(100), ",
        count: 2,
        ours: "timeout(Duration::from_secs(60), ",
    },
    Change {
        theirs: " && dt < 2 * IDLE_TIMEOUT",
        count: 1,
        ours: "",
    },
];

/// Text of theirs that is replaced.
struct Change {
    theirs: &'static str,
    /// How often it is there.
    count: usize,
    ours: &'static str,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// Fetches and runs them.
pub(super) fn run() -> Result<()> {
    let workspace = target().join("quinn");
    let published = published()?;
    for name in PACKAGES {
        let copy = workspace.join(name);
        let _ = fs::remove_dir_all(&copy);
        let published = published.get(name);
        copy_files(
            published.with_context(|| format!("Cargo.lock does not name {name}"))?,
            &copy,
        )?;
        leave_out(&copy.join("Cargo.toml"))?;
    }
    put_ours_in(&workspace.join("quinn-proto"))?;
    put_sockets_in(&workspace.join("quinn"))?;
    change(&workspace.join("quinn/src/tests.rs"), PATIENCE)?;
    fs::write(workspace.join("Cargo.toml"), MANIFEST)?;
    // The same versions of everything that both have.
    fs::copy(
        shell::root().join("Cargo.lock"),
        workspace.join("Cargo.lock"),
    )?;
    shell::run(tests(&workspace)).context("quinn's own tests fail with our packets")?;
    let mut list = tests(&workspace);
    list.args(["--", "--list"]);
    let list = shell::output(list)?;
    let tests = list.lines().filter(|line| line.ends_with(": test"));
    ensure_count("tests of quinn", tests.count(), TESTS)
}

fn tests(workspace: &Path) -> Command {
    let mut test = shell::cargo(&["test", "--quiet", "--lib", "--no-default-features"]);
    test.args(["--features", FEATURES]);
    test.args(PACKAGES.map(|name| ["--package", name]).as_flattened());
    test.current_dir(workspace);
    test
}

/// The directories of the packages that our own tests use, by name.
fn published() -> Result<BTreeMap<String, PathBuf>> {
    let metadata = shell::cargo(&["metadata", "--locked", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_str(&shell::output(metadata)?)?;
    let packages = metadata.packages.into_iter();
    Ok(packages
        .filter_map(|package| {
            let directory = package.manifest_path.parent()?.to_path_buf();
            Some((package.name, directory))
        })
        .collect())
}

/// Takes the tables of what is not needed out of a manifest.
fn leave_out(manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let is_needed = |table: &&str| {
        let left_out = |name: &&str| table.starts_with(&format!("dev-dependencies.{name}]"));
        !LEFT_OUT.iter().any(left_out)
    };
    let tables: Vec<_> = text.split("\n[").filter(is_needed).collect();
    fs::write(manifest, tables.join("\n["))?;
    Ok(())
}

/// Has the copy of quinn-proto in `directory` seal and open packets by our sources.
fn put_ours_in(directory: &Path) -> Result<()> {
    copy_ours(&SOURCES, directory)?;
    append(&directory.join("src/lib.rs"), DECLARED)?;
    let sessions = directory.join(SESSIONS);
    change(&sessions, METHODS)?;
    append(&sessions, include_str!("quinn/sessions.rs"))?;
    let record = shell::root().join("crates/underseal-record");
    let dependencies = format!(
        "\n[dependencies.underseal-record]\npath = {record:?}\ndefault-features = false\n\
         features = [\"ring\"]\n\n[dependencies.zeroize]\nversion = \"1\"\n"
    );
    append(&directory.join("Cargo.toml"), &dependencies)
}

/// Has the copy of quinn in `directory` send by our sockets.
fn put_sockets_in(directory: &Path) -> Result<()> {
    copy_ours(&SOCKETS, directory)?;
    append(&directory.join("src/lib.rs"), DECLARED_SOCKETS)?;
    for (file, count) in RUNTIMES {
        let runtime = Change {
            theirs: "Arc::new(TokioRuntime)",
            count,
            ours: "Arc::new(crate::trains::Trains::over(TokioRuntime))",
        };
        change(&directory.join(file), &[runtime])?;
    }
    Ok(())
}

fn copy_ours(sources: &[&str], directory: &Path) -> Result<()> {
    let ours = shell::root().join("crates/underseal-quic/src");
    for source in sources {
        let copy = directory.join("src").join(source);
        fs::create_dir_all(copy.parent().context("it has a directory")?)?;
        fs::copy(ours.join(source), copy)?;
    }
    Ok(())
}

fn change(file: &Path, changes: &[Change]) -> Result<()> {
    let mut text = fs::read_to_string(file)?;
    for change in changes {
        ensure!(
            text.matches(change.theirs).count() == change.count,
            "quinn has changed: `{}` is not {} times in {}",
            change.theirs,
            change.count,
            file.display()
        );
        text = text.replace(change.theirs, change.ours);
    }
    fs::write(file, text)?;
    Ok(())
}

fn append(file: &Path, more: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    fs::write(file, text + more)?;
    Ok(())
}
