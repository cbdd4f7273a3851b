//! The file system that a VM starts with, and all it ever has.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::modules::Kernel;
use crate::shell;

/// Files that programs expect; `localhost` has to mean something without a resolver.
const FILES: &[(&str, &str)] = &[
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    ),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    ),
];

/// A program that the VM runs: what it is called in the log, its file, and its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What the log calls it.
    pub(crate) name: String,
    /// Its file on this machine.
    pub(crate) file: PathBuf,
    /// What it is started with.
    pub(crate) args: Vec<String>,
    /// A program that it starts, by the path that it has on this machine.
    pub(crate) starts: Option<PathBuf>,
}

/// The directory tree of an initramfs.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A tree at `root`, emptied first, with a shell, the kernel's modules and `init`.
    pub(crate) fn new(root: PathBuf, kernel: &Kernel) -> Result<Self> {
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let tree = Self { root };
        for (file, text) in FILES {
            tree.write(file, text)?;
        }
        let busybox = shell::find("busybox").context("there is no busybox here")?;
        fs::create_dir_all(tree.root.join("bin"))?;
        fs::copy(busybox, tree.root.join("bin/busybox"))?;
        symlink("busybox", tree.root.join("bin/sh"))?;
        let modules = kernel.install_modules(&tree.root)?;
        tree.write("vm/modules", &(modules.join("\n") + "\n"))?;
        tree.write("init", include_str!("../../../vm/init"))?;
        fs::set_permissions(tree.root.join("init"), fs::Permissions::from_mode(0o755))?;
        Ok(tree)
    }

    /// Adds the programs, the libraries they need, and the script that runs them in this order.
    pub(crate) fn add(&self, programs: &[Program], environment: &[(&str, &str)]) -> Result<()> {
        let mut script = String::new();
        for (name, value) in environment {
            script.push_str(&format!("export {name}={}\n", quoted(value)));
        }
        for started in programs
            .iter()
            .filter_map(|program| program.starts.as_deref())
        {
            script.push_str(&self.install_for_tests(started)?);
        }
        for program in programs {
            let place = self.install(&program.file)?;
            let words = [program.name.clone(), format!("/{}", place.display())];
            let words: Vec<_> = words
                .iter()
                .chain(&program.args)
                .map(|word| quoted(word))
                .collect();
            script.push_str(&format!("run {}\n", words.join(" ")));
        }
        self.write("vm/run", &script)
    }

    /// Adds a program and the libraries it needs; returns its place without the leading slash.
    pub(crate) fn install(&self, program: &Path) -> Result<PathBuf> {
        let file = program.file_name().context("a program without a name")?;
        let place = Path::new("vm/bin").join(file);
        self.copy(program, &place)?;
        strip(&self.root.join(&place))?;
        for library in libraries(program)? {
            self.copy(&library, library.strip_prefix("/")?)?;
        }
        Ok(place)
    }

    /// Adds a program that tests start by the path that it has here. The VM links it there, since a
    /// file system of the VM may be mounted over that place.
    fn install_for_tests(&self, program: &Path) -> Result<String> {
        let place = self.install(program)?;
        let directory = program.parent().context("a program without a directory")?;
        Ok(format!(
            "mkdir -p {} && ln -s /{} {}\n",
            quoted(&directory.to_string_lossy()),
            place.display(),
            quoted(&program.to_string_lossy())
        ))
    }

    /// Packs the tree into `archive`. It is not compressed: an emulated CPU would have to undo it.
    pub(crate) fn pack(&self, archive: &Path) -> Result<()> {
        let mut names = Vec::new();
        list(&self.root, Path::new(""), &mut names)?;
        let mut command = shell::program(
            "cpio",
            &["--create", "--format=newc", "--owner=+0:+0", "--quiet"],
        );
        let mut child = command
            .current_dir(&self.root)
            .stdin(Stdio::piped())
            .stdout(fs::File::create(archive)?)
            .spawn()
            .context("cannot start cpio")?;
        let mut input = child.stdin.take().context("cpio has no input")?;
        for name in names {
            writeln!(input, "{}", name.display())?;
        }
        drop(input);
        let status = child.wait()?;
        ensure!(status.success(), "cpio ended with {status}");
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.root.join(file);
        fs::create_dir_all(path.parent().context("a file at the root")?)?;
        fs::write(path, text)?;
        Ok(())
    }

    /// Adds a file, unless there is one in its place.
    pub(crate) fn copy(&self, source: &Path, place: &Path) -> Result<()> {
        let path = self.root.join(place);
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(path.parent().context("a file at the root")?)?;
        fs::copy(source, &path).with_context(|| format!("cannot copy {}", source.display()))?;
        Ok(())
    }
}

/// The paths below `root`, each directory before what it holds.
fn list(root: &Path, directory: &Path, names: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(directory))? {
        let entry = entry?;
        let name = directory.join(entry.file_name());
        names.push(name.clone());
        if entry.file_type()?.is_dir() {
            list(root, &name, names)?;
        }
    }
    Ok(())
}

/// Debug information is most of a test binary, and the VM has it all in memory. Line numbers of a
/// panic are not part of it.
fn strip(file: &Path) -> Result<()> {
    let mut command = shell::program("strip", &["--strip-debug"]);
    command.arg(file);
    shell::run(command)
}

/// The shared libraries of a program, its loader among them, as ldd prints them.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut command = shell::program("ldd", &[]);
    command.arg(program).env("LC_ALL", "C.UTF-8");
    let text = match shell::output(command) {
        Ok(text) => text,
        Err(error) if error.to_string().contains("not a dynamic executable") => String::new(),
        Err(error) => return Err(error),
    };
    ensure!(
        !text.contains("not found"),
        "{} lacks a library: {text}",
        program.display()
    );
    let words = text.lines().flat_map(str::split_whitespace);
    Ok(words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

/// The word as a shell reads it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        let word = "it's $HOME \\ \"x\"";
        let script = format!("printf %s {}", quoted(word));
        let said = shell::output(shell::program("sh", &["-c", &script])).unwrap();
        assert_eq!(said, word);
    }

    #[test]
    fn a_program_has_a_loader_and_a_c_library() {
        let libraries = libraries(&std::env::current_exe().unwrap()).unwrap();
        let has = |part: &str| {
            libraries
                .iter()
                .any(|library| library.to_string_lossy().contains(part))
        };
        assert!(has("ld-linux") && has("libc.so"), "{libraries:?}");
    }
}
