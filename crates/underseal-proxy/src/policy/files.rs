//! The files that paths of policies name: themselves, and all that lie in directories below them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::unreadable;
use crate::Error;

/// What was found at paths of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is read, in the order of the paths, and of the names below them.
    pub files: Vec<PathBuf>,
    /// What lies in directories and is not read.
    pub unread: Vec<PathBuf>,
}

/// Finds what is to be read: each file that is named, and of a directory that is named all files
/// `*.yaml`, `*.yml` and `*.json`, whatever the case of that, in its sub-directories too. What is
/// hidden is not read. Names that begin with two dots are Kubernetes' own: what they hold is linked
/// beside them.
///
/// # Errors
/// [`Error::ReadPolicy`] where a directory cannot be read, [`Error::NoPolicy`] where there is nothing
/// to read in one.
pub fn find(paths: &[PathBuf]) -> Result<Found, Error> {
    let mut search = Search::default();
    for path in paths {
        if !path.is_dir() {
            search.found.files.push(path.clone());
            continue;
        }
        let before = search.found.files.len();
        search.directory(path)?;
        if search.found.files.len() == before {
            return Err(Error::NoPolicy {
                directory: path.clone(),
                unread: search.found.unread,
            });
        }
    }
    Ok(search.found)
}

#[derive(Default)]
struct Search {
    found: Found,
    /// Directories by their real paths: links may lead back.
    seen: BTreeSet<PathBuf>,
}

impl Search {
    fn directory(&mut self, path: &Path) -> Result<(), Error> {
        let real = fs::canonicalize(path).map_err(|error| unreadable(path, error))?;
        if !self.seen.insert(real) {
            return Ok(());
        }
        let entries = fs::read_dir(path).map_err(|error| unreadable(path, error))?;
        let entries: std::io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
        let mut entries = entries.map_err(|error| unreadable(path, error))?;
        entries.sort();
        for entry in entries {
            self.entry(entry)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf) -> Result<(), Error> {
        let name = path.file_name().map(OsStr::as_encoded_bytes);
        let name = name.unwrap_or_default();
        if name.starts_with(b"..") {
            return Ok(());
        }
        if name.starts_with(b".") {
            self.found.unread.push(path);
        } else if path.is_dir() {
            self.directory(&path)?;
        } else if is_policy(&path) {
            self.found.files.push(path);
        } else {
            self.found.unread.push(path);
        }
        Ok(())
    }
}

/// By its name. A link that leads nowhere is one: that it cannot be read is an error. A pipe is not.
fn is_policy(path: &Path) -> bool {
    const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
    let extension = path.extension().and_then(OsStr::to_str);
    let is_named = extension.is_some_and(|own| {
        EXTENSIONS
            .iter()
            .any(|other| own.eq_ignore_ascii_case(other))
    });
    is_named && fs::metadata(path).map_or(true, |meta| meta.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(directory: &Path, name: &str) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, "").expect("write");
    }

    fn names(root: &Path, paths: &[PathBuf]) -> Vec<String> {
        let below = |path: &PathBuf| {
            let path = path.strip_prefix(root).expect("below");
            path.display().to_string()
        };
        paths.iter().map(below).collect()
    }

    #[test]
    fn a_directory_is_read_whole_and_what_is_not_read_is_named() {
        let root = std::env::temp_dir().join(format!("underseal-policies-{}", std::process::id()));
        for name in [
            "b.YAML",
            "a.yml",
            "deny.json",
            "sub/deeper/c.yaml",
            "notes.txt",
            ".old.yaml",
            "d.yaml~",
            "..2026/real.yaml",
        ] {
            write(&root, name);
        }
        symlink(root.join("..2026"), root.join("..data")).expect("a link");
        symlink(root.join("..data/real.yaml"), root.join("real.yaml")).expect("a link");
        symlink(&root, root.join("sub/back")).expect("a link");
        let found = find(std::slice::from_ref(&root)).expect("files");
        fs::remove_dir_all(&root).expect("remove");
        assert_eq!(
            names(&root, &found.files),
            [
                "a.yml",
                "b.YAML",
                "deny.json",
                "real.yaml",
                "sub/deeper/c.yaml"
            ]
        );
        assert_eq!(
            names(&root, &found.unread),
            [".old.yaml", "d.yaml~", "notes.txt"]
        );
    }
}
