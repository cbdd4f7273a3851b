//! One function per socket option.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::crypto_info::{Cipher, CryptoInfo, Direction, Version, buffer, parse_prefix};
use crate::socket_option;

/// `SOL_TCP`, `include/linux/socket.h`.
const SOL_TCP: i32 = libc::SOL_TCP;
/// `TCP_ULP`, `include/uapi/linux/tcp.h`, since Linux 4.13.
const TCP_ULP: i32 = libc::TCP_ULP;
/// `SOL_TLS`, `include/linux/socket.h`, since Linux 4.13.
pub(crate) const SOL_TLS: i32 = libc::SOL_TLS;
/// `TLS_TX_ZEROCOPY_RO`, `include/uapi/linux/tls.h`, since Linux 5.19.
const TLS_TX_ZEROCOPY_RO: i32 = 3;
/// `TLS_RX_EXPECT_NO_PAD`, `include/uapi/linux/tls.h`, since Linux 6.0.
const TLS_RX_EXPECT_NO_PAD: i32 = 4;
/// `TLS_TX_MAX_PAYLOAD_LEN`, `include/uapi/linux/tls.h`, since Linux 6.19.
const TLS_TX_MAX_PAYLOAD_LEN: i32 = 5;

impl Direction {
    /// `TLS_TX` or `TLS_RX`, `include/uapi/linux/tls.h`.
    const fn option(self) -> i32 {
        match self {
            Self::Tx => libc::TLS_TX,
            Self::Rx => libc::TLS_RX,
        }
    }
}

/// Gives a connected TCP socket the upper layer protocol `tls`. Bytes pass unchanged until a
/// direction gets keys. As root the kernel loads the module by itself.
///
/// | errno | why |
/// |---|---|
/// | `ENOENT` | the kernel has no TLS (`CONFIG_TLS`), or the module is not loaded and this process may not have it loaded |
/// | `EEXIST` | the socket has an upper layer protocol already, this or another |
/// | `ENOTCONN` | the socket is not established |
/// | `EINVAL`, `ENOPROTOOPT`, `EOPNOTSUPP` | not a TCP socket, or one that carries other offloads |
#[doc(alias = "TCP_ULP")]
pub fn attach(fd: impl AsFd) -> Result<(), Errno> {
    socket_option::set(fd.as_fd(), SOL_TCP, TCP_ULP, b"tls")
}

/// Gives a direction its keys. From here on the kernel owns its sequence number. Under TLS 1.3,
/// from Linux 6.14 on, a second call replaces the keys, as after a KeyUpdate.
///
/// | errno | why |
/// |---|---|
/// | `ENOPROTOOPT` | the socket has not the upper layer protocol |
/// | `EINVAL` | the kernel does not know this cipher or this version with it; the other direction has another version or cipher; the socket is in a sockmap |
/// | `EBUSY` | the direction has keys, and this kernel (or TLS 1.2) cannot replace them |
/// | `ENOENT` | the cipher is not built, or not loaded |
/// | `ENOMEM` | no memory |
#[doc(alias("TLS_TX", "TLS_RX"))]
pub fn set(fd: impl AsFd, direction: Direction, info: &CryptoInfo) -> Result<(), Errno> {
    socket_option::set(fd.as_fd(), SOL_TLS, direction.option(), info.as_bytes())
}

/// Reads the keys of a direction, with the sequence number (and explicit nonce) of the next
/// record. The kernel keeps them, and goes on counting.
///
/// | errno | why |
/// |---|---|
/// | `EBUSY` | the direction has no keys |
/// | `ENOPROTOOPT`, `EOPNOTSUPP` | the socket has not the upper layer protocol |
/// | `EINVAL` | the kernel holds a cipher that this crate does not know |
#[doc(alias("TLS_TX", "TLS_RX"))]
pub fn get(fd: impl AsFd, direction: Direction) -> Result<CryptoInfo, Errno> {
    let fd = fd.as_fd();
    let (version, cipher) = version_and_cipher(fd, direction)?;
    let mut bytes = buffer();
    let option = direction.option();
    let asked = &mut bytes[..cipher.struct_len()];
    socket_option::get(fd, SOL_TLS, option, asked)?;
    Ok(CryptoInfo::from_kernel(version, cipher, bytes))
}

/// Reads what a direction is protected with. Errors are those of [`get`].
pub fn version_and_cipher(fd: impl AsFd, direction: Direction) -> Result<(Version, Cipher), Errno> {
    let mut prefix = [0; 4];
    socket_option::get(fd.as_fd(), SOL_TLS, direction.option(), &mut prefix)?;
    parse_prefix(prefix).map_err(|_| Errno::INVAL)
}

/// Lets a NIC that seals read file pages while they are sent by sendfile(2), instead of copies.
/// Without such a NIC it does nothing.
///
/// **Hazard**: a file that changes while it is sent breaks the connection, because a
/// retransmission is sealed from other bytes under the same nonce; an observer who sees both
/// learns about the key stream. Use it for files that nobody writes.
///
/// Errors: `EINVAL` before TLS_TX is set; `ENOPROTOOPT` before Linux 5.19.
#[doc(alias = "TLS_TX_ZEROCOPY_RO")]
pub fn set_zerocopy_ro(fd: impl AsFd, on: bool) -> Result<(), Errno> {
    let value = u32::from(on).to_ne_bytes();
    socket_option::set(fd.as_fd(), SOL_TLS, TLS_TX_ZEROCOPY_RO, &value)
}

/// Whether [`set_zerocopy_ro`] is on.
pub fn zerocopy_ro(fd: impl AsFd) -> Result<bool, Errno> {
    get_u32(fd, TLS_TX_ZEROCOPY_RO).map(|value| value != 0)
}

/// Promises that the peer sends no padding (TLS 1.3): records are then opened straight into the
/// reader's memory.
///
/// **Hazard**: a record that is padded after all, and every control record, is opened twice. A
/// peer can make each record cost double; `TlsRxNoPadViolation` in `/proc/net/tls_stat` counts
/// them.
///
/// Errors: `EINVAL` before TLS_RX is set or under TLS 1.2; `ENOPROTOOPT` before Linux 6.0.
#[doc(alias = "TLS_RX_EXPECT_NO_PAD")]
pub fn set_expect_no_pad(fd: impl AsFd, on: bool) -> Result<(), Errno> {
    let value = u32::from(on).to_ne_bytes();
    socket_option::set(fd.as_fd(), SOL_TLS, TLS_RX_EXPECT_NO_PAD, &value)
}

/// Whether [`set_expect_no_pad`] is on.
pub fn expect_no_pad(fd: impl AsFd) -> Result<bool, Errno> {
    get_u32(fd, TLS_RX_EXPECT_NO_PAD).map(|value| value != 0)
}

/// Makes records carry at most `len` bytes of plaintext (RFC 8449): 64 to 16384, under TLS 1.3
/// 63 to 16384, without the type byte.
///
/// Errors: `EINVAL` outside of these; `EBUSY` while a record is open; `ENOPROTOOPT` before Linux
/// 6.19.
#[doc(alias = "TLS_TX_MAX_PAYLOAD_LEN")]
pub fn set_max_payload_len(fd: impl AsFd, len: u16) -> Result<(), Errno> {
    let value = len.to_ne_bytes();
    socket_option::set(fd.as_fd(), SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &value)
}

/// Most bytes of plaintext in one record; see [`set_max_payload_len`].
pub fn max_payload_len(fd: impl AsFd) -> Result<u16, Errno> {
    let mut value = [0; 2];
    socket_option::get(fd.as_fd(), SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &mut value)?;
    Ok(u16::from_ne_bytes(value))
}

fn get_u32(fd: impl AsFd, option: i32) -> Result<u32, Errno> {
    let mut value = [0; 4];
    socket_option::get(fd.as_fd(), SOL_TLS, option, &mut value)?;
    Ok(u32::from_ne_bytes(value))
}
