//! What network interfaces say of themselves (`SIOCETHTOOL`).

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::{fs, ptr};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};

use crate::socket_option::last;

/// Commands, `include/uapi/linux/ethtool.h`.
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
/// The string set of feature names (`enum ethtool_stringset`).
const ETH_SS_FEATURES: u32 = 4;
/// Bytes of each string (`ETH_GSTRING_LEN`).
const NAME_LEN: usize = 32;
/// 32-bit words before the strings in `struct ethtool_gstrings`.
const STRINGS_HEAD: usize = 3;
/// 32-bit words before the blocks in `struct ethtool_gfeatures`.
const FEATURES_HEAD: usize = 2;
/// 32-bit words of each block, which holds 32 features.
const BLOCK: usize = 4;

/// `struct ifreq` (netdevice(7)) as SIOCETHTOOL reads it.
#[repr(C)]
struct InterfaceData {
    name: [u8; libc::IFNAMSIZ],
    data: *mut u32,
    unused: [u64; 2],
}

const _: () = assert!(size_of::<InterfaceData>() == size_of::<libc::ifreq>());

/// What an interface says of one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a feature is on, off or absent")]
pub enum Feature {
    /// It is on.
    On,
    /// The driver has it, and it is off.
    Off,
    /// The driver has not got it: `off [fixed]` in ethtool's words.
    Fixed,
    /// The kernel does not know the feature.
    Unknown,
}

/// What an interface says of all its features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// The kernel's names; the position of each is its bit.
    names: Vec<String>,
    /// The kernel's blocks, four words for each 32 features.
    blocks: Vec<u32>,
}

/// The interfaces of this network namespace, in the kernel's order.
///
/// # Errors
/// What opening `/proc/net/dev` said.
pub fn interfaces() -> Result<Vec<String>, Errno> {
    let table = fs::read_to_string("/proc/net/dev")
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(names_in(&table))
}

/// The names in `/proc/net/dev`: before the first colon of each line but the two of the head.
fn names_in(table: &str) -> Vec<String> {
    let lines = table.lines().skip(2);
    let names = lines.filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    names.collect()
}

/// What the driver of `interface` says of its features.
///
/// | errno | why |
/// |---|---|
/// | `ENODEV` | there is no such interface |
/// | `EINVAL` | that can be no interface's name |
/// | `EOPNOTSUPP` | the kernel has no ethtool |
pub fn features(interface: &str) -> Result<Features, Errno> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let names = feature_names(&socket, interface)?;
    let blocks = names.len().div_ceil(32);
    let mut request = vec![0; FEATURES_HEAD + BLOCK * blocks];
    request[0] = ETHTOOL_GFEATURES;
    request[1] = u32::try_from(blocks).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel writes no more blocks than the second word says, and there is room for
    // those.
    unsafe { ethtool(&socket, interface, &mut request) }?;
    Ok(Features {
        names,
        blocks: request.split_off(FEATURES_HEAD),
    })
}

impl Features {
    /// The feature of this name, which is the one that `ethtool -k` prints: `tls-hw-tx-offload`
    /// for a NIC that seals TLS records, `tls-hw-rx-offload` for one that opens them.
    pub fn get(&self, name: &str) -> Feature {
        let Some(position) = self.names.iter().position(|known| known == name) else {
            return Feature::Unknown;
        };
        // struct ethtool_get_features_block.
        let Some(&[available, _requested, active, never_changed]) = self
            .blocks
            .chunks_exact(BLOCK)
            .nth(position / 32)
            .and_then(|block| block.first_chunk::<BLOCK>())
        else {
            return Feature::Unknown;
        };
        let bit = 1 << (position % 32);
        if active & bit != 0 {
            Feature::On
        } else if available & bit != 0 && never_changed & bit == 0 {
            Feature::Off
        } else {
            Feature::Fixed
        }
    }
}

/// The names of the kernel's features; the position of each is its bit.
fn feature_names(socket: &OwnedFd, interface: &str) -> Result<Vec<String>, Errno> {
    // struct ethtool_sset_info: command, reserved, the mask of wanted sets in 64 bits, one count.
    let mask = (1_u64 << ETH_SS_FEATURES).to_ne_bytes();
    let [a, b, c, d, e, f, g, h] = mask;
    let halves = [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes);
    let mut sizes = [ETHTOOL_GSSET_INFO, 0, halves[0], halves[1], 0];
    // SAFETY: the mask names one set, so that the kernel writes one count behind it.
    unsafe { ethtool(socket, interface, &mut sizes) }?;
    let count = sizes[4] as usize;

    let mut strings = vec![0; STRINGS_HEAD + count * NAME_LEN / 4];
    strings[..STRINGS_HEAD].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_FEATURES, sizes[4]]);
    // SAFETY: the kernel writes as many strings as it has features, whatever the third word says;
    // that number is a constant of the kernel, which it has just told, and there is room for it.
    unsafe { ethtool(socket, interface, &mut strings) }?;
    Ok(strings_in(&strings[STRINGS_HEAD..]))
}

/// The strings in a buffer: 32 bytes each, padded with NULs.
fn strings_in(words: &[u32]) -> Vec<String> {
    let text = |words: &[u32]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    };
    words.chunks_exact(NAME_LEN / 4).map(text).collect()
}

/// SIOCETHTOOL with a command in the first word of `request`.
///
/// # Safety
/// `request` must have room for everything that the kernel writes for this command.
unsafe fn ethtool(socket: &OwnedFd, interface: &str, request: &mut [u32]) -> Result<(), Errno> {
    let mut name = [0; libc::IFNAMSIZ];
    // One byte less: the kernel wants a NUL behind the name.
    let room = name[..libc::IFNAMSIZ - 1].get_mut(..interface.len());
    room.ok_or(Errno::INVAL)?
        .copy_from_slice(interface.as_bytes());
    let mut data = InterfaceData {
        name,
        data: request.as_mut_ptr(),
        unused: [0; 2],
    };
    // SAFETY: the descriptor is open for the length of the call, and SIOCETHTOOL reads one struct
    // ifreq, which the pointer is to; what the kernel writes to its data is the caller's promise.
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCETHTOOL,
            ptr::from_mut(&mut data),
        )
    };
    if result < 0 { Err(last()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel with 34 features, the interesting ones on both sides of a block's end.
    fn with(blocks: &[u32]) -> Features {
        let mut names: Vec<_> = (0..34).map(|bit| format!("feature-{bit}")).collect();
        names[0] = "tls-hw-record".to_owned();
        names[31] = "tls-hw-tx-offload".to_owned();
        names[33] = "tls-hw-rx-offload".to_owned();
        Features {
            names,
            blocks: blocks.to_vec(),
        }
    }

    #[test]
    fn features_are_decoded_from_their_bits() {
        let high = 1 << 31;
        // available, requested, active, never changed; twice.
        let found = with(&[high, 0, 0, 1, 2, 2, 2, 0]);
        assert_eq!(found.get("tls-hw-tx-offload"), Feature::Off);
        assert_eq!(found.get("tls-hw-rx-offload"), Feature::On);
        assert_eq!(found.get("tls-hw-record"), Feature::Fixed);
        assert_eq!(found.get("no-such-feature"), Feature::Unknown);
        let never_changed = with(&[1, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(never_changed.get("tls-hw-record"), Feature::Fixed);
    }

    #[test]
    fn a_kernel_that_wrote_fewer_blocks_is_not_read_past_them() {
        let short = with(&[0; 4]);
        assert_eq!(short.get("tls-hw-rx-offload"), Feature::Unknown);
    }

    #[test]
    fn strings_end_at_their_nul() {
        let mut bytes = [0_u8; 64];
        bytes[..3].copy_from_slice(b"one");
        bytes[32..64].copy_from_slice(b"exactly-thirty-two-bytes-long-xx");
        let words: Vec<u32> = bytes
            .chunks_exact(4)
            .map(|word| u32::from_ne_bytes(*word.first_chunk().unwrap()))
            .collect();
        let expected = ["one", "exactly-thirty-two-bytes-long-xx"];
        assert_eq!(strings_in(&words), expected);
    }

    #[test]
    fn names_are_read_from_the_table() {
        let table = "Inter-|   Receive\n face |bytes\n    lo: 1 2\n  eth0:12 3\n";
        assert_eq!(names_in(table), ["lo", "eth0"]);
    }

    #[test]
    fn the_loopback_interface_has_no_tls() {
        assert!(interfaces().unwrap().iter().any(|name| name == "lo"));
        let found = features("lo").unwrap();
        assert_eq!(found.get("tls-hw-tx-offload"), Feature::Fixed);
        assert_eq!(found.get("tls-hw-rx-offload"), Feature::Fixed);
        assert_eq!(found.get("loopback"), Feature::On);
    }

    #[test]
    fn names_that_no_interface_has_are_refused() {
        assert_eq!(features("no-such-device"), Err(Errno::NODEV));
        assert_eq!(features("longer-than-a-name-may-be"), Err(Errno::INVAL));
    }
}
