//! The socket a process answers on, for both sides of it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::{Registry, directory};
use crate::intake;

/// Names of sockets that answer end with this.
const SUFFIX: &str = ".sock";
/// Askers that may wait for their turn.
const BACKLOG: i32 = 16;
/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an asker may take to read: others wait meanwhile, and not as long as they can.
const ASKER_PATIENCE: Duration = Duration::from_millis(500);
/// Most that is read of an answer: some 3 000 connections.
const ANSWER_MAX: u64 = 1024 * 1024;

/// The socket of this process; its name goes when this is dropped.
pub struct Published {
    listener: net::UnixListener,
    name: Name,
}

/// A name in the file system, removed when this is dropped.
struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        // Gone already is as good; anything else is swept by the next `conns`.
        let _ = fs::remove_file(&self.0);
    }
}

/// Has a task of the current runtime answer for this process, for as long as the runtime lives.
/// Where that cannot be, it is said in the log and nothing else: serving does not depend on it.
pub fn answer_for(registry: Arc<Registry>) {
    match publish(&directory::own()) {
        Ok(published) => drop(tokio::spawn(published.answer(registry))),
        Err(error) => tracing::warn!("`underseal conns` cannot see this process: {error}"),
    }
}

/// Puts a socket into the first of `directories` that can be had.
///
/// # Errors
/// What went wrong with the last of them.
pub fn publish(directories: &[PathBuf]) -> io::Result<Published> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for directory in directories {
        match directory::make(directory).and_then(|()| publish_in(directory)) {
            Ok(published) => return Ok(published),
            Err(error) => {
                let text = format!("`{}`: {error}", directory.display());
                failed = io::Error::new(error.kind(), text);
            }
        }
    }
    Err(failed)
}

/// Nobody can connect to the final name before the socket listens: it would be taken for that of a
/// dead process, and swept.
fn publish_in(directory: &Path) -> io::Result<Published> {
    let pid = std::process::id();
    let unfinished = Name(directory.join(format!("{pid}.new")));
    // Of an earlier process with this id, which was killed here.
    drop(Name(unfinished.0.clone()));
    let listener = bind_to(&unfinished.0)?;
    // In another PID namespace that shares this directory, the same id may be taken.
    for copy in 0..u32::from(u8::MAX) {
        let name = match copy {
            0 => format!("{pid}{SUFFIX}"),
            _ => format!("{pid}-{copy}{SUFFIX}"),
        };
        let name = directory.join(name);
        if is_stale(&name) {
            fs::remove_file(&name)?;
        }
        match fs::hard_link(&unfinished.0, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => {
                linked?;
                let name = Name(name);
                return Ok(Published { listener, name });
            }
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

fn bind_to(path: &Path) -> io::Result<net::UnixListener> {
    let socket = socket()?;
    // Before it has a name, so that it never has one that others could connect to.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(net::UnixListener::from(socket))
}

impl Published {
    /// Answers whoever connects, one after the other, for ever.
    pub async fn answer(self, registry: Arc<Registry>) {
        let Self {
            listener,
            name: _name,
        } = self;
        let listener = match UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::warn!("`underseal conns` gets no answer: {error}"),
        };
        loop {
            let (mut asker, _) = intake::next(|cx| listener.poll_accept(cx)).await;
            // Whoever does not read does not get the rest.
            let _ = timeout(ASKER_PATIENCE, asker.write_all(&registry.lines())).await;
        }
    }
}

/// What a process answered.
pub struct Answer {
    /// The process, as the kernel names it to this one.
    pub pid: Option<u32>,
    /// Its user, as the kernel knows it.
    pub uid: u32,
    /// Rows as lines of JSON, as they came; whole ones only.
    pub lines: Vec<u8>,
    /// Whether there is more than is read of one answer.
    pub is_cut: bool,
}

/// Asks the process that answers on `path`.
///
/// # Errors
/// `ConnectionRefused` for a socket that a dead process left behind, `PermissionDenied` for one
/// that others may not ask, `TimedOut` and `WouldBlock` for a process that does not answer.
pub async fn ask(path: &Path) -> io::Result<Answer> {
    let stream = UnixStream::from_std(connect_to(path)?)?;
    let credentials = stream.peer_cred()?;
    let mut lines = Vec::new();
    let mut answer = stream.take(ANSWER_MAX);
    timeout(PATIENCE, answer.read_to_end(&mut lines)).await??;
    let is_cut = answer.limit() == 0;
    if is_cut {
        let whole = lines.iter().rposition(|byte| *byte == b'\n');
        lines.truncate(whole.map_or(0, |last| last + 1));
    }
    Ok(Answer {
        is_cut,
        // Zero for a process that this PID namespace does not have.
        pid: credentials
            .pid()
            .filter(|&pid| pid > 0)
            .map(i32::unsigned_abs),
        uid: credentials.uid(),
        lines,
    })
}

/// Whether `path` is the socket of a process that is gone.
fn is_stale(path: &Path) -> bool {
    connect_to(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Does not wait: a backlog that is full is `WouldBlock`.
fn connect_to(path: &Path) -> io::Result<net::UnixStream> {
    let socket = socket()?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(net::UnixStream::from(socket))
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

/// The sockets in `directory`, in no order.
///
/// # Errors
/// When the directory cannot be read.
pub fn sockets_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut sockets = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.to_str().is_some_and(|name| name.ends_with(SUFFIX)) {
            sockets.push(path);
        }
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

    use super::*;
    use crate::live::{Established, Row};

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    }

    fn published(directory: &Path) -> Published {
        publish(&[directory.to_owned()]).expect("published")
    }

    #[test]
    fn who_asks_is_told_and_the_name_goes_with_the_process() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("run");
        let registry = Arc::new(Registry::new("serve", 1));
        let table = Arc::clone(registry.tables().next().expect("a table"));
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let registration = table.add(Established {
            local: address,
            peer: address,
            tls: None,
            suite: None,
        });
        runtime().block_on(async {
            let published = published(&directory);
            let path = published.name.0.clone();
            let metadata = fs::symlink_metadata(&path).expect("there");
            assert!(metadata.file_type().is_socket());
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
            let sockets = sockets_in(&directory).expect("read");
            assert_eq!(sockets, std::slice::from_ref(&path));
            assert_eq!(fs::read_dir(&directory).expect("read").count(), 1);

            let answering = tokio::spawn(published.answer(Arc::clone(&registry)));
            let answer = ask(&path).await.expect("an answer");
            assert_eq!(answer.pid, Some(std::process::id()));
            assert_eq!(answer.uid, directory::own_uid());
            let row: Row = serde_json::from_slice(&answer.lines).expect("one row");
            assert_eq!(row.peer, address);
            drop(registration);
            assert_eq!(ask(&path).await.expect("an answer").lines, b"");

            answering.abort();
            assert!(answering.await.is_err());
            assert!(!path.exists());
        });
    }

    #[test]
    fn what_a_dead_process_left_is_replaced_and_a_living_one_is_not() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().to_owned();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("chmod");
        let pid = std::process::id();
        let taken = directory.join(format!("{pid}.sock"));
        drop(net::UnixListener::bind(&taken).expect("bind"));
        drop(net::UnixListener::bind(directory.join(format!("{pid}.new"))).expect("bind"));
        assert!(is_stale(&taken));
        let first = published(&directory);
        assert_eq!(first.name.0, taken);
        assert!(!is_stale(&taken));
        let second = published(&directory);
        assert_eq!(second.name.0, directory.join(format!("{pid}-1.sock")));
        assert!(!is_stale(&taken) && !is_stale(&second.name.0));
    }

    #[test]
    fn the_next_directory_is_taken_where_the_first_cannot_be_had() {
        let parent = tempfile::tempdir().expect("a directory");
        let (bad, good) = (parent.path().join("no/such"), parent.path().join("good"));
        let published = publish(&[bad.clone(), good.clone()]).expect("published");
        assert!(published.name.0.starts_with(&good));
        let error = publish(std::slice::from_ref(&bad)).err().expect("refused");
        assert!(error.to_string().contains("no/such"), "{error}");
    }

    #[test]
    fn no_more_than_is_allowed_is_read_of_an_answer() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("1.sock");
        let endless = net::UnixListener::bind(&path).expect("bind");
        std::thread::spawn(move || {
            use std::io::Write as _;
            let (mut asker, _) = endless.accept().expect("an asker");
            while asker.write_all(b"{\"row\":1}\n").is_ok() {}
        });
        let answer = runtime().block_on(ask(&path)).expect("an answer");
        assert!(answer.is_cut && answer.lines.len() as u64 <= ANSWER_MAX);
        assert_eq!(answer.lines.last(), Some(&b'\n'));
    }

    #[test]
    fn a_process_that_does_not_answer_is_an_error() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("1.sock");
        let _silent = net::UnixListener::bind(&path).expect("bind");
        let asked = runtime().block_on(async {
            tokio::time::pause();
            ask(&path).await
        });
        assert_eq!(
            asked.err().expect("no answer").kind(),
            io::ErrorKind::TimedOut
        );
    }
}
