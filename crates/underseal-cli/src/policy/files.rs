//! The files that a command line names, and those of the directories that it names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use underseal_policy::PolicyFile;

use crate::exit::{Exit, Failure, say};

/// Policy files, read.
#[derive(Debug)]
pub(super) struct Files(Vec<Text>);

/// The text of a file.
#[derive(Debug)]
struct Text {
    /// As messages name it.
    name: String,
    text: String,
}

impl Files {
    /// Reads all `paths`; `-` is stdin. Of a directory the files `*.yaml` and `*.yml` are read, in
    /// the order of their names; what else is there is named on stderr.
    ///
    /// # Errors
    /// [`Exit::Policy`] where something cannot be read, or a directory has no such file.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut read = Vec::new();
        for path in paths {
            if path != Path::new("-") && path.is_dir() {
                for file in in_directory(path)? {
                    read.push(Text::read(&file)?);
                }
            } else {
                read.push(Text::read(path)?);
            }
        }
        Ok(Self(read))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn policy_files(&self) -> Vec<PolicyFile<'_>> {
        let files = self.0.iter().map(|file| PolicyFile {
            name: &file.name,
            text: &file.text,
        });
        files.collect()
    }
}

impl Text {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = if path == Path::new("-") {
            io::read_to_string(io::stdin().lock())
        } else {
            fs::read_to_string(path)
        };
        let text = text.map_err(|error| unreadable(path, &error))?;
        Ok(Self {
            name: path.display().to_string(),
            text,
        })
    }
}

fn in_directory(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
    let entries: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries.map_err(|error| unreadable(path, &error))?;
    entries.sort();
    let is_policy = |file: &PathBuf| {
        let extension = file.extension().and_then(std::ffi::OsStr::to_str);
        matches!(extension, Some("yaml" | "yml"))
    };
    let (files, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_policy);
    for other in others {
        say(&format!(
            "note: {}: not read: not *.yaml\n",
            other.display()
        ));
    }
    if files.is_empty() {
        return Err(Failure::new(
            Exit::Policy,
            format!("no policy in {}", path.display()),
            "of a directory the files *.yaml and *.yml are read",
        ));
    }
    Ok(files)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Policy,
        format!("cannot read {}: {error}", path.display()),
        "a policy file is YAML in UTF-8; `-` reads stdin",
    )
}
