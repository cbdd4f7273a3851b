//! The list of its connections that a process keeps where others can look at it: a file in memory, of entries that
//! are eight numbers each. Writer and reader are this machine's, and have its byte order.

/// The file's name, as `/proc/PID/fd` shows it behind `/memfd:`.
pub const NAME: &str = "underseal-connections-1";

/// Numbers of an entry.
pub const WORDS: usize = 8;

/// Bytes of an entry.
pub const ENTRY: usize = WORDS * size_of::<u64>();

/// Entries of a file, most of which nobody has written to.
pub const ENTRIES: usize = 1 << 16;

/// Where in an entry the inode is: 0 for an entry that says nothing. It is written last, and cleared first.
pub const INODE: usize = 0;
/// Where version, cipher and directions are.
pub const SUITE: usize = 1;
/// Where the time of the first keys is.
pub const SINCE: usize = 2;
/// Where the bytes of plaintext are that were sent.
pub const TX_BYTES: usize = 3;
/// Where those are that were received.
pub const RX_BYTES: usize = 4;

const TX: u64 = 1 << 32;
const RX: u64 = 1 << 33;

/// What a process says of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "who writes it says all of it")]
pub struct Listed {
    /// Of the TCP socket.
    pub inode: u64,
    /// As on the wire; 0 before there are keys.
    pub version: u16,
    /// The kernel's number of the cipher.
    pub cipher: u16,
    /// Whether what is sent is sealed.
    pub seals: bool,
    /// Whether what is received is opened.
    pub opens: bool,
    /// Milliseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// Bytes of plaintext.
    pub tx_bytes: u64,
    /// Bytes of plaintext.
    pub rx_bytes: u64,
}

impl Listed {
    /// Version, cipher and directions as one number.
    pub fn suite(version: u16, cipher: u16, seals: bool, opens: bool) -> u64 {
        let directions = if seals { TX } else { 0 } | if opens { RX } else { 0 };
        u64::from(version) | u64::from(cipher) << 16 | directions
    }

    /// Reads an entry; nothing where nobody has written.
    pub fn read(entry: &[u8; ENTRY]) -> Option<Self> {
        let (words, _) = entry.as_chunks();
        let word = |at: usize| u64::from_ne_bytes(words[at]);
        let [version, cipher] = split(word(SUITE));
        (word(INODE) != 0).then(|| Self {
            inode: word(INODE),
            version,
            cipher,
            seals: word(SUITE) & TX != 0,
            opens: word(SUITE) & RX != 0,
            since: word(SINCE),
            tx_bytes: word(TX_BYTES),
            rx_bytes: word(RX_BYTES),
        })
    }
}

fn split(word: u64) -> [u16; 2] {
    [word as u16, (word >> 16) as u16]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut entry = [0; ENTRY];
        assert_eq!(Listed::read(&entry), None);
        let suite = Listed::suite(0x0304, 51, true, false);
        for (at, word) in [(INODE, 9), (SUITE, suite), (SINCE, 7), (TX_BYTES, u64::MAX)] {
            entry[at * 8..][..8].copy_from_slice(&word.to_ne_bytes());
        }
        let listed = Listed {
            inode: 9,
            version: 0x0304,
            cipher: 51,
            seals: true,
            opens: false,
            since: 7,
            tx_bytes: u64::MAX,
            rx_bytes: 0,
        };
        assert_eq!(Listed::read(&entry), Some(listed));
    }
}
