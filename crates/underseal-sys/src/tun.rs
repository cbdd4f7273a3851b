//! Tun devices: whether they exist here, and which offloads they have.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::probe::Answer;
use crate::socket_option::last;

const DEVICE: &str = "/dev/net/tun";

/// `struct ifreq` (netdevice(7)) as TUNSETIFF reads it.
#[repr(C)]
struct InterfaceFlags {
    name: [u8; libc::IFNAMSIZ],
    flags: i16,
    unused: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceFlags>() == size_of::<libc::ifreq>());

/// What tun devices can do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tun {
    /// `/dev/net/tun` can be opened.
    pub device: Answer,
    /// Packets can carry a header that says what is left to do to them (`IFF_VNET_HDR`).
    pub vnet_hdr: Answer,
    /// An interface can have several queues (`IFF_MULTI_QUEUE`).
    pub multi_queue: Answer,
    /// TCP packets can be handed over before they are cut (`TUN_F_TSO4`, `TUN_F_TSO6`).
    pub tso: Answer,
    /// UDP packets can be handed over before they are cut (`TUN_F_USO4`, `TUN_F_USO6`, Linux 6.2).
    pub uso: Answer,
}

impl Tun {
    /// Opens the device, asks for its features, and makes an interface to try its offloads.
    ///
    /// The interface is made in a network namespace of its own, which ends with it: the host's
    /// interfaces are as they were, and nothing that watches them notices. It needs
    /// CAP_SYS_ADMIN and CAP_NET_ADMIN; without them the offloads cannot be told.
    pub fn probe() -> Self {
        let device = open();
        let found = device.as_ref().map_err(|errno| *errno).and_then(features);
        let [tso, uso] = match interface_apart() {
            Ok(interface) => offloads(interface.as_fd()),
            Err(errno) => [Answer::CannotTell(errno); 2],
        };
        Self {
            device: Answer::of(device.as_ref().map_err(|errno| *errno)),
            vnet_hdr: has(found, libc::IFF_VNET_HDR),
            multi_queue: has(found, libc::IFF_MULTI_QUEUE),
            tso,
            uso,
        }
    }
}

fn open() -> Result<OwnedFd, Errno> {
    rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// Whether the flag is among the features, where those are known.
fn has(features: Result<libc::c_uint, Errno>, flag: libc::c_int) -> Answer {
    match features {
        Ok(features) if features & flag.cast_unsigned() != 0 => Answer::Yes,
        Ok(_) => Answer::No(Errno::INVAL),
        Err(errno) => Answer::CannotTell(errno),
    }
}

/// The flags that TUNSETIFF knows.
///
/// Errors: none are known for an open tun device.
#[doc(alias = "TUNGETFEATURES")]
fn features(device: &OwnedFd) -> Result<libc::c_uint, Errno> {
    let mut features: libc::c_uint = 0;
    // SAFETY: the descriptor is open for the length of the call, and TUNGETFEATURES writes one
    // unsigned int, which the pointer is to.
    let result =
        unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNGETFEATURES, &raw mut features) };
    if result == 0 {
        Ok(features)
    } else {
        Err(last())
    }
}

/// Makes the device an interface, whose name the kernel chooses. It ends with the descriptor.
///
/// | errno | why |
/// |---|---|
/// | `EPERM` | no CAP_NET_ADMIN in the namespace |
/// | `EINVAL` | a flag that this kernel does not know |
#[doc(alias = "TUNSETIFF")]
fn set_interface(device: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    let mut request = InterfaceFlags {
        name: [0; libc::IFNAMSIZ],
        flags: i16::try_from(flags).map_err(|_| Errno::INVAL)?,
        unused: [0; 22],
    };
    // SAFETY: the descriptor is open for the length of the call, and TUNSETIFF reads and writes one
    // struct ifreq, which the pointer is to.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// Says which offloads this end of the interface can deal with.
///
/// | errno | why |
/// |---|---|
/// | `EINVAL` | an offload that this kernel does not know, or one without TUN_F_CSUM |
/// | `EBADFD` | the device is no interface yet |
#[doc(alias = "TUNSETOFFLOAD")]
fn set_offload(device: BorrowedFd<'_>, offloads: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the length of the call, and TUNSETOFFLOAD takes a number.
    let result = unsafe {
        libc::ioctl(
            device.as_raw_fd(),
            libc::TUNSETOFFLOAD,
            libc::c_ulong::from(offloads),
        )
    };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// An interface in a network namespace that only it is in. Both end with the descriptor.
fn interface_apart() -> Result<OwnedFd, Errno> {
    let apart = thread::Builder::new().spawn(|| {
        // SAFETY: this thread leaves only its network namespace, and has no descriptor yet whose
        // meaning depends on it.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.and_then(|()| open_interface())
    });
    let apart = apart.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
    apart.join().unwrap_or(Err(Errno::IO))
}

fn open_interface() -> Result<OwnedFd, Errno> {
    let device = open()?;
    set_interface(device.as_fd())?;
    Ok(device)
}

/// Whether the interface takes TSO, and USO.
fn offloads(device: BorrowedFd<'_>) -> [Answer; 2] {
    let tso = libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    // The kernel takes the two only together.
    let uso = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    [tso, uso].map(|offload| Answer::of(set_offload(device, libc::TUN_F_CSUM | offload)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_device_answers_and_a_machine_without_one_says_so() {
        let found = Tun::probe();
        if Path::new(DEVICE).exists() {
            assert_ne!(found.device, Answer::No(Errno::NOENT));
        } else {
            assert_eq!(found.device, Answer::No(Errno::NOENT));
            assert_eq!(found.vnet_hdr, Answer::CannotTell(Errno::NOENT));
        }
    }

    #[test]
    fn features_are_read_by_their_flag() {
        let features = Ok(libc::IFF_TUN.cast_unsigned() | libc::IFF_VNET_HDR.cast_unsigned());
        assert_eq!(has(features, libc::IFF_VNET_HDR), Answer::Yes);
        let absent = has(features, libc::IFF_MULTI_QUEUE);
        assert_eq!(absent, Answer::No(Errno::INVAL));
        let unknown = has(Err(Errno::ACCESS), libc::IFF_VNET_HDR);
        assert_eq!(unknown, Answer::CannotTell(Errno::ACCESS));
    }

    #[test]
    fn the_probe_leaves_the_interfaces_of_the_host_alone() {
        let interfaces = || {
            std::fs::read_to_string("/proc/net/dev")
                .unwrap()
                .lines()
                .count()
        };
        let before = interfaces();
        let interface = interface_apart();
        assert_eq!(interfaces(), before, "{interface:?}");
    }
}
