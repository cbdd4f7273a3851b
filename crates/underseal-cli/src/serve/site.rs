//! The directory served: opens paths below it, and nothing else.
//!
//! The kernel resolves each path with `openat2(RESOLVE_BENEATH)` from a descriptor of the root, so
//! that no symlink, and no rename while the path is walked, leads out of it. On kernels before 5.6,
//! and under sandboxes that refuse the call, paths are walked one name at a time with `O_NOFOLLOW`;
//! symlinks are then refused altogether, those that stay inside included.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::entity::{self, Opened};
use crate::exit::{Exit, Failure};
use underseal_http::origin::path::DotNames;

/// O_NONBLOCK so that a pipe in the tree cannot hold the worker; it means nothing to files.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY)
    .union(OFlags::NONBLOCK);

/// How often a path is tried again after a rename elsewhere made the kernel give up on it.
const RENAME_RETRIES: u32 = 4;

/// The root directory and how it is served.
#[derive(Debug)]
pub(crate) struct Site {
    root: OwnedFd,
    pub(crate) dot_names: DotNames,
    kernel_resolves: AtomicBool,
}

/// Why a path could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// 404.
    Missing,
    /// 403: not readable, or a symlink leads out of the root.
    Forbidden,
    /// 503: no descriptors or memory now.
    Exhausted,
    /// 500: the kernel said something unexpected.
    Other(Errno),
}

impl Site {
    /// Opens `dir` as root.
    ///
    /// # Errors
    /// [`Exit::Directory`] when it is missing, no directory, or not readable.
    pub(crate) fn open(dir: &Path, dot_names: DotNames) -> Result<Self, Failure> {
        let flags = READ | OFlags::DIRECTORY;
        let root = rustix::fs::open(dir, flags, Mode::empty()).map_err(|errno| {
            let hint = match errno {
                Errno::NOTDIR => "give the directory that holds the file",
                Errno::ACCESS => "give this user the right to read it, or run as another user",
                _ => "check the path; it is relative to the current directory",
            };
            let reason = std::io::Error::from(errno);
            let message = format!("cannot serve directory `{}`: {reason}", dir.display());
            Failure::new(Exit::Directory, message, hint)
        })?;
        Ok(Self {
            root,
            dot_names,
            kernel_resolves: AtomicBool::new(true),
        })
    }

    /// Opens a path made by [`underseal_http::origin::path::decode`]; empty is the root.
    ///
    /// # Errors
    /// See [`OpenError`]; each variant is a status.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Opened, OpenError> {
        let path = if path.is_empty() { b"." } else { path };
        let opened = if self.kernel_resolves.load(Ordering::Relaxed) {
            self.resolve(path)
        } else {
            walk(self.root.as_fd(), path)
        };
        let fd = opened.map_err(OpenError::from)?;
        entity::inspect(fd).map_err(|_| OpenError::Other(Errno::IO))
    }

    fn resolve(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..RENAME_RETRIES {
            match rustix::fs::openat2(&self.root, path, READ, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) if self.lacks_openat2(error) => {
                    tracing::warn!("openat2 is missing: symlinks are not followed");
                    self.kernel_resolves.store(false, Ordering::Relaxed);
                    return walk(self.root.as_fd(), path);
                }
                done => return done,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Whether `error` is about the call and not about the path. Seccomp filters of older
    /// container engines say EPERM, which may also be said of a single file: then the root opens.
    fn lacks_openat2(&self, error: Errno) -> bool {
        let opens_root = || {
            let resolve = ResolveFlags::BENEATH;
            rustix::fs::openat2(&self.root, ".", READ, Mode::empty(), resolve).is_ok()
        };
        error == Errno::NOSYS || (error == Errno::PERM && !opens_root())
    }
}

/// Opens `path` name by name without following symlinks.
fn walk(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let wants_directory = path.ends_with(b"/") || path == b".";
    let mut names = path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .peekable();
    let mut parent: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let inner = names.peek().is_some() || wants_directory;
        let kind = if inner {
            OFlags::DIRECTORY
        } else {
            OFlags::empty()
        };
        let from = parent.as_ref().map_or(root, |fd| fd.as_fd());
        let opened = rustix::fs::openat(from, name, READ | OFlags::NOFOLLOW | kind, Mode::empty());
        match opened {
            // With O_DIRECTORY a symlink says ENOTDIR; find out which of the two it was.
            Err(Errno::NOTDIR) if is_symlink(from, name) => return Err(Errno::LOOP),
            other => parent = Some(other?),
        }
    }
    parent.ok_or(Errno::NOENT)
}

fn is_symlink(from: BorrowedFd<'_>, name: &[u8]) -> bool {
    rustix::fs::statat(from, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink())
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::NODEV => {
                Self::Missing
            }
            // EXDEV is what RESOLVE_BENEATH says of a path that would leave; ELOOP comes from
            // circular and from magic links.
            Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP => Self::Forbidden,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Self::Exhausted,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temporary directory");
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).expect("directories");
        std::fs::write(root.join("a/b/f"), b"inside").expect("file");
        std::fs::write(dir.path().join("secret"), b"outside").expect("file");
        symlink("../../secret", root.join("a/out")).expect("link");
        symlink(dir.path().join("secret"), root.join("a/absolute")).expect("link");
        symlink("..", root.join("up")).expect("link");
        symlink("b/f", root.join("a/in")).expect("link");
        symlink("loop", root.join("loop")).expect("link");
        dir
    }

    fn site(dir: &tempfile::TempDir) -> Site {
        Site::open(&dir.path().join("root"), DotNames::Conceal).expect("open root")
    }

    fn content(site: &Site, path: &str) -> Result<String, OpenError> {
        match site.find(path.as_bytes())? {
            Opened::File(found) => {
                let mut text = String::new();
                (&*found.file).read_to_string(&mut text).expect("read");
                Ok(text)
            }
            Opened::Directory(_) => Ok("directory".into()),
            Opened::Special => Ok("special".into()),
        }
    }

    fn check(site: &Site, link_inside: Result<String, OpenError>) {
        assert_eq!(content(site, "a/b/f"), Ok("inside".into()));
        assert_eq!(content(site, ""), Ok("directory".into()));
        assert_eq!(content(site, "a/b/"), Ok("directory".into()));
        assert_eq!(content(site, "a/b/f/"), Err(OpenError::Missing));
        assert_eq!(content(site, "a/none"), Err(OpenError::Missing));
        assert_eq!(content(site, "none/f"), Err(OpenError::Missing));
        assert_eq!(content(site, "a/in"), link_inside);
        for outside in ["a/out", "a/absolute", "up/secret", "up/", "loop"] {
            assert_eq!(
                content(site, outside),
                Err(OpenError::Forbidden),
                "{outside}"
            );
        }
    }

    #[test]
    fn the_kernel_keeps_paths_beneath_the_root() {
        let dir = tree();
        check(&site(&dir), Ok("inside".into()));
    }

    #[test]
    fn without_openat2_no_symlink_is_followed() {
        let dir = tree();
        let site = site(&dir);
        site.kernel_resolves.store(false, Ordering::Relaxed);
        check(&site, Err(OpenError::Forbidden));
    }

    #[test]
    fn one_refused_file_does_not_mean_that_openat2_is_missing() {
        let dir = tree();
        let site = site(&dir);
        assert!(site.lacks_openat2(Errno::NOSYS));
        assert!(!site.lacks_openat2(Errno::PERM));
        assert!(!site.lacks_openat2(Errno::NOENT));
    }

    #[test]
    fn a_pipe_in_the_tree_does_not_block() {
        let dir = tree();
        let pipe = dir.path().join("root/pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR).expect("mkfifo");
        assert_eq!(content(&site(&dir), "pipe"), Ok("special".into()));
    }

    #[test]
    fn a_root_that_is_no_directory_has_its_own_exit() {
        let dir = tree();
        for (path, why) in [("secret", "Not a directory"), ("none", "No such file")] {
            let failure = Site::open(&dir.path().join(path), DotNames::Serve).expect_err(path);
            assert!(format!("{failure:?}").contains(why), "{failure:?}");
        }
    }
}
