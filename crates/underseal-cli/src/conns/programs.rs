//! The connections of programs that `underseal run` has started: the library in them keeps a list in a file in memory,
//! which `/proc` shows to whoever may look into the process.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, MemfdFlags, Mode, OFlags, SeekFrom, StatxFlags, makedev, memfd_create, seek, statx,
};
use rustix::time::{ClockId, clock_gettime};
use underseal_server::live::{Engine, Row};
use underseal_sys::inet_diag::{self, TcpSocket};
use underseal_sys::tls::Cipher;
use underseal_ulp::listing::{ENTRIES, ENTRY, Listed, NAME};

use super::ask::Asked;
use super::kernel::{names_in, socket_inode, version_name};

/// Bytes of a list at most.
const LEN: u64 = (ENTRIES * ENTRY) as u64;

/// A process with such a list.
struct Program {
    pid: u32,
    name: String,
    list: PathBuf,
    /// The sockets that it has.
    inodes: HashSet<u32>,
}

/// Adds the connections of such programs: of the processes in `wanted`, or of every one if it is empty.
///
/// # Errors
/// When the kernel does not list its sockets.
pub(super) fn join(asked: &mut Asked, wanted: &[u32]) -> io::Result<()> {
    let programs = programs(Path::new("/proc"), wanted);
    if programs.is_empty() {
        return Ok(());
    }
    let sockets = inet_diag::tcp_sockets()?.into_iter();
    let sockets: HashMap<u32, TcpSocket> = sockets.map(|socket| (socket.inode, socket)).collect();
    let mut seen = HashSet::new();
    for mut program in programs {
        // It ended while we looked.
        let Ok((identity, listed)) = read(&program.list) else {
            continue;
        };
        // A process that came by fork a moment ago still has its parent's.
        if !seen.insert(identity) {
            continue;
        }
        asked.processes += 1;
        asked.pids.insert(program.pid);
        for listed in listed {
            let inode = u32::try_from(listed.inode).unwrap_or(0);
            // Only of its own sockets a process says anything that counts, and of each once.
            let is_its_own = program.inodes.remove(&inode);
            let socket = sockets.get(&inode).filter(|_| is_its_own);
            asked
                .rows
                .extend(socket.map(|socket| row(&program, socket, &listed)));
        }
    }
    Ok(())
}

fn programs(proc: &Path, wanted: &[u32]) -> Vec<Program> {
    let pids = names_in(proc).filter_map(|name| name.parse().ok());
    let is_wanted = |pid: &u32| wanted.is_empty() || wanted.contains(pid);
    let mut pids: Vec<u32> = pids.filter(is_wanted).collect();
    pids.sort_unstable();
    pids.into_iter()
        .filter_map(|pid| program(proc, pid))
        .collect()
}

fn program(proc: &Path, pid: u32) -> Option<Program> {
    let process = proc.join(pid.to_string());
    let descriptors = process.join("fd");
    let start = format!("/memfd:{NAME} ");
    let mut inodes = HashSet::new();
    let mut list = None;
    for name in names_in(&descriptors) {
        let descriptor = descriptors.join(name);
        match socket_inode(&descriptor) {
            Some(inode) => drop(inodes.insert(inode)),
            None if is_list(&descriptor, &start) => list = Some(descriptor),
            None => {}
        }
    }
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    Some(Program {
        pid,
        name: name.trim_end().to_owned(),
        list: list?,
        inodes,
    })
}

fn is_list(descriptor: &Path, start: &str) -> bool {
    let target = fs::read_link(descriptor).unwrap_or_default();
    target
        .to_str()
        .is_some_and(|target| target.starts_with(start))
}

/// Opens a list. A process of another user's may give the name to something else: a pipe or a device that whoever opens
/// it waits for, or a file of a server's that never answers. None of them is opened, nor asked for anything.
fn open(list: &Path) -> io::Result<File> {
    let place = rustix::fs::open(list, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = statx(&place, "", flags, StatxFlags::BASIC_STATS)?;
    // Files in memory are all on one device, which nothing else is on.
    let own = File::from(memfd_create("underseal-conns", MemfdFlags::CLOEXEC)?).metadata()?;
    let is_in_memory = makedev(found.stx_dev_major, found.stx_dev_minor) == own.dev();
    if !is_in_memory || found.stx_size > LEN {
        return Err(io::ErrorKind::InvalidData.into());
    }
    File::open(format!("/proc/self/fd/{}", place.as_raw_fd()))
}

/// The file's identity and what is in it, without the parts that nobody has written to.
fn read(list: &Path) -> io::Result<((u64, u64), Vec<Listed>)> {
    let file = open(list)?;
    let metadata = file.metadata()?;
    let mut listed = Vec::new();
    let mut at = 0;
    while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
        let end = seek(&file, SeekFrom::Hole(start))?.min(LEN);
        at = end.max(start + 1);
        let mut entry = [0; ENTRY];
        for place in (start..end).step_by(ENTRY) {
            file.read_exact_at(&mut entry, place)?;
            listed.extend(Listed::read(&entry));
        }
        if at >= LEN {
            break;
        }
    }
    Ok(((metadata.dev(), metadata.ino()), listed))
}

fn row(program: &Program, socket: &TcpSocket, listed: &Listed) -> Row {
    let now = clock_gettime(ClockId::Monotonic);
    let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    let cipher = Cipher::from_id(listed.cipher);
    Row {
        pid: Some(program.pid),
        command: Some(program.name.clone()),
        local: socket.local,
        peer: socket.peer,
        age_seconds: Some((now - listed.since as f64 / 1000.0).max(0.0)),
        tls: Some(version_name(listed.version)),
        suite: Some(cipher.map_or_else(
            || listed.cipher.to_string(),
            |known| known.name().to_owned(),
        )),
        tx_engine: Engine::User,
        rx_engine: Engine::User,
        tx_bytes: listed.seals.then_some(listed.tx_bytes),
        rx_bytes: listed.opens.then_some(listed.rx_bytes),
        tx_key_updates: None,
        rx_key_updates: None,
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    fn path_of(file: &File) -> PathBuf {
        format!("/proc/self/fd/{}", file.as_raw_fd()).into()
    }

    fn memory(len: u64) -> File {
        let file = File::from(memfd_create(NAME, MemfdFlags::CLOEXEC).expect("a file in memory"));
        file.set_len(len).expect("its length");
        file
    }

    #[test]
    fn a_list_is_read_and_nothing_else_is_opened() {
        let list = memory(LEN);
        list.write_all_at(&[1; ENTRY], 0).expect("an entry");
        let (_, listed) = read(&path_of(&list)).expect("a list");
        assert!(!listed.is_empty());
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
        assert!(read(&pipe).is_err(), "who opens it waits");
        let file = directory.path().join("file");
        fs::write(&file, [1; ENTRY]).expect("a file");
        assert!(
            read(&file).is_err(),
            "it may be of a server's that does not answer"
        );
    }
}
