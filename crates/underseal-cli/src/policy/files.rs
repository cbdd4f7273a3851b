//! The files that a command line names, and those of the directories that it names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use underseal_policy::PolicyFile;
use underseal_proxy::policy::files::{self, Found};

use crate::exit::{Exit, Failure, one_line, say};

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
    /// Reads all `paths`; `-` is stdin. Of a directory all is read that a proxy reads of it; what else
    /// is there is named on stderr.
    ///
    /// # Errors
    /// [`Exit::Policy`] where something cannot be read, or a directory has no such file.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let Found { files, unread } = files::find(paths)?;
        for file in unread {
            let file = one_line(&file.to_string_lossy());
            say(&format!("note: {file}: not read\n"));
        }
        let read = files.iter().map(|file| Text::read(file));
        Ok(Self(read.collect::<Result<_, _>>()?))
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

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Policy,
        format!("cannot read {}: {error}", path.display()),
        "a policy file is YAML in UTF-8; `-` reads stdin",
    )
}
