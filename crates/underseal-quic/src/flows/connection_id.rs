use underseal_record::Algorithm;
use underseal_record::quic::HeaderKey;

use crate::flows::{NotOpened, NotRegistered};

/// Random bytes of a connection ID; what follows is the index, hidden by them and a key.
const RANDOM: usize = 8;

/// A connection ID of [`QuicFlows`](crate::flows::QuicFlows): eight random bytes, and the place of the
/// connection in the table, which nobody but the table can read. Two of one connection have nothing in
/// common that an observer could see (RFC 9000 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId([u8; Self::LEN]);

impl ConnectionId {
    /// Bytes of each.
    pub const LEN: usize = RANDOM + 4;

    /// Where the packet number starts in a short header with such an ID.
    pub const NUMBER_AT: usize = 1 + Self::LEN;

    /// The bytes for the peer.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// That of a packet with a short header.
    pub(crate) fn of_packet(packet: &[u8]) -> Result<Self, NotOpened> {
        let (first, rest) = packet.split_first().ok_or(NotOpened::TooShort)?;
        match first & 0xc0 {
            0x40 => {}
            0x00 => return Err(NotOpened::NotQuic),
            _ => return Err(NotOpened::LongHeader),
        }
        let id = rest.first_chunk().ok_or(NotOpened::TooShort)?;
        Ok(Self(*id))
    }
}

/// Puts indices into connection IDs, and finds them there.
pub(crate) struct Numbering(HeaderKey);

impl Numbering {
    pub(crate) fn new() -> Result<Self, NotRegistered> {
        let key: [u8; 16] = random()?;
        // Of the right length: it is refused by a build without an AEAD library only.
        let key = HeaderKey::new(Algorithm::Aes128Gcm, &key);
        key.map(Self).map_err(|_| NotRegistered::Random)
    }

    pub(crate) fn issue(&self, index: u32) -> Result<ConnectionId, NotRegistered> {
        let mut id = [0; ConnectionId::LEN];
        id[..RANDOM].copy_from_slice(&random::<RANDOM>()?);
        let hidden = index ^ self.mask(&id);
        id[RANDOM..].copy_from_slice(&hidden.to_be_bytes());
        Ok(ConnectionId(id))
    }

    /// Any number, where the ID was not issued here.
    pub(crate) fn index(&self, id: &[u8; ConnectionId::LEN]) -> u32 {
        let [.., a, b, c, d] = *id;
        u32::from_be_bytes([a, b, c, d]) ^ self.mask(id)
    }

    /// What AES makes of the random bytes.
    fn mask(&self, id: &[u8; ConnectionId::LEN]) -> u32 {
        let mut block = [0; 16];
        block[..RANDOM].copy_from_slice(&id[..RANDOM]);
        let [_, a, b, c, d] = self.0.mask(&block);
        u32::from_be_bytes([a, b, c, d])
    }
}

fn random<const LEN: usize>() -> Result<[u8; LEN], NotRegistered> {
    let mut bytes = [0; LEN];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match filled {
        Ok(len) if len == LEN => Ok(bytes),
        _ => Err(NotRegistered::Random),
    }
}

#[cfg(test)]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_found_again_and_nothing_of_it_is_seen() {
        let numbering = Numbering::new().unwrap();
        for index in [0, 1, 77, u32::MAX] {
            let (one, other) = (
                numbering.issue(index).unwrap(),
                numbering.issue(index).unwrap(),
            );
            assert_ne!(one, other);
            assert_ne!(one.0[RANDOM..], other.0[RANDOM..], "the index shows");
            assert_eq!([one, other].map(|id| numbering.index(&id.0)), [index; 2]);
        }
    }

    #[test]
    fn only_short_headers_have_such_an_id() {
        let of = |first: u8, len: usize| {
            let mut packet = vec![first; len];
            packet[0] = first;
            ConnectionId::of_packet(&packet)
        };
        assert_eq!(of(0x40, ConnectionId::LEN), Err(NotOpened::TooShort));
        assert!(of(0x40, 1 + ConnectionId::LEN).is_ok());
        assert_eq!(of(0x00, 40), Err(NotOpened::NotQuic));
        assert_eq!(of(0xc0, 40), Err(NotOpened::LongHeader));
        assert_eq!(
            of(0x80, 40),
            Err(NotOpened::LongHeader),
            "version negotiation"
        );
        assert_eq!(ConnectionId::of_packet(&[]), Err(NotOpened::TooShort));
    }
}
