//! The receiving direction: records as they arrive, and what of them each call gets.

use std::collections::VecDeque;

use rustix::io::Errno;
use underseal_record::{
    ContentType, HEADER_LEN, MAX_PLAINTEXT, Opener, PeerMisbehaved, PlaintextIn, ProtocolVersion,
    RecordHeader, TAG_LEN, TrafficKeys,
};

use crate::CryptoInfo;

mod kept;
#[cfg(test)]
mod tests;

use kept::Kept;

/// The first byte of a KeyUpdate (RFC 8446 section 4).
const KEY_UPDATE: u8 = 24;

/// The version that every protected record names (RFC 8446 section 5.2).
const WIRE_VERSION: u16 = 0x0303;

/// Gives ciphertext.
pub trait Source {
    /// Takes some bytes, and says how many: none at the end of the stream. Waits for the first one only if
    /// `waits`.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there are none yet, otherwise what is to be told to the caller.
    fn take(&mut self, bytes: &mut [u8], waits: bool) -> Result<usize, Errno>;

    /// The next byte, which stays where it is; nothing at the end of the stream.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    fn peek(&mut self, waits: bool) -> Result<Option<u8>, Errno>;
}

/// Takes plaintext.
pub trait Sink {
    /// Whether the next `len` bytes can be put without an error.
    fn takes(&mut self, len: usize) -> bool;

    /// Puts bytes behind those that were put before.
    ///
    /// # Errors
    ///
    /// `EFAULT` if they cannot be.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno>;
}

/// Takes nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn takes(&mut self, _: usize) -> bool {
        false
    }

    fn put(&mut self, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::FAULT)
    }
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "who calls says all of it")]
pub struct Asked {
    /// Bytes that there is room for.
    pub len: usize,
    /// Whether there is room for the type of a record.
    pub takes_types: bool,
    /// `MSG_PEEK`.
    pub peeks: bool,
    /// `MSG_WAITALL`.
    pub waits_for_all: bool,
}

/// What a caller is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "who calls passes all of it on")]
pub struct Received {
    /// How many bytes.
    pub len: usize,
    /// What they are; nothing at the end of the stream.
    pub content_type: Option<ContentType>,
    /// Whether they are all that was left of a record: `MSG_EOR`.
    pub is_end_of_record: bool,
}

/// The receiving direction of a TLS socket.
///
/// 1. One record is taken from the socket per need, and no byte behind the header of the next: what a program
///    has not asked for stays where poll and epoll see it.
/// 2. While a record waits that no caller has taken wholly, its last byte stays in the socket, so that the socket
///    stays readable. It is taken with the record's rest. Where the caller takes every record whole that
///    detour is saved.
/// 3. A part of a record is taken into `arriving`, or a socket that is watched would be readable for
///    nothing.
/// 4. Nothing is delivered past a record that does not open, or a KeyUpdate before its keys.
#[derive(Debug)]
pub struct Receive {
    opener: Opener,
    /// A part of the next record.
    arriving: Vec<u8>,
    /// Records that no caller has taken wholly.
    kept: VecDeque<Kept>,
    /// Whether the last byte of the last record is still in the socket.
    has_token: bool,
    /// Whether the last look at the socket left nothing in it.
    is_drained: bool,
    /// What every call gets that needs another record.
    failed: Option<Errno>,
    /// `SO_RCVLOWAT`.
    low_water: usize,
}

impl Receive {
    /// Takes over the keys of a receiving direction.
    pub fn new(keys: TrafficKeys) -> Self {
        Self {
            opener: Opener::new(keys),
            arriving: Vec::new(),
            kept: VecDeque::new(),
            has_token: false,
            is_drained: false,
            failed: None,
            low_water: 1,
        }
    }

    /// The keys, with the number of the next record, for somebody with room for `room` bytes.
    ///
    /// # Errors
    ///
    /// As [`CryptoInfo::of`].
    pub fn crypto_info(&self, room: usize) -> Result<CryptoInfo, Errno> {
        CryptoInfo::of(self.opener.keys(), room)
    }

    /// Goes on under new keys, as behind a KeyUpdate.
    ///
    /// # Errors
    ///
    /// As the kernel since 6.14: `EBUSY` under TLS 1.2, `EINVAL` for another version or cipher. The old
    /// keys stay in force then.
    pub fn replace_keys(&mut self, keys: TrafficKeys) -> Result<(), Errno> {
        if self.opener.version() != ProtocolVersion::Tls13 {
            return Err(Errno::BUSY);
        }
        if keys.version() != self.opener.version() || keys.algorithm() != self.opener.algorithm() {
            return Err(Errno::INVAL);
        }
        self.opener.replace_keys(keys);
        if self.failed == Some(Errno::KEYEXPIRED) {
            self.failed = None;
        }
        Ok(())
    }

    /// Overwrites the keys where they lie; nothing else is touched, and nothing opened from here on.
    pub fn erase_keys(&mut self) {
        self.opener.erase();
    }

    /// How many bytes a call waits for, if there is room for as many: `SO_RCVLOWAT`.
    pub fn low_water(&self) -> usize {
        self.low_water
    }

    /// Sets that.
    pub fn set_low_water(&mut self, bytes: usize) {
        self.low_water = bytes.max(1);
    }

    /// Gives what was asked for, as far as it is there: data of several records, or one record of another
    /// type.
    ///
    /// # Errors
    ///
    /// If there is nothing to give: what the source or the sink said; `EIO` for a record of another type and
    /// a caller without room for it; `EBADMSG`, `EMSGSIZE` and `EINVAL` for a record that is broken, too long,
    /// or of another version, ever after; `EKEYEXPIRED` behind a KeyUpdate. An error that comes after
    /// something was given is for the next call to find.
    pub fn receive(
        &mut self,
        asked: &Asked,
        sink: &mut impl Sink,
        source: &mut impl Source,
    ) -> Result<Received, Errno> {
        let mut given = Received::default();
        if asked.len == 0 {
            return Ok(given);
        }
        self.is_drained = false;
        let outcome = self.give(asked, &mut given, sink, source);
        self.release_token(source);
        match outcome {
            Err(error) if given.content_type.is_none() => Err(error),
            _ => Ok(given),
        }
    }

    /// Whether a call would get something now, if only an error or the end. A part of a record is nothing: it is taken, so
    /// that the socket tells of it once. What the source says is for it to keep.
    pub fn is_readable(&mut self, source: &mut impl Source) -> bool {
        let nothing = Asked::default();
        let given = Received::default();
        while self.kept.is_empty() && self.failed.is_none() {
            match self.fetch(&nothing, &given, &mut Nowhere, source, false) {
                // An empty record is none.
                Ok(true) => {}
                Ok(false) => return true,
                Err(Errno::AGAIN | Errno::INTR) => return false,
                Err(_) => return true,
            }
        }
        true
    }

    fn give(
        &mut self,
        asked: &Asked,
        given: &mut Received,
        sink: &mut impl Sink,
        source: &mut impl Source,
    ) -> Result<(), Errno> {
        let target = match asked.waits_for_all {
            true => asked.len,
            false => self.low_water.min(asked.len),
        };
        let mut seen = 0;
        while self.copy(asked, given, &mut seen, sink)? {
            let waits = given.len < target;
            let would_lose_token = asked.peeks && self.has_token;
            if !waits && (self.is_drained || would_lose_token) {
                break;
            }
            if !self.fetch(asked, given, sink, source, waits)? {
                break;
            }
        }
        Ok(())
    }

    /// Copies from what is kept, behind the first `seen` records. Says whether there is room for more
    /// records.
    fn copy(
        &mut self,
        asked: &Asked,
        given: &mut Received,
        seen: &mut usize,
        sink: &mut impl Sink,
    ) -> Result<bool, Errno> {
        while let Some(record) = self.kept.get_mut(*seen) {
            let content_type = record.content_type;
            let is_data = content_type == ContentType::APPLICATION_DATA;
            if given
                .content_type
                .is_some_and(|first| !is_data || first != content_type)
            {
                return Ok(false);
            }
            if !is_data && !asked.takes_types {
                return Err(Errno::IO);
            }
            let bytes = record.bytes();
            let len = bytes.len().min(asked.len - given.len);
            sink.put(&bytes[..len])?;
            given.len += len;
            given.is_end_of_record = len == bytes.len();
            given.content_type = Some(content_type);
            match asked.peeks {
                true => *seen += 1,
                false => {
                    record.advance(len);
                    if given.is_end_of_record {
                        self.kept.pop_front();
                    }
                }
            }
            if !is_data || given.len == asked.len {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the next record and opens it. Says no at the end of the stream.
    fn fetch(
        &mut self,
        asked: &Asked,
        given: &Received,
        sink: &mut impl Sink,
        source: &mut impl Source,
        waits: bool,
    ) -> Result<bool, Errno> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        // Before anything is taken that would have to be put there.
        self.kept.try_reserve(1).map_err(|_| Errno::NOMEM)?;
        if self.has_token {
            // What was peeked at is less visible to poll from here on, until the next record is there.
            source.take(&mut [0], false)?;
            self.has_token = false;
        }
        if !self.take_up_to(HEADER_LEN, HEADER_LEN, source, waits)? {
            return Ok(false);
        }
        let header = self.header()?;
        let len = header.record_len();
        let mut next = Vec::new();
        if self.will_be_taken_whole(&header, asked, given, sink) {
            let has_room = next.try_reserve_exact(HEADER_LEN);
            has_room.map_err(|_| Errno::NOMEM)?;
            if !self.take_up_to(len, len + HEADER_LEN, source, waits)? {
                return Ok(false);
            }
        } else {
            if !self.take_up_to(len - 1, len - 1, source, waits)? {
                return Ok(false);
            }
            self.arriving.try_reserve(1).map_err(|_| Errno::NOMEM)?;
            let Some(last) = source.peek(waits)? else {
                return Ok(false);
            };
            self.arriving.push(last);
            self.has_token = true;
        }
        self.open(len, next).map(|()| true)
    }

    /// Takes bytes until there are `len` of the next record, and at most `most`. Says no at the end of the stream.
    fn take_up_to(
        &mut self,
        len: usize,
        most: usize,
        source: &mut impl Source,
        waits: bool,
    ) -> Result<bool, Errno> {
        while self.arriving.len() < len {
            let before = self.arriving.len();
            let has_room = self.arriving.try_reserve(most - before);
            has_room.map_err(|_| Errno::NOMEM)?;
            self.arriving.resize(most, 0);
            let taken = source.take(&mut self.arriving[before..], waits);
            let count = taken.unwrap_or(0);
            self.arriving.truncate(before + count);
            if taken? == 0 {
                return Ok(false);
            }
            self.is_drained = before + count < most;
        }
        Ok(true)
    }

    fn header(&mut self) -> Result<RecordHeader, Errno> {
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&self.arriving[..HEADER_LEN]);
        self.check_as_the_kernel(header)
            .map_err(Into::into)
            .and_then(|()| RecordHeader::parse(self.opener.version(), header))
            .map_err(|error| self.fail(error))
    }

    /// In the order of `tls_rx_msg_size`: the length before the version, the version before the type.
    fn check_as_the_kernel(&self, header: [u8; HEADER_LEN]) -> Result<(), PeerMisbehaved> {
        let [_, major, minor, length @ ..] = header;
        let body_len = usize::from(u16::from_be_bytes(length));
        let overhead = self.overhead();
        if body_len > MAX_PLAINTEXT + overhead {
            return Err(PeerMisbehaved::RecordOverflow(body_len));
        }
        if body_len < overhead {
            return Err(PeerMisbehaved::RecordTooShort(body_len));
        }
        match u16::from_be_bytes([major, minor]) {
            WIRE_VERSION => Ok(()),
            other => Err(PeerMisbehaved::InvalidVersion(other)),
        }
    }

    /// Whether nothing of the record can be left when the caller returns.
    fn will_be_taken_whole(
        &self,
        header: &RecordHeader,
        asked: &Asked,
        given: &Received,
        sink: &mut impl Sink,
    ) -> bool {
        let is_of_the_same_type = match given.content_type {
            None => true,
            // The type of a record of TLS 1.3 is known when it is open.
            Some(first) => {
                self.opener.version() == ProtocolVersion::Tls12 && header.content_type == first
            }
        };
        let most = header.body_len - self.overhead().min(header.body_len);
        is_of_the_same_type
            && asked.takes_types
            && !asked.peeks
            && most <= asked.len - given.len
            && sink.takes(most)
    }

    /// What a record is longer than its plaintext by, but for its header.
    fn overhead(&self) -> usize {
        let version = self.opener.version();
        let explicit = self.opener.algorithm().explicit_nonce_len(version);
        TAG_LEN + explicit + usize::from(version == ProtocolVersion::Tls13)
    }

    /// Opens the record of `len` bytes that has arrived. What is behind it goes to `next`.
    fn open(&mut self, len: usize, mut next: Vec<u8>) -> Result<(), Errno> {
        next.extend_from_slice(&self.arriving[len..]);
        self.arriving.truncate(len);
        let mut record = std::mem::replace(&mut self.arriving, next);
        let opened = self.opener.open_in_place(&mut record);
        let opened = opened.map_err(|error| self.fail(error))?;
        let PlaintextIn::Record(place) = opened.plaintext else {
            unreachable!("it was opened in place");
        };
        let record = Kept::new(opened.content_type, record, place);
        if record.bytes().is_empty() {
            // Who asked for it gets another.
            return Ok(());
        }
        let is_handshake = record.content_type == ContentType::HANDSHAKE
            && self.opener.version() == ProtocolVersion::Tls13;
        if is_handshake && record.bytes().first() == Some(&KEY_UPDATE) {
            self.failed = Some(Errno::KEYEXPIRED);
        }
        self.kept.push_back(record);
        Ok(())
    }

    /// Ends the direction.
    fn fail(&mut self, error: underseal_record::Error) -> Errno {
        let errno = errno_of(error);
        self.failed = Some(errno);
        errno
    }

    /// Takes the last byte of a record of which nothing is left. If that cannot be, the next call does.
    fn release_token(&mut self, source: &mut impl Source) {
        if self.has_token && self.kept.is_empty() && source.take(&mut [0], false).is_ok() {
            self.has_token = false;
        }
    }
}

/// What the kernel says of a record that it cannot open.
fn errno_of(error: underseal_record::Error) -> Errno {
    match error {
        underseal_record::Error::PeerMisbehaved(PeerMisbehaved::InvalidVersion(_)) => Errno::INVAL,
        underseal_record::Error::PeerMisbehaved(PeerMisbehaved::RecordOverflow(_)) => {
            Errno::MSGSIZE
        }
        _ => Errno::BADMSG,
    }
}
