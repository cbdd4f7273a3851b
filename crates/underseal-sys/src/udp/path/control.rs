//! Control messages of a datagram: the size of a train's datagrams, and the address of this host.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Local;
use crate::udp::{SOL_UDP, UDP_GRO, UDP_SEGMENT};

const HEADER: usize = size_of::<libc::cmsghdr>();
/// What a message's end is rounded up to (`CMSG_ALIGN` of the kernel).
const ALIGN: usize = size_of::<usize>();

/// A buffer with room for every message that is asked for, and sent.
#[repr(C, align(8))]
pub(super) struct Control([u8; Self::LEN]);

/// What the kernel said of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) segment: Option<usize>,
    pub(super) local: Option<Local>,
}

impl Control {
    /// Two messages, the longer one with an `in6_pktinfo` of 20 bytes; twice as much.
    pub(super) const LEN: usize = 128;

    pub(super) fn empty() -> Self {
        Self([0; Self::LEN])
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Adds a message behind the first `at` bytes; returns where the next one goes.
    fn push(&mut self, at: usize, level: i32, message_type: i32, body: &[u8]) -> usize {
        let header = libc::cmsghdr {
            cmsg_len: (HEADER + body.len()) as _,
            cmsg_level: level,
            cmsg_type: message_type,
        };
        let place = &mut self.0[at..at + HEADER];
        // SAFETY: the place has the bytes of a header, none of which is padding that matters.
        unsafe {
            place
                .as_mut_ptr()
                .cast::<libc::cmsghdr>()
                .write_unaligned(header);
        }
        self.0[at + HEADER..][..body.len()].copy_from_slice(body);
        at + (HEADER + body.len()).next_multiple_of(ALIGN)
    }

    /// Adds the size of a train's datagrams.
    pub(super) fn push_segment(&mut self, at: usize, segment: u16) -> usize {
        self.push(at, SOL_UDP, UDP_SEGMENT, &segment.to_ne_bytes())
    }

    /// Adds the address to send from: in the form of IPv6 for a peer that has one of IPv6.
    pub(super) fn push_local(&mut self, at: usize, local: Local, of_ipv6: bool) -> usize {
        let Local { address, interface } = local;
        if of_ipv6 {
            let address = match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            // `struct in6_pktinfo`: address and interface, any if it is 0.
            let mut body = [0; 20];
            body[..16].copy_from_slice(&address.octets());
            body[16..].copy_from_slice(&interface.to_ne_bytes());
            return self.push(at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &body);
        }
        let IpAddr::V4(address) = address.to_canonical() else {
            // No address of IPv6 sends to one of IPv4: the routes say where from.
            return at;
        };
        // `struct in_pktinfo`: interface, any; the address to send from; and one that is not read.
        let mut body = [0; 12];
        body[4..8].copy_from_slice(&address.octets());
        self.push(at, libc::IPPROTO_IP, libc::IP_PKTINFO, &body)
    }

    /// Reads the messages in the first `len` bytes.
    pub(super) fn received(&self, len: usize) -> Received {
        let (mut received, mut rest) = (Received::default(), &self.0[..len.min(Self::LEN)]);
        while let Some((header, body, after)) = split_first(rest) {
            match (header.cmsg_level, header.cmsg_type) {
                (SOL_UDP, UDP_GRO) => received.segment = segment(body),
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => received.local = local_v4(body),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => received.local = local_v6(body),
                _ => {}
            }
            rest = after;
        }
        received
    }
}

/// The first message: header, body, and what comes behind it.
fn split_first(messages: &[u8]) -> Option<(libc::cmsghdr, &[u8], &[u8])> {
    let place = messages.get(..HEADER)?;
    // SAFETY: there are as many bytes as a header has, and every value of them is one.
    let header = unsafe { place.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
    let len: usize = header.cmsg_len as _;
    let body = messages.get(HEADER..len)?;
    let after = messages
        .get(len.next_multiple_of(ALIGN)..)
        .unwrap_or_default();
    Some((header, body, after))
}

/// An `int`.
fn segment(body: &[u8]) -> Option<usize> {
    let size = i32::from_ne_bytes(*body.first_chunk()?);
    usize::try_from(size).ok().filter(|size| *size > 0)
}

/// `struct in_pktinfo`: interface, what the datagram is answered from, and what it was sent to.
fn local_v4(body: &[u8]) -> Option<Local> {
    let [_, _, _, _, a, b, c, d, ..] = *body.first_chunk::<12>()?;
    Some(Local {
        address: Ipv4Addr::new(a, b, c, d).into(),
        interface: 0,
    })
}

/// `struct in6_pktinfo`: what the datagram was sent to, and the interface.
fn local_v6(body: &[u8]) -> Option<Local> {
    let (address, interface) = body.split_first_chunk::<16>()?;
    let (address, interface) = (Ipv6Addr::from(*address), *interface.first_chunk()?);
    // An answer cannot leave from a group, also of IPv4, whose addresses a socket of both families has in this form.
    let is_group = match address.to_ipv4_mapped() {
        Some(address) => address.is_multicast() || address.is_broadcast(),
        None => address.is_multicast(),
    };
    (!is_group).then_some(Local {
        address: address.into(),
        // The kernel refuses an address of a link to send from unless it knows of which, and a peer's address says that
        // only where it is of the link, too (`net/ipv6/datagram.c`, `ip6_datagram_send_ctl`).
        interface: match address.is_unicast_link_local() {
            true => u32::from_ne_bytes(interface),
            false => 0,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(interface: u32, address: impl Into<IpAddr>) -> Local {
        let address = address.into();
        Local { address, interface }
    }

    /// Elsewhere an answer may leave by another interface than the question came by.
    #[test]
    fn an_address_of_a_link_is_told_with_its_interface_and_others_are_not() {
        for (address, expected) in [("fe80::9", 7), ("fd00::9", 0), ("::1", 0)] {
            let address: Ipv6Addr = address.parse().unwrap();
            let mut control = Control::empty();
            let len = control.push_local(0, on(7, address), true);
            assert_eq!(control.received(len).local, Some(on(expected, address)));
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_is_cut_short_is_not() {
        let (local, other) = (Ipv4Addr::new(127, 0, 0, 9), Ipv6Addr::LOCALHOST);
        for (sent, of_ipv6, expected) in [
            (IpAddr::from(local), false, IpAddr::from(local)),
            (local.into(), true, local.to_ipv6_mapped().into()),
            (other.into(), true, other.into()),
        ] {
            let mut control = Control::empty();
            let first = control.push(0, SOL_UDP, UDP_GRO, &1200_i32.to_ne_bytes());
            let len = control.push_local(first, on(0, sent), of_ipv6);
            let received = control.received(len);
            assert_eq!(received.segment, Some(1200));
            assert_eq!(received.local, Some(on(0, expected)));
            assert_eq!(control.received(len - ALIGN).local, None);
            assert_eq!(control.received(first).local, None);
        }
        assert_eq!(Control::empty().received(Control::LEN), Received::default());
    }

    #[test]
    fn an_address_of_a_group_is_none_to_answer_from() {
        for group in ["ff02::1", "::ffff:224.0.0.1", "::ffff:255.255.255.255"] {
            let group: Ipv6Addr = group.parse().unwrap();
            let mut control = Control::empty();
            let len = control.push_local(0, on(0, group), true);
            assert_eq!(control.received(len).local, None, "{group}");
        }
    }

    #[test]
    fn an_address_of_ipv6_does_not_send_to_one_of_ipv4() {
        let mut control = Control::empty();
        let local = on(0, Ipv6Addr::LOCALHOST);
        assert_eq!(control.push_local(0, local, false), 0);
    }
}
