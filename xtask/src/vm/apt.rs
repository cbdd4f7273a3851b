//! Debian's kernel packages, fetched by apt-get into a root of our own below `target/vm`: neither
//! the system's package lists nor its configuration is touched.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::kernels::{METAPACKAGE, Name};
use super::mirror;
use crate::shell;

/// How long package lists are taken for current.
const LISTS_LAST: Duration = Duration::from_hours(24);

/// A private apt root, with the lists of every suite that kernels come from.
pub(crate) struct Apt {
    root: PathBuf,
}

/// One package in one version, as apt-get and apt-cache take it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
}

impl Package {
    fn argument(&self) -> String {
        format!("{}={}", self.name, self.version)
    }

    /// The file that apt-get download makes: the colon of an epoch is not for file names.
    fn file(&self) -> String {
        let version = self.version.replace(':', "%3a");
        format!("{}_{version}_amd64.deb", self.name)
    }
}

impl Apt {
    /// Opens the root at `directory`, and fetches the package lists unless they are of today.
    pub(crate) fn open(directory: PathBuf) -> Result<Self> {
        let apt = Self { root: directory };
        for part in ["state/lists/partial", "cache/archives/partial", "debs"] {
            fs::create_dir_all(apt.root.join(part))?;
        }
        fs::write(apt.root.join("status"), "")?;
        fs::write(apt.root.join("sources.list"), mirror::sources()?)?;
        fs::write(apt.root.join("apt.conf"), configuration(&apt.root))?;
        if is_fresh(&apt.updated()) {
            return Ok(apt);
        }
        match apt.update() {
            // Without a network the kernels that were fetched before will do.
            Err(error) if apt.updated().exists() => {
                eprintln!("xtask: vm: the lists of an earlier day have to do: {error:#}");
            }
            outcome => outcome?,
        }
        Ok(apt)
    }

    /// The mark whose age is that of the lists.
    fn updated(&self) -> PathBuf {
        self.root.join("updated")
    }

    fn update(&self) -> Result<()> {
        eprintln!("xtask: vm: fetching package lists");
        shell::output(self.command("apt-get", &["update", "--quiet", "--error-on=any"]))
            .context("cannot fetch Debian's package lists")?;
        fs::write(self.updated(), "")?;
        Ok(())
    }

    /// Fetches and unpacks the packages `names` of `suite`, without what they depend on; returns the
    /// directory that holds their files.
    pub(crate) fn packages(&self, suite: &str, names: &[&str]) -> Result<PathBuf> {
        let packages = || -> Result<Vec<Package>> {
            let found = names.iter().map(|name| self.newest(name, suite));
            let found = found.collect::<Result<Vec<_>>>()?;
            self.download(&found)?;
            Ok(found)
        };
        let found = packages().or_else(|_| {
            self.update()?;
            packages()
        });
        self.unpack(&found?)
    }

    fn newest(&self, name: &str, suite: &str) -> Result<Package> {
        let stanza =
            shell::output(self.command("apt-cache", &["show", &format!("{name}/{suite}")]))?;
        let version = stanza
            .lines()
            .find_map(|line| line.strip_prefix("Version: "));
        Ok(Package {
            name: name.to_owned(),
            version: version
                .with_context(|| format!("{suite} has no {name}"))?
                .to_owned(),
        })
    }

    /// Fetches and unpacks the kernel; returns the directory that holds its `boot` and `lib`.
    pub(crate) fn kernel(&self, name: Name) -> Result<PathBuf> {
        let packages = match self.resolve_and_download(name) {
            Ok(packages) => packages,
            // A point release removes its predecessor from the mirror, today's lists or not.
            Err(_) => {
                self.update()?;
                self.resolve_and_download(name)?
            }
        };
        self.unpack(&packages)
    }

    /// Fetches the source of the kernel that `suite` has; returns its package, and what it is called.
    pub(crate) fn source(&self, suite: &str) -> Result<(PathBuf, String)> {
        let metapackage = format!("linux-source/{suite}");
        let stanza = shell::output(self.command("apt-cache", &["show", &metapackage]))?;
        let found = exact_dependencies(&stanza).into_iter().next();
        let package = found.with_context(|| format!("{suite} has no kernel source"))?;
        let version = package.version.replace(':', "%3a");
        let file = format!("{}_{version}_all.deb", package.name);
        let place = self.root.join("debs").join(&file);
        if !place.is_file() {
            let partial = self.root.join("partial");
            fs::create_dir_all(&partial)?;
            eprintln!("xtask: fetching {}", package.argument());
            let mut command = self.command("apt-get", &["download", "--quiet"]);
            command.arg(package.argument()).current_dir(&partial);
            shell::output(command).context("cannot fetch the source of a kernel")?;
            fs::rename(partial.join(&file), &place)?;
        }
        Ok((place, package.name))
    }

    fn resolve_and_download(&self, name: Name) -> Result<Vec<Package>> {
        let packages = self
            .resolve(name.suite())
            .with_context(|| format!("no kernel in the suite {}", name.suite()))?;
        self.download(&packages)?;
        Ok(packages)
    }

    /// The packages that the suite's metapackage stands for, itself left out.
    fn resolve(&self, suite: &str) -> Result<Vec<Package>> {
        let mut found = BTreeSet::new();
        let mut open = vec![format!("{METAPACKAGE}/{suite}")];
        while let Some(package) = open.pop() {
            let stanza = shell::output(self.command("apt-cache", &["show", &package]))?;
            for needed in exact_dependencies(&stanza) {
                if found.insert(needed.clone()) {
                    open.push(needed.argument());
                }
            }
        }
        ensure!(!found.is_empty(), "{METAPACKAGE} depends on no kernel");
        Ok(found.into_iter().collect())
    }

    /// Fetches what is not there yet; apt-get checks signatures and sums.
    fn download(&self, packages: &[Package]) -> Result<()> {
        let debs = self.root.join("debs");
        let missing: Vec<_> = packages
            .iter()
            .filter(|package| !debs.join(package.file()).is_file())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let partial = self.root.join("partial");
        fs::create_dir_all(&partial)?;
        let mut command = self.command("apt-get", &["download", "--quiet"]);
        for package in &missing {
            eprintln!("xtask: vm: fetching {}", package.argument());
            command.arg(package.argument());
        }
        command.current_dir(&partial);
        shell::output(command).context("cannot fetch a kernel")?;
        for package in missing {
            let file = package.file();
            fs::rename(partial.join(&file), debs.join(&file))
                .with_context(|| format!("apt-get made no {file}"))?;
        }
        Ok(())
    }

    fn unpack(&self, packages: &[Package]) -> Result<PathBuf> {
        let first = packages.first().context("a kernel of no packages")?;
        let directory = self.root.with_file_name("unpacked").join(&first.version);
        if directory.is_dir() {
            return Ok(directory);
        }
        let unfinished = directory.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        for package in packages {
            let deb = self.root.join("debs").join(package.file());
            let mut command = shell::program("dpkg", &["-x"]);
            command.arg(&deb).arg(&unfinished);
            // A file that was cut short is not unpacked a second time.
            shell::run(command).or_else(|error| {
                fs::remove_file(&deb)?;
                bail!("{error:#}")
            })?;
        }
        fs::rename(&unfinished, &directory)?;
        Ok(directory)
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = shell::program(program, &[]);
        command.arg("--config-file").arg(self.root.join("apt.conf"));
        command.args(args).env("LC_ALL", "C.UTF-8");
        command
    }
}

/// The machine's own settings (a proxy, say) stay; where things lie is ours, and the hooks by which
/// container images empty their caches after an update are not run.
fn configuration(root: &Path) -> String {
    let root = root.display();
    format!(
        "Dir::State \"{root}/state\";\n\
         Dir::State::status \"{root}/status\";\n\
         Dir::Cache \"{root}/cache\";\n\
         Dir::Cache::pkgcache \"pkgcache.bin\";\n\
         Dir::Etc::sourcelist \"{root}/sources.list\";\n\
         Dir::Etc::sourceparts \"-\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Sandbox::User \"\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
         #clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n"
    )
}

fn is_fresh(mark: &Path) -> bool {
    let age = fs::metadata(mark)
        .and_then(|mark| mark.modified())
        .map(|time| time.elapsed());
    matches!(age, Ok(Ok(age)) if age < LISTS_LAST)
}

/// The dependencies on one version alone: the parts of a kernel name each other like this, and
/// nothing else does.
fn exact_dependencies(stanza: &str) -> Vec<Package> {
    let first = stanza.split("\n\n").next().unwrap_or_default();
    first
        .lines()
        .filter_map(|line| line.strip_prefix("Depends: "))
        .flat_map(|depends| depends.split(", "))
        .filter_map(|dependency| {
            let (name, version) = dependency.split_once(" (= ")?;
            Some(Package {
                name: name.to_owned(),
                version: version.strip_suffix(')')?.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_dependencies_are_parts_of_a_kernel() {
        let stanza = "Package: a\nDepends: kmod, linux-base (>= 4.3~), b-1 (= 1:7.2-1~bpo13+1)\n\n\
            Package: a\nDepends: c (= 6)\n";
        let packages = exact_dependencies(stanza);
        assert_eq!(packages.len(), 1, "{packages:?}");
        assert_eq!(packages[0].argument(), "b-1=1:7.2-1~bpo13+1");
        assert_eq!(packages[0].file(), "b-1_1%3a7.2-1~bpo13+1_amd64.deb");
    }

    #[test]
    fn lists_that_were_never_fetched_are_not_fresh() {
        assert!(!is_fresh(Path::new("/no/such/mark")));
    }
}
