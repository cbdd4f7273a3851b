//! What Retry packets have instead of protection.

use crate::quic::{PacketKey, Version};
use crate::{Algorithm, TAG_LEN};

/// The integrity tag of a Retry packet (RFC 9001 section 5.8, RFC 9369 section 3.3.3). It shows that
/// who made the packet has seen `original`, the destination connection ID of the client's first Initial
/// packet, and nothing else: the key is public. `packet` is all before the tag, in however many pieces it lies.
///
/// # Panics
///
/// If this build has no AEAD library, or `original` is longer than any connection ID of these versions.
pub fn retry_tag(version: Version, original: &[u8], packet: &[&[u8]]) -> [u8; TAG_LEN] {
    let (key, iv) = version.retry_key();
    let key = PacketKey::new(Algorithm::Aes128Gcm, key, *iv);
    let key = key.expect("a key of AES-128-GCM has 16 bytes");
    let len = u8::try_from(original.len()).expect("a connection ID has 20 bytes at most");
    let pseudo_packet = [&[&[len][..], original][..], packet].concat().concat();
    key.seal_in_place(0, 0, &pseudo_packet, &mut [])
        .expect("nothing is sealed but the header")
}
