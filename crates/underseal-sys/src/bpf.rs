//! bpf(2): whether the programs and maps that act on sockets can be made here.

use std::fs;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;

use rustix::io::Errno;

use crate::probe::Answer;
use crate::socket_option::last;

/// `enum bpf_cmd`, `include/uapi/linux/bpf.h`.
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_QUERY: libc::c_long = 16;
/// `enum bpf_map_type`, since Linux 4.14.
const BPF_MAP_TYPE_SOCKMAP: u32 = 15;

/// `BPF_ALU64 | BPF_MOV | BPF_K` into r0 of 1, then `BPF_JMP | BPF_EXIT`: the shortest program that
/// the verifier takes from every kind asked for here. 1 means "allow" to all of them.
const RETURN_ONE: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 1, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// What bpf(2) lets this process make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bpf {
    /// A map of sockets, between which programs redirect plaintext.
    pub sockmap: Answer,
    /// A program that sees what a socket of a sockmap sends.
    pub sk_msg: Answer,
    /// A program that follows the TCP connections of a cgroup.
    pub sock_ops: Answer,
    /// A program that sees, and may change, where a cgroup's sockets connect to.
    pub cgroup_connect: Answer,
}

/// The kinds of programs that are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum ProgramType {
    /// `BPF_PROG_TYPE_SOCK_OPS`, since Linux 4.13.
    SockOps = 13,
    /// `BPF_PROG_TYPE_SK_MSG`, since Linux 4.17.
    SkMsg = 16,
    /// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`, since Linux 4.17.
    CgroupSockAddr = 18,
}

impl ProgramType {
    /// `enum bpf_attach_type`: `BPF_CGROUP_SOCK_OPS`, `BPF_SK_MSG_VERDICT`,
    /// `BPF_CGROUP_INET4_CONNECT`.
    const fn attach_type(self) -> u32 {
        match self {
            Self::SockOps => 3,
            Self::SkMsg => 7,
            Self::CgroupSockAddr => 10,
        }
    }
}

/// `union bpf_attr` as `BPF_MAP_CREATE` reads it.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// `union bpf_attr` as `BPF_PROG_LOAD` reads it.
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// `union bpf_attr` as `BPF_PROG_QUERY` reads it.
#[repr(C)]
struct ProgQuery {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    unused: u32,
}

const _: () = assert!(size_of::<MapCreate>() == 20);
const _: () = assert!(size_of::<ProgQuery>() == 32);
const _: () = assert!(size_of::<ProgLoad>() == 72);

impl Bpf {
    /// Makes a map and loads one program of each kind, and drops them: nothing is attached.
    ///
    /// Without CAP_BPF and CAP_NET_ADMIN the kernel says `EPERM`, and nothing can be told.
    pub fn probe() -> Self {
        Self {
            sockmap: Answer::of(create_sockmap()),
            sk_msg: Answer::of(load(ProgramType::SkMsg)),
            sock_ops: Answer::of(load(ProgramType::SockOps)),
            cgroup_connect: Answer::of(load(ProgramType::CgroupSockAddr)),
        }
    }
}

/// Where a cgroup v2 hierarchy is mounted: programs for cgroups are attached to its directories.
///
/// # Errors
/// What opening `/proc/self/mountinfo` said; `Ok(None)` if there is no such mount.
pub fn cgroup_v2_mount() -> Result<Option<PathBuf>, Errno> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(mounts.lines().find_map(cgroup_v2_line))
}

/// The mount point of a line of mountinfo (proc_pid_mountinfo(5)), if its type is `cgroup2`.
fn cgroup_v2_line(line: &str) -> Option<PathBuf> {
    let (mount, filesystem) = line.split_once(" - ")?;
    if filesystem.split(' ').next()? != "cgroup2" {
        return None;
    }
    // The only octal escape that an administrator is likely to cause.
    let point = mount.split(' ').nth(4)?.replace("\\040", " ");
    Some(PathBuf::from(point))
}

/// Whether this cgroup can have programs that see where its sockets connect to
/// (`BPF_CGROUP_INET4_CONNECT`): asks how many it has. Nothing is attached.
///
/// `directory` is one of a cgroup v2 hierarchy, [`cgroup_v2_mount`] for its root.
pub fn cgroup_hooks(directory: impl AsFd) -> Answer {
    let mut attributes = ProgQuery {
        target_fd: directory.as_fd().as_raw_fd().cast_unsigned(),
        attach_type: ProgramType::CgroupSockAddr.attach_type(),
        query_flags: 0,
        attach_flags: 0,
        prog_ids: 0,
        prog_cnt: 0,
        unused: 0,
    };
    // SAFETY: the attributes are those of BPF_PROG_QUERY, whose one pointer is null: the kernel
    // then writes counts into the attributes alone.
    let queried = unsafe { bpf(BPF_PROG_QUERY, &mut attributes) };
    Answer::of(queried)
}

fn create_sockmap() -> Result<OwnedFd, Errno> {
    let mut attributes = MapCreate {
        map_type: BPF_MAP_TYPE_SOCKMAP,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        map_flags: 0,
    };
    // SAFETY: the attributes are those of BPF_MAP_CREATE, and hold no pointer.
    let created = unsafe { bpf(BPF_MAP_CREATE, &mut attributes) }?;
    // SAFETY: the command succeeded, and it returns a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(created) })
}

fn load(program: ProgramType) -> Result<OwnedFd, Errno> {
    let license = c"Apache-2.0";
    let mut attributes = ProgLoad {
        prog_type: program as u32,
        insn_cnt: 2,
        insns: RETURN_ONE.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: [0; 16],
        prog_ifindex: 0,
        expected_attach_type: program.attach_type(),
    };
    // SAFETY: the attributes are those of BPF_PROG_LOAD; the pointers in it are to a constant of
    // `insn_cnt` instructions and to a constant C string, both of which outlive the call.
    let loaded = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) }?;
    // SAFETY: the command succeeded, and it returns a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(loaded) })
}

/// bpf(2). Returns what the command returns, which may be a new descriptor.
///
/// # Safety
/// `attributes` must be laid out as `union bpf_attr` is for `command`, and the pointers in it must
/// be valid for what the command does with them.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> Result<RawFd, Errno> {
    // SAFETY: the kernel reads and writes `size_of::<T>()` bytes of the attributes; what they point
    // to is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    match RawFd::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(last()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_v2_mount_is_found_by_its_type() {
        let line = "42 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(cgroup_v2_line(line), Some(PathBuf::from("/sys/fs/cgroup")));
        let optional = "42 24 0:27 / /a\\040b rw - cgroup2 none rw";
        assert_eq!(cgroup_v2_line(optional), Some(PathBuf::from("/a b")));
        for other in [
            "33 24 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu",
            "33 24 0:28 / /cgroup2 rw - tmpfs cgroup2 rw",
            "",
            "33 - cgroup2",
        ] {
            assert_eq!(cgroup_v2_line(other), None, "{other}");
        }
    }

    #[test]
    fn the_mount_that_is_found_is_a_cgroup() {
        // The kernel lists its filesystems; this one can be absent as a whole.
        let filesystems = fs::read_to_string("/proc/filesystems").unwrap();
        assert!(filesystems.contains("\tcgroup2\n"), "{filesystems}");
        if let Some(mount) = cgroup_v2_mount().unwrap() {
            assert!(mount.join("cgroup.controllers").exists(), "{mount:?}");
        }
    }

    #[test]
    fn a_directory_that_is_no_cgroup_has_no_hooks() {
        let root = fs::File::open("/").unwrap();
        let answer = cgroup_hooks(&root);
        let refused = [Answer::No(Errno::BADF), Answer::CannotTell(Errno::PERM)];
        assert!(refused.contains(&answer), "{answer:?}");
    }

    #[test]
    fn a_map_type_that_does_not_exist_is_refused() {
        let mut attributes = MapCreate {
            map_type: 0xffff,
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            map_flags: 0,
        };
        // SAFETY: the attributes are those of BPF_MAP_CREATE, and hold no pointer.
        let unknown = unsafe { bpf(BPF_MAP_CREATE, &mut attributes) };
        assert!(
            matches!(unknown, Err(Errno::INVAL | Errno::PERM)),
            "{unknown:?}"
        );
        attributes.map_type = BPF_MAP_TYPE_SOCKMAP;
        attributes.value_size = 3;
        // SAFETY: as above.
        let bad_size = unsafe { bpf(BPF_MAP_CREATE, &mut attributes) };
        assert!(
            matches!(bad_size, Err(Errno::INVAL | Errno::PERM)),
            "{bad_size:?}"
        );
    }
}
