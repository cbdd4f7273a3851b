//! The bytes of requests and answers. Everything is in the machine's byte order but ports and
//! addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::AddressFamily;

use super::{Config, TcpSocket, TlsInfo, Ulp};

// linux/netlink.h
const NLMSG_HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
/// A message of several; their end is an `NLMSG_DONE`.
const NLM_F_MULTI: u16 = 0x2;
const NLM_F_DUMP: u16 = 0x300;
const NLA_HEADER: usize = 4;
/// Without the flags `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const NLA_TYPE_MASK: u16 = 0x3fff;

// linux/sock_diag.h, linux/inet_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const IPPROTO_TCP: u8 = 6;
const INET_DIAG_INFO: u8 = 2;
const INET_DIAG_ULP_INFO: u16 = 19;
const INET_DIAG_NOCOOKIE: u32 = u32::MAX;
const INET_ULP_INFO_NAME: u16 = 1;
const INET_ULP_INFO_TLS: u16 = 2;
/// Length of `struct inet_diag_msg`; its `struct inet_diag_sockid` begins after four bytes.
const DIAG_MESSAGE: usize = 72;

// linux/tls.h
const TLS_INFO_VERSION: u16 = 1;
const TLS_INFO_CIPHER: u16 = 2;
const TLS_INFO_TXCONF: u16 = 3;
const TLS_INFO_RXCONF: u16 = 4;
const TLS_INFO_ZC_RO_TX: u16 = 5;
const TLS_INFO_RX_NO_PAD: u16 = 6;
const TLS_INFO_TX_MAX_PAYLOAD_LEN: u16 = 7;

/// Bits of the TCP states (net/tcp_states.h) in which a socket has a peer and an owner:
/// ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING.
const STATES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

/// `struct inet_diag_req_v2` behind its netlink header.
pub(super) struct Request {
    family: AddressFamily,
    flags: u16,
    /// Local and peer's address; without it, every socket of the family.
    pair: Option<(SocketAddr, SocketAddr)>,
}

impl Request {
    /// Asks for every socket of `family`.
    pub(super) fn dump(family: AddressFamily) -> Self {
        Self {
            family,
            flags: NLM_F_REQUEST | NLM_F_DUMP,
            pair: None,
        }
    }

    /// Asks for the socket between two addresses of one family.
    pub(super) fn one(local: SocketAddr, peer: SocketAddr) -> Option<Self> {
        let family = match (local, peer) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) => AddressFamily::INET,
            (SocketAddr::V6(_), SocketAddr::V6(_)) => AddressFamily::INET6,
            _ => return None,
        };
        Some(Self {
            family,
            flags: NLM_F_REQUEST,
            pair: Some((local, peer)),
        })
    }

    pub(super) fn family(&self) -> AddressFamily {
        self.family
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut body = vec![self.family.as_raw() as u8, IPPROTO_TCP];
        // Without INET_DIAG_INFO the kernel leaves the upper layer protocol out too.
        body.extend([1 << (INET_DIAG_INFO - 1), 0]);
        body.extend(STATES.to_ne_bytes());
        body.extend(self.socket_id());
        let length = (NLMSG_HEADER + body.len()) as u32;
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes.extend(self.flags.to_ne_bytes());
        // Sequence number and port: one request is under way at a time, and the kernel fills in
        // the port.
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes
    }

    /// `struct inet_diag_sockid`.
    fn socket_id(&self) -> [u8; 48] {
        let mut id = [0; 48];
        if let Some((local, peer)) = self.pair {
            id[0..2].copy_from_slice(&local.port().to_be_bytes());
            id[2..4].copy_from_slice(&peer.port().to_be_bytes());
            for (at, address) in [(4, local.ip()), (20, peer.ip())] {
                match address {
                    IpAddr::V4(v4) => id[at..at + 4].copy_from_slice(&v4.octets()),
                    IpAddr::V6(v6) => id[at..at + 16].copy_from_slice(&v6.octets()),
                }
            }
        }
        id[40..44].copy_from_slice(&INET_DIAG_NOCOOKIE.to_ne_bytes());
        id[44..48].copy_from_slice(&INET_DIAG_NOCOOKIE.to_ne_bytes());
        id
    }
}

/// Whether an answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Done,
}

/// Reads one datagram of an answer: several messages of a dump, or the one that was asked for.
///
/// # Errors
///
/// What the kernel answered, or `EBADMSG` for bytes that are no such answer.
pub(super) fn read(mut datagram: &[u8], sockets: &mut Vec<TcpSocket>) -> Result<Progress, Errno> {
    let mut in_dump = false;
    while !datagram.is_empty() {
        let length = u32_at(datagram, 0)? as usize;
        let message = datagram.get(..length).ok_or(Errno::BADMSG)?;
        let body = message.get(NLMSG_HEADER..).ok_or(Errno::BADMSG)?;
        match u16_at(message, 4)? {
            NLMSG_DONE | NLMSG_ERROR => {
                // Both begin with an errno, negative or zero.
                let code = i32::from_ne_bytes(array_at(body, 0)?);
                return match code {
                    0 => Ok(Progress::Done),
                    _ => Err(Errno::from_raw_os_error(code.wrapping_neg())),
                };
            }
            SOCK_DIAG_BY_FAMILY => {
                in_dump |= u16_at(message, 6)? & NLM_F_MULTI != 0;
                sockets.push(socket(body)?);
            }
            _ => {}
        }
        datagram = datagram.get(align(length)..).unwrap_or_default();
    }
    Ok(if in_dump {
        Progress::More
    } else {
        Progress::Done
    })
}

/// Reads `struct inet_diag_msg` and the attributes behind it.
fn socket(body: &[u8]) -> Result<TcpSocket, Errno> {
    let attributes = body.get(DIAG_MESSAGE..).ok_or(Errno::BADMSG)?;
    let is_v6 = u16::from(body[0]) == AddressFamily::INET6.as_raw();
    let address = |port: usize, ip: usize| -> Result<SocketAddr, Errno> {
        let port = u16::from_be_bytes(array_at(body, port)?);
        let ip = if is_v6 {
            Ipv6Addr::from(array_at::<16>(body, ip)?).to_canonical()
        } else {
            Ipv4Addr::from(array_at::<4>(body, ip)?).into()
        };
        Ok(SocketAddr::new(ip, port))
    };
    let mut ulp = None;
    for attribute in Attributes(attributes) {
        let (kind, value) = attribute?;
        if kind == INET_DIAG_ULP_INFO {
            ulp = Some(read_ulp(value)?);
        }
    }
    Ok(TcpSocket {
        local: address(4, 8)?,
        peer: address(6, 24)?,
        inode: u32_at(body, 68)?,
        uid: u32_at(body, 64)?,
        ulp,
    })
}

fn read_ulp(value: &[u8]) -> Result<Ulp, Errno> {
    let mut ulp = Ulp {
        name: String::new(),
        tls: None,
    };
    for attribute in Attributes(value) {
        let (kind, value) = attribute?;
        match kind {
            INET_ULP_INFO_NAME => {
                let name = value.split(|&byte| byte == 0).next().unwrap_or_default();
                ulp.name = String::from_utf8_lossy(name).into_owned();
            }
            INET_ULP_INFO_TLS => ulp.tls = Some(read_tls(value)?),
            _ => {}
        }
    }
    Ok(ulp)
}

fn read_tls(value: &[u8]) -> Result<TlsInfo, Errno> {
    let mut tls = TlsInfo::default();
    for attribute in Attributes(value) {
        let (kind, value) = attribute?;
        match kind {
            TLS_INFO_VERSION => tls.version = Some(u16_at(value, 0)?),
            TLS_INFO_CIPHER => tls.cipher = Some(u16_at(value, 0)?),
            TLS_INFO_TXCONF => tls.tx = Config::from(u16_at(value, 0)?),
            TLS_INFO_RXCONF => tls.rx = Config::from(u16_at(value, 0)?),
            TLS_INFO_ZC_RO_TX => tls.zerocopy_ro = true,
            TLS_INFO_RX_NO_PAD => tls.expect_no_pad = true,
            TLS_INFO_TX_MAX_PAYLOAD_LEN => tls.max_payload = Some(u16_at(value, 0)?),
            _ => {}
        }
    }
    Ok(tls)
}

/// Netlink attributes, one after the other: type without flags, and value.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = || {
            let length = usize::from(u16_at(self.0, 0)?);
            let value = self.0.get(NLA_HEADER..length).ok_or(Errno::BADMSG)?;
            Ok((length, u16_at(self.0, 2)? & NLA_TYPE_MASK, value))
        };
        match read() {
            Ok((length, kind, value)) => {
                self.0 = self.0.get(align(length)..).unwrap_or_default();
                Some(Ok((kind, value)))
            }
            Err(error) => {
                self.0 = &[];
                Some(Err(error))
            }
        }
    }
}

/// `NLMSG_ALIGN` and `NLA_ALIGN`: up to the next multiple of four.
fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Errno> {
    let rest = bytes.get(at..).ok_or(Errno::BADMSG)?;
    rest.first_chunk().copied().ok_or(Errno::BADMSG)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Errno> {
    array_at(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Errno> {
    array_at(bytes, at).map(u32::from_ne_bytes)
}
