//! The public API of tokio-rustls, one small program per item: each compiles with tokio-rustls, and
//! with the shim unless it says why not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{cargo, ensure_count, target, workspace};
/// How many items the documents speak of.
const ITEMS: usize = 53;

/// Starts the line with the reason why an item does not compile with the shim.
const DIFFERS: &str = "//! differs: ";

/// What cargo prints for each target that it compiled.
#[derive(Deserialize)]
struct Line {
    reason: String,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

/// One program of `compat/items/examples`.
pub(super) struct Item {
    name: String,
    /// The item, as documents say it.
    pub(super) title: String,
    /// Why it does not compile with the shim.
    pub(super) differs: Option<String>,
}

/// Compiles every item with tokio-rustls and with the shim.
pub(super) fn check() -> Result<()> {
    let items = read()?;
    ensure_count("items of the API", items.len(), ITEMS)?;
    let genuine = compiled(genuine()?)?;
    let shim = compiled(cargo(&[
        "check",
        "--locked",
        "--package",
        "tokio-rustls-items",
    ]))?;
    let wrong = items.iter().filter_map(|item| {
        let (genuine, shim) = (genuine.contains(&item.name), shim.contains(&item.name));
        Some(match (&item.differs, shim) {
            _ if !genuine => format!("{}: does not compile with tokio-rustls itself", item.name),
            (None, false) => format!("{}: does not compile with the shim", item.name),
            (Some(_), true) => format!("{}: compiles, and says that it does not", item.name),
            _ => return None,
        })
    });
    let wrong: Vec<_> = wrong.collect();
    for line in &wrong {
        eprintln!("xtask: {line}");
    }
    if !wrong.is_empty() {
        bail!(
            "{} items of tokio-rustls' API are not as compat/items says; see what the compiler says \
             by `cargo check --manifest-path compat/Cargo.toml --examples --keep-going`",
            wrong.len()
        );
    }
    let same = items.iter().filter(|item| item.differs.is_none()).count();
    eprintln!("xtask: {same} of {ITEMS} items of tokio-rustls' API compile with the shim");
    Ok(())
}

/// The items, by name.
pub(super) fn read() -> Result<Vec<Item>> {
    let directory = workspace().join("items/examples");
    let mut items = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
        items.push(Item::read(&entry?.path())?);
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

impl Item {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let title = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("//! "));
        let differs = text.lines().find_map(|line| line.strip_prefix(DIFFERS));
        Ok(Self {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            title: title
                .with_context(|| format!("{} does not say what it is", path.display()))?
                .to_owned(),
            differs: differs.map(str::to_owned),
        })
    }
}

/// Checks the items with tokio-rustls itself, in a copy that knows no shim.
fn genuine() -> Result<Command> {
    let copy = target().join("items");
    let manifest = fs::read_to_string(workspace().join("items/Cargo.toml"))?;
    let inherited = fs::read_to_string(workspace().join("Cargo.toml"))?;
    let inherited: Vec<_> = inherited
        .lines()
        .filter(|line| !line.starts_with("members"))
        .take_while(|line| *line != "[patch.crates-io]")
        .collect();
    let _ = fs::remove_dir_all(copy.join("examples"));
    for directory in ["src", "examples"] {
        copy_files(
            &workspace().join("items").join(directory),
            &copy.join(directory),
        )?;
    }
    fs::write(
        copy.join("Cargo.toml"),
        format!("{}\n{manifest}", inherited.join("\n")),
    )?;
    // The same versions of everything else.
    fs::copy(workspace().join("Cargo.lock"), copy.join("Cargo.lock"))?;
    let mut check = cargo(&["check"]);
    check.current_dir(copy);
    Ok(check)
}

pub(super) fn copy_files(from: &Path, to: &PathBuf) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_files(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

/// The examples that `check` compiles.
fn compiled(mut check: Command) -> Result<BTreeSet<String>> {
    check.args(["--examples", "--keep-going", "--message-format", "json"]);
    check.stdin(Stdio::null()).stderr(Stdio::null());
    let output = check.output().context("cannot start cargo")?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let targets = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
        .filter(|line| line.reason == "compiler-artifact")
        .filter_map(|line| line.target);
    Ok(targets
        .filter(|target| target.kind == ["example"])
        .map(|target| target.name)
        .collect())
}
