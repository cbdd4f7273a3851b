//! What the kernel knows about TCP sockets of this network namespace, their TLS included.
//!
//! `NETLINK_SOCK_DIAG` with `SOCK_DIAG_BY_FAMILY` (linux/inet_diag.h, net/ipv4/inet_diag.c; Linux
//! 3.3). The upper layer protocol and its TLS part came with Linux 5.5 (net/ipv4/tcp_diag.c,
//! net/tls/tls_main.c `tls_get_info`). Before Linux 6.15 only a process with `CAP_NET_ADMIN` is
//! told of either.

mod message;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use message::Request;

/// One TCP socket that has a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpSocket {
    /// Its own address. An IPv4 address in an IPv6 socket is given as the IPv4 address it is.
    pub local: SocketAddr,
    /// The address of its peer, in the same way.
    pub peer: SocketAddr,
    /// What `/proc/PID/fd` shows as `socket:[inode]`. Zero for a socket that no process holds.
    pub inode: u32,
    /// The user it belongs to.
    pub uid: u32,
    /// Its upper layer protocol (`TCP_ULP`), if it has one and the kernel tells.
    pub ulp: Option<Ulp>,
}

/// An upper layer protocol: what `TCP_ULP` set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ulp {
    /// `tls`, `mptcp`, `espintcp`, …
    pub name: String,
    /// What `tls` says about itself.
    pub tls: Option<TlsInfo>,
}

/// `INET_ULP_INFO_TLS`: a socket's TLS as the kernel does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `TLS_INFO_VERSION`: 0x0303 or 0x0304; `None` before a direction was set.
    pub version: Option<u16>,
    /// `TLS_INFO_CIPHER`: the id of linux/tls.h, 51 for AES-128-GCM; `None` before a direction was
    /// set.
    pub cipher: Option<u16>,
    /// `TLS_INFO_TXCONF`: who seals.
    pub tx: Config,
    /// `TLS_INFO_RXCONF`: who opens.
    pub rx: Config,
    /// `TLS_INFO_ZC_RO_TX` (Linux 6.0): pages given to sendfile are read while they are sent.
    pub zerocopy_ro: bool,
    /// `TLS_INFO_RX_NO_PAD` (Linux 6.0): the peer is expected not to pad.
    pub expect_no_pad: bool,
    /// `TLS_INFO_TX_MAX_PAYLOAD_LEN` (Linux 6.19): longest plaintext of a record, in bytes.
    pub max_payload: Option<u16>,
}

/// `TLS_CONF_*`: who protects the records of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Config {
    /// `TLS_CONF_BASE`: not the kernel; bytes pass as they are.
    #[default]
    Base,
    /// `TLS_CONF_SW`: the kernel's software.
    Software,
    /// `TLS_CONF_HW`: the network device.
    Device,
    /// `TLS_CONF_HW_RECORD`: a device with a TCP stack of its own (removed with Linux 7.3).
    DeviceTcp,
    /// A value that this crate does not know.
    Other(u16),
}

impl From<u16> for Config {
    fn from(value: u16) -> Self {
        match value {
            1 => Self::Base,
            2 => Self::Software,
            3 => Self::Device,
            4 => Self::DeviceTcp,
            other => Self::Other(other),
        }
    }
}

/// Every TCP socket of this network namespace that has a peer and is not closed on both sides,
/// IPv4 first, in the kernel's order.
///
/// # Errors
///
/// `ENOENT` where the kernel has no `tcp_diag` module, `EPROTONOSUPPORT` where it has no
/// `NETLINK_SOCK_DIAG`, `EACCES` or `EPERM` where a sandbox forbids it, `EBADMSG` for an answer
/// that makes no sense.
pub fn tcp_sockets() -> Result<Vec<TcpSocket>, Errno> {
    let netlink = open()?;
    let mut sockets = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        exchange(&netlink, &Request::dump(family), &mut sockets)?;
    }
    Ok(sockets)
}

/// The socket of this network namespace with these two addresses; `None` if there is none.
///
/// # Errors
///
/// As [`tcp_sockets`], and `EINVAL` for addresses of two families.
pub fn tcp_socket(local: SocketAddr, peer: SocketAddr) -> Result<Option<TcpSocket>, Errno> {
    let request = Request::one(local, peer).ok_or(Errno::INVAL)?;
    let mut sockets = Vec::new();
    match exchange(&open()?, &request, &mut sockets) {
        // The kernel says the same for a module that is missing: a dump tells the two apart.
        Err(Errno::NOENT) => {
            exchange(&open()?, &Request::dump(request.family()), &mut Vec::new()).map(|()| None)
        }
        Err(error) => Err(error),
        Ok(()) => Ok(sockets.pop()),
    }
}

/// A netlink socket that hears the kernel only.
fn open() -> Result<OwnedFd, Errno> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// Bytes of one answer: the kernel fills at most 32 KiB (net/netlink/af_netlink.c `netlink_dump`).
const ANSWER_MAX: usize = 64 * 1024;

/// Sends `request` and collects the sockets of its answer.
fn exchange(
    netlink: &OwnedFd,
    request: &Request,
    sockets: &mut Vec<TcpSocket>,
) -> Result<(), Errno> {
    send(netlink, &request.to_bytes(), SendFlags::empty())?;
    let mut buffer = vec![0; ANSWER_MAX];
    loop {
        let receive = || recv(netlink, &mut buffer[..], RecvFlags::TRUNC).map(|(_, length)| length);
        let length = rustix::io::retry_on_intr(receive)?;
        let answer = buffer.get(..length).ok_or(Errno::BADMSG)?;
        if message::read(answer, sockets)? == message::Progress::Done {
            return Ok(());
        }
    }
}
