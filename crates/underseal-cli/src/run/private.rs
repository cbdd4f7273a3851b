//! Files that a program under the library needs, which nobody else can have written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use underseal_server::live::directory;

/// Writes a file anew in the first directory of this user that is `suitable` and can be had, and says where it is.
/// Programs that have the one of before go on with it.
///
/// # Errors
///
/// What the last of the directories said.
pub(super) fn write(
    name: &str,
    content: &[u8],
    suitable: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for place in directory::own() {
        let written = directory::make(&place)
            .and_then(|()| suitable(&place))
            .and_then(|()| replace(&place.join(name), content));
        match written {
            Ok(()) => return Ok(place.join(name)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = file.with_added_extension(std::process::id().to_string());
    let replaced = fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, file));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced
}
