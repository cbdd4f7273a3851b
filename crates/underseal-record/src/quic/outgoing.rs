/// A packet of a batch to seal, and what became of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outgoing<'a> {
    /// The header with the packet number, the payload, and [`TAG_LEN`](crate::TAG_LEN) bytes of room for the tag.
    pub packet: &'a mut [u8],
    /// Where the packet number starts.
    pub number_at: usize,
    /// The whole packet number.
    pub number: u64,
    /// `None` before it was tried.
    pub outcome: Option<Result<(), Refused>>,
}

impl<'a> Outgoing<'a> {
    /// A packet that was not tried yet.
    pub fn new(packet: &'a mut [u8], number_at: usize, number: u64) -> Self {
        Self {
            packet,
            number_at,
            number,
            outcome: None,
        }
    }
}

/// Why a packet was not sealed, or a key not updated. The packet is as it was: plaintext, which must
/// not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Packet number and payload have fewer than four bytes together, or there is no room for the tag:
    /// pad it (RFC 9001 section 5.4.2).
    #[error("packet too short to be protected")]
    TooShort,
    /// The number is not above all that were used.
    #[error("packet number was used, the next is {next}")]
    NumberUsed {
        /// The smallest that was not.
        next: u64,
    },
    /// The number is above [`MAX_PACKET_NUMBER`](crate::quic::MAX_PACKET_NUMBER).
    #[error("packet number too large")]
    NumberTooLarge,
    /// The header has another number than the packet.
    #[error("packet number in the header is of another packet")]
    NumberDiffers,
    /// The header names another key phase than that of the current generation: it was written before a
    /// key update, or for one that has not come. There are no keys for it here.
    #[error("no keys for the key phase in the header")]
    KeyPhase,
    /// The key has sealed as many packets as it may ([`confidentiality_limits`](crate::quic::confidentiality_limits)): update it, or close
    /// the connection.
    #[error("confidentiality limit reached, the key may seal no further packet")]
    ConfidentialityLimit,
    /// The peer has acknowledged no packet of this generation (RFC 9001 section 6.1).
    #[error("key update before a packet of this generation was acknowledged")]
    UpdateTooEarly,
    /// The peer is two generations ahead: it updated its key again before the first update was answered,
    /// which ends the connection with KEY_UPDATE_ERROR (RFC 9001 section 6.2).
    #[error("peer updated its key twice without an answer")]
    PeerTooFarAhead,
}
