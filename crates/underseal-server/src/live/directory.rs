//! Where processes put the sockets they answer on.
//!
//! `UNDERSEAL_RUNTIME_DIR` if it is set; else `/run/underseal` for root, and for everybody else
//! `$XDG_RUNTIME_DIR/underseal`, `/run/user/UID/underseal`, `/tmp/underseal-UID`: the first that
//! can be had.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Overrides every other choice.
pub const VARIABLE: &str = "UNDERSEAL_RUNTIME_DIR";

/// Name of the directory below those that belong to one user.
const NAME: &str = "underseal";
/// Where every user may make a directory, and nobody can remove another one's.
const SHARED: &str = "/tmp";

/// Where processes of this user put their sockets, the first choice first.
pub fn own() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(chosen) = variable(VARIABLE) {
        return vec![chosen.into()];
    }
    let uid = own_uid();
    if uid == 0 {
        return vec![Path::new("/run").join(NAME)];
    }
    let session = variable("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let mut choices: Vec<_> = session.into_iter().collect();
    choices.push(Path::new("/run/user").join(uid.to_string()));
    choices.dedup();
    for choice in &mut choices {
        choice.push(NAME);
    }
    choices.push(shared(&uid.to_string()));
    choices
}

/// Where `conns` looks: where this user's processes put their sockets and, for root, where
/// everybody's do.
pub fn all() -> Vec<PathBuf> {
    let mut directories = own();
    if own_uid() == 0 && std::env::var_os(VARIABLE).is_none() {
        let of_sessions = names_in(Path::new("/run/user"));
        directories.extend(of_sessions.map(|session| session.join(NAME)));
        let prefix = format!("{NAME}-");
        directories.extend(names_in(Path::new(SHARED)).filter(|path| {
            let name = path.file_name().and_then(OsStr::to_str);
            name.is_some_and(|name| name.starts_with(&prefix))
        }));
    }
    directories
}

fn shared(uid: &str) -> PathBuf {
    Path::new(SHARED).join(format!("{NAME}-{uid}"))
}

fn names_in(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

/// The user that this process acts as.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Makes `directory`, for its user alone, unless it is there.
///
/// # Errors
/// When it cannot be made, and when what is there is not to be trusted.
pub fn make(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => check_own(directory),
    }
}

/// Checks that `directory` is this user's, who alone can have put anything into it.
///
/// # Errors
/// When what is there is not to be trusted.
pub fn check_own(directory: &Path) -> io::Result<()> {
    match owner(directory)? {
        uid if uid == own_uid() => Ok(()),
        uid => Err(distrust(format!("it belongs to user {uid}"))),
    }
}

/// The user to whom `directory` belongs, and who alone can have put anything into it.
///
/// # Errors
/// When it is a symlink, no directory, or others may write to it: in `/tmp`, everything could be
/// put in place of it by anybody.
pub fn owner(directory: &Path) -> io::Result<u32> {
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(distrust("it is no directory".to_owned()));
    }
    if metadata.mode() & 0o022 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(distrust(format!("others may write to it, mode {mode:o}")));
    }
    Ok(metadata.uid())
}

fn distrust(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_directory_is_made_for_its_user_alone_and_found_again() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("underseal");
        make(&path).expect("made");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        make(&path).expect("there already");
        assert_eq!(owner(&path).expect("trusted"), own_uid());
    }

    #[test]
    fn what_others_could_have_put_there_is_not_trusted() {
        let parent = tempfile::tempdir().expect("a directory");
        let target = parent.path().join("elsewhere");
        make(&target).expect("made");
        let link = parent.path().join("link");
        symlink(&target, &link).expect("a link");
        let file = parent.path().join("file");
        fs::write(&file, "").expect("a file");
        let open = parent.path().join("open");
        make(&open).expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).expect("chmod");
        for path in [link, file, open] {
            let error = make(&path).expect_err("not trusted");
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{path:?}");
        }
        assert!(make(&parent.path().join("no/parent")).is_err());
    }
}
