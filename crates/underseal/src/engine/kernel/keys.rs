//! Keys on their way into the kernel and back.

use std::os::fd::BorrowedFd;

use rustix::net::sockopt;
use underseal_record::{
    Algorithm, MAX_PLAINTEXT, MAX_RECORD, ProtocolVersion, SeqNo, TrafficKeys, TrafficSecret,
};
use underseal_sys::Errno;
use underseal_sys::probe::KernelTls;
use underseal_sys::tls::{self, Cipher, CryptoInfo, Direction, Version};

use crate::offload::Refusal;

/// Least receive buffer, as the kernel counts it (twice what was asked for), that kernel TLS
/// receives at speed with: a record must be in it whole before any of it can be read.
const LEAST_RECEIVE_BUFFER: usize = 4 * MAX_RECORD;

/// Hands the sending direction to the kernel, which cuts records at `max_plaintext` bytes.
///
/// # Errors
///
/// Why the kernel does not take it. The socket then goes on as before: the upper layer protocol
/// without keys passes bytes unchanged.
pub(crate) fn install_tx(
    socket: BorrowedFd<'_>,
    keys: &TrafficKeys,
    max_plaintext: usize,
) -> Result<(), Refusal> {
    can_lower_max_plaintext(max_plaintext)?;
    attach(socket, Direction::Tx)?;
    lower_max_plaintext(socket, max_plaintext)?;
    // The last step: once the kernel has the keys it seals, and nobody else may.
    set(socket, Direction::Tx, keys).map_err(Refusal::keys)
}

/// Hands the receiving direction to the kernel.
///
/// # Errors
///
/// As [`install_tx`].
pub(crate) fn install_rx(socket: BorrowedFd<'_>, keys: &TrafficKeys) -> Result<(), Refusal> {
    ensure_receive_buffer(socket)?;
    attach(socket, Direction::Rx)?;
    set(socket, Direction::Rx, keys).map_err(Refusal::keys)
}

/// Whether the kernel still seals under the keys of `secret`: a process that shares the socket may
/// have replaced them, and the next keys of `secret` are then those that it has used.
pub(super) fn check_own(
    socket: BorrowedFd<'_>,
    direction: Direction,
    secret: &TrafficSecret,
) -> Result<(), Refusal> {
    let held = tls::get(socket, direction).map_err(Refusal::rekey)?;
    match held.dangerous_key() == secret.keys().dangerous_key() {
        true => Ok(()),
        false => Err(Refusal::Shared),
    }
}

/// Replaces the keys of a direction that the kernel holds.
pub(super) fn replace(
    socket: BorrowedFd<'_>,
    direction: Direction,
    keys: &TrafficKeys,
) -> Result<(), Refusal> {
    set(socket, direction, keys).map_err(Refusal::rekey)
}

/// Lets the kernel receive on under the keys that it has, where it waits for others.
pub(super) fn resume(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let info = tls::get(socket, Direction::Rx)?;
    tls::set(socket, Direction::Rx, &info)
}

fn set(socket: BorrowedFd<'_>, direction: Direction, keys: &TrafficKeys) -> Result<(), Errno> {
    let info = CryptoInfo::new(
        version(keys.version()),
        cipher(keys.algorithm()),
        keys.dangerous_key(),
        keys.dangerous_iv(),
        keys.seq().0,
    )
    .map_err(|_| Errno::INVAL)?;
    tls::set(socket, direction, &info)
}

/// The upper layer protocol, for a direction without keys.
fn attach(socket: BorrowedFd<'_>, direction: Direction) -> Result<(), Refusal> {
    match tls::attach(socket) {
        Ok(()) => Ok(()),
        // It may be there for the other direction, or from an attempt that ended before the keys.
        Err(Errno::EXIST) => match tls::version_and_cipher(socket, direction) {
            Err(Errno::BUSY) => Ok(()),
            _ => Err(Refusal::ulp(Errno::EXIST)),
        },
        Err(errno) => Err(Refusal::ulp(errno)),
    }
}

/// Whether the kernel holds this direction of the socket already.
///
/// # Errors
///
/// If the kernel does not say.
pub(crate) fn holds(socket: BorrowedFd<'_>, direction: Direction) -> Result<bool, Errno> {
    match tls::version_and_cipher(socket, direction) {
        Ok(_) => Ok(true),
        // No keys, no upper layer protocol, no TLS in this kernel.
        Err(Errno::BUSY | Errno::NOPROTOOPT | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// What the kernel holds, with the sequence number of its next record.
pub(crate) fn read_back(
    socket: BorrowedFd<'_>,
    direction: Direction,
) -> Result<TrafficKeys, Refusal> {
    let info = tls::get(socket, direction).map_err(Refusal::keys)?;
    from_kernel(&info).ok_or(Refusal::keys(Errno::INVAL))
}

/// The kernel's keys as record keys. `None` for ciphers that the record layer does not know.
fn from_kernel(info: &CryptoInfo) -> Option<TrafficKeys> {
    let algorithm = Algorithm::ALL
        .into_iter()
        .find(|algorithm| cipher(*algorithm) == info.cipher())?;
    let version = match info.version() {
        Version::Tls12 => ProtocolVersion::Tls12,
        Version::Tls13 => ProtocolVersion::Tls13,
        _ => return None,
    };
    let seq = SeqNo(info.rec_seq());
    let nonce = info.dangerous_nonce();
    TrafficKeys::new(version, algorithm, info.dangerous_key(), nonce, seq).ok()
}

/// Whether the kernel can cut records at `len` bytes of plaintext.
fn can_lower_max_plaintext(len: usize) -> Result<(), Refusal> {
    match KernelTls::get().max_payload_len.errno() {
        Some(errno) if len < MAX_PLAINTEXT => Err(Refusal::max_payload(errno)),
        _ => Ok(()),
    }
}

/// Makes the kernel cut records at `len` bytes of plaintext, where that is less than a full one. A
/// socket takes it with the upper layer protocol, before it has keys.
fn lower_max_plaintext(socket: BorrowedFd<'_>, len: usize) -> Result<(), Refusal> {
    if len >= MAX_PLAINTEXT {
        return Ok(());
    }
    let len = u16::try_from(len).map_err(|_| Refusal::max_payload(Errno::INVAL))?;
    tls::set_max_payload_len(socket, len).map_err(Refusal::max_payload)
}

/// Sees to it that a whole record fits into the socket's receive buffer.
fn ensure_receive_buffer(socket: BorrowedFd<'_>) -> Result<(), Refusal> {
    let size = || sockopt::socket_recv_buffer_size(socket).map_err(Refusal::keys);
    if size()? >= LEAST_RECEIVE_BUFFER {
        return Ok(());
    }
    // The kernel doubles what it is asked for, and caps it at net.core.rmem_max.
    sockopt::set_socket_recv_buffer_size(socket, LEAST_RECEIVE_BUFFER / 2)
        .map_err(Refusal::keys)?;
    match size()? {
        raised if raised >= LEAST_RECEIVE_BUFFER => Ok(()),
        raised => Err(Refusal::ReceiveBuffer(raised)),
    }
}

/// What the probe of this process says about a direction.
pub(crate) fn probed(
    version_of: ProtocolVersion,
    algorithm: Algorithm,
    direction: Direction,
) -> Result<(), Refusal> {
    let kernel = KernelTls::get();
    if let Some(errno) = kernel.ulp.errno() {
        return Err(Refusal::ulp(errno));
    }
    let suite = kernel.suite(version(version_of), cipher(algorithm), direction);
    suite
        .errno()
        .map_or(Ok(()), |errno| Err(Refusal::keys(errno)))
}

fn version(version: ProtocolVersion) -> Version {
    match version {
        ProtocolVersion::Tls12 => Version::Tls12,
        ProtocolVersion::Tls13 => Version::Tls13,
    }
}

fn cipher(algorithm: Algorithm) -> Cipher {
    match algorithm {
        Algorithm::Aes128Gcm => Cipher::Aes128Gcm,
        Algorithm::Aes256Gcm => Cipher::Aes256Gcm,
        Algorithm::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305,
        Algorithm::Aes128Ccm => Cipher::Aes128Ccm,
    }
}
