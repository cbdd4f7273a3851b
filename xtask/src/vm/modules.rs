//! Kernel modules: which files a VM needs, taken from the unpacked packages by depmod's list.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::kernels::{MODULES, Name, OPTIONAL_MODULES};
use crate::shell;

/// An unpacked kernel.
pub(crate) struct Kernel {
    name: Name,
    /// What `uname -r` says in the VM.
    release: String,
    root: PathBuf,
}

impl Kernel {
    /// The kernel whose packages were unpacked to `root`.
    pub(crate) fn open(name: Name, root: PathBuf) -> Result<Self> {
        // The packages of Linux 7 rely on /lib being a link.
        if !root.join("lib").exists() {
            std::os::unix::fs::symlink("usr/lib", root.join("lib"))?;
        }
        let mut entries = fs::read_dir(root.join("lib/modules"))
            .with_context(|| format!("no modules in {}", root.display()))?;
        let entry = entries.next().context("no modules at all")??;
        let release = entry.file_name().to_string_lossy().into_owned();
        let kernel = Self {
            name,
            release,
            root,
        };
        if !kernel.directory().join("modules.dep").is_file() {
            depmod(&kernel.root, &kernel.release)?;
        }
        Ok(kernel)
    }

    pub(crate) fn name(&self) -> Name {
        self.name
    }

    pub(crate) fn release(&self) -> &str {
        &self.release
    }

    /// Debian's version: the packages were unpacked to a directory of that name.
    pub(crate) fn version(&self) -> String {
        let name = self.root.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The compressed image that QEMU boots.
    pub(crate) fn image(&self) -> Result<PathBuf> {
        let places = [
            self.root.join(format!("boot/vmlinuz-{}", self.release)),
            self.directory().join("vmlinuz"),
        ];
        places
            .into_iter()
            .find(|place| place.is_file())
            .with_context(|| format!("no kernel image in {}", self.root.display()))
    }

    fn directory(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }

    /// Puts the modules that tests need below `tree`, and returns the names that `init` loads.
    pub(crate) fn install_modules(&self, tree: &Path) -> Result<Vec<&'static str>> {
        let directory = self.directory();
        let read = |file| {
            fs::read_to_string(directory.join(file))
                .with_context(|| format!("{} has no {file}", self.release))
        };
        let list = read("modules.dep")?;
        let table = Dependencies::parse(&list);
        let builtin = read("modules.builtin")?;
        let builtin: BTreeSet<_> = builtin.lines().map(module_name).collect();
        let mut files = BTreeSet::new();
        let mut loaded = Vec::new();
        for module in MODULES.iter().chain(OPTIONAL_MODULES).copied() {
            let is_left_out = module == "tls" && !self.name.has_tls();
            if is_left_out || builtin.contains(&canonical(module)) {
                continue;
            }
            match table.closure(module) {
                Some(closure) => files.extend(closure),
                None if OPTIONAL_MODULES.contains(&module) => continue,
                None => bail!("{} has no module {module}", self.release),
            }
            loaded.push(module);
        }
        let destination = tree.join("lib/modules").join(&self.release);
        for file in files {
            unpack(&directory.join(&file), &destination.join(&file))?;
        }
        for list in [
            "modules.order",
            "modules.builtin",
            "modules.builtin.modinfo",
        ] {
            fs::copy(directory.join(list), destination.join(list))?;
        }
        depmod(tree, &self.release)?;
        Ok(loaded)
    }
}

/// The list that depmod writes: the file of each module, and the files it needs first.
struct Dependencies<'a>(HashMap<String, (&'a str, Vec<&'a str>)>);

impl<'a> Dependencies<'a> {
    fn parse(text: &'a str) -> Self {
        let entries = text.lines().filter_map(|line| {
            let (file, needed) = line.split_once(':')?;
            Some((
                module_name(file),
                (file, needed.split_whitespace().collect()),
            ))
        });
        Self(entries.collect())
    }

    /// The module's file and all it needs; depmod has already followed what those need.
    fn closure(&self, module: &str) -> Option<Vec<String>> {
        let (file, needed) = self.0.get(&canonical(module))?;
        let files = std::iter::once(file).chain(needed);
        Some(files.map(|file| (*file).to_owned()).collect())
    }
}

/// `kernel/crypto/a-b.ko.xz` is the module `a_b`.
fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    canonical(name.split(".ko").next().unwrap_or(name))
}

fn canonical(module: &str) -> String {
    module.replace('-', "_")
}

/// Copies a module to `destination`, less its compression: the VM's modprobe knows none.
fn unpack(source: &Path, destination: &Path) -> Result<()> {
    let parent = destination.parent().context("a module at the root")?;
    fs::create_dir_all(parent)?;
    let program = match source.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => {
            fs::copy(source, destination)?;
            return Ok(());
        }
    };
    let mut command = shell::program(program, &["--decompress", "--stdout", "--quiet"]);
    command
        .arg(source)
        .stdout(fs::File::create(destination.with_extension(""))?);
    shell::run(command)
}

fn depmod(root: &Path, release: &str) -> Result<()> {
    let mut command = shell::program("depmod", &["--basedir"]);
    command.arg(root).arg(release);
    shell::output(command)?;
    let list = root.join("lib/modules").join(release).join("modules.dep");
    ensure!(list.is_file(), "depmod made no {}", list.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_with_what_it_needs() {
        let text = "kernel/crypto/a-b.ko.xz: kernel/lib/c.ko.xz kernel/lib/d.ko.xz\n\
            kernel/lib/c.ko.xz:\n";
        let table = Dependencies::parse(text);
        let files = [
            "kernel/crypto/a-b.ko.xz",
            "kernel/lib/c.ko.xz",
            "kernel/lib/d.ko.xz",
        ];
        assert_eq!(table.closure("a_b").unwrap(), files);
        assert_eq!(table.closure("a-b").unwrap(), files);
        assert_eq!(table.closure("c").unwrap(), files[1..2]);
        assert!(table.closure("tls").is_none());
    }
}
