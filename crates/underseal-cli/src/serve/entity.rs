//! An opened file with the validators of its present content.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat};

/// What an opened path turned out to be.
#[derive(Debug)]
pub(crate) enum Opened {
    File(Entity),
    Directory(OwnedFd),
    /// Socket, device, pipe: exists and is never served.
    Special,
}

/// A regular file, as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) file: Rc<File>,
    /// Length in bytes.
    pub(crate) length: u64,
    pub(crate) modified: SystemTime,
    pub(crate) etag: ETag,
}

/// A strong entity tag: changes when a file is replaced (inode), rewritten (time) or cut (length).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ETag {
    inode: u64,
    length: u64,
    modified_nanos: i128,
}

impl ETag {
    /// The tag as it is sent, quotes included.
    pub(crate) fn quoted(&self) -> String {
        format!(
            "\"{:x}-{:x}-{:x}\"",
            self.inode, self.length, self.modified_nanos
        )
    }
}

/// Looks at what `fd` refers to.
///
/// # Errors
/// When the kernel refuses `fstat`.
pub(crate) fn inspect(fd: OwnedFd) -> io::Result<Opened> {
    let stat = rustix::fs::fstat(&fd)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Opened::File(entity(Rc::new(File::from(fd)), &stat)),
        FileType::Directory => Opened::Directory(fd),
        _ => Opened::Special,
    })
}

/// Looks at a file again that was opened earlier; `None` once it has no name any more.
pub(crate) fn look_again(file: Rc<File>) -> Option<Entity> {
    let stat = rustix::fs::fstat(&file).ok()?;
    (stat.st_nlink > 0).then(|| entity(file, &stat))
}

fn entity(file: Rc<File>, stat: &Stat) -> Entity {
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    Entity {
        file,
        length,
        modified: modified(stat),
        etag: ETag {
            inode: stat.st_ino,
            length,
            modified_nanos: i128::from(stat.st_mtime) * 1_000_000_000
                + i128::from(stat.st_mtime_nsec),
        },
    }
}

/// Time of the last change of content; times before 1970, which no HTTP date can name, become 1970.
pub(crate) fn modified(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    // HTTP dates end with the year 9999.
    UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn open(path: &std::path::Path) -> Entity {
        let fd = OwnedFd::from(File::open(path).expect("test file"));
        match inspect(fd).expect("fstat") {
            Opened::File(entity) => entity,
            other => panic!("not a file: {other:?}"),
        }
    }

    #[test]
    fn the_tag_follows_length_time_and_inode() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("f");
        std::fs::write(&path, b"one").expect("write");
        let first = open(&path).etag;
        assert_eq!(first, open(&path).etag);
        assert!(first.quoted().starts_with('"') && first.quoted().ends_with('"'));

        let mut file = File::options().append(true).open(&path).expect("append");
        file.write_all(b"!").expect("write");
        let longer = open(&path).etag;
        assert_ne!(first, longer);

        file.set_modified(UNIX_EPOCH + Duration::new(9, 7))
            .expect("set time");
        assert_ne!(longer.quoted(), open(&path).etag.quoted());
    }

    #[test]
    fn directories_and_pipes_are_no_files() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let fd = OwnedFd::from(File::open(dir.path()).expect("open directory"));
        assert!(matches!(inspect(fd), Ok(Opened::Directory(_))));
        let (reader, _writer) = io::pipe().expect("pipe");
        assert!(matches!(
            inspect(OwnedFd::from(reader)),
            Ok(Opened::Special)
        ));
    }
}
