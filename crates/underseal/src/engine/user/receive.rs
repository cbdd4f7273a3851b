//! The user engine's receiving direction: receive several records, open them into the reader's buffer.

use std::io;

use underseal_record::{
    ContentType, Deframed, HEADER_LEN, MAX_PLAINTEXT, MAX_RECORD, Opener, PlaintextIn,
    ProtocolVersion, TrafficSecret,
};

use crate::Error;
use crate::buffers::{self, HEADROOM, Residue};
use crate::engine::Record;
use crate::transport::Transport;

/// Bytes of a full record under TLS 1.3.
const FULL_RECORD: usize = MAX_PLAINTEXT + 22;

/// Ciphertext asked of the socket at least: four full records.
const MIN_WANTED: usize = 4 * FULL_RECORD;

/// The receiving direction of a connection.
///
/// `residue` holds, in this order: `plain` bytes of opened plaintext not yet read, `skip` bytes of
/// that record's trailer, and ciphertext. Without plaintext there is no trailer.
pub(crate) struct Receive {
    pub(crate) opener: Opener,
    /// What the next keys derive from, and the key of the opener, which does not keep it; TLS 1.2 has
    /// none.
    secret: Option<TrafficSecret>,
    residue: Residue,
    plain: u32,
    skip: u16,
    /// Length of the last record, to ask the socket for whole ones.
    record_len: u16,
    /// Whether to receive no further than to the end of a record, because another engine is to
    /// go on from there.
    pub(crate) exact: bool,
    pub(crate) key_updates: u32,
}

impl Receive {
    pub(crate) fn new(
        mut opener: Opener,
        secret: Option<TrafficSecret>,
        plaintext: &[u8],
        ciphertext: &[u8],
    ) -> Self {
        if secret.is_some() {
            opener.forget_key();
        }
        Self {
            opener,
            secret,
            residue: Residue::copy_of(&[plaintext, ciphertext].concat()),
            // A handshake, or another process, leaves less than 4 GiB.
            plain: plaintext.len() as u32,
            skip: 0,
            record_len: FULL_RECORD as u16,
            exact: false,
            key_updates: 0,
        }
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        self.opener.version()
    }

    /// Whether no byte of a record is buffered: another engine may go on from here.
    pub(crate) fn is_between_records(&self) -> bool {
        self.residue.bytes().len() == self.plain_len() + usize::from(self.skip)
    }

    /// Has the opener's keys complete again, for another engine.
    pub(crate) fn recall_key(&mut self) {
        if let Some(secret) = &self.secret {
            self.opener.recall_key(secret);
        }
    }

    /// Whoever asked for the keys did not take them.
    pub(crate) fn forget_key(&mut self) {
        if self.secret.is_some() {
            self.opener.forget_key();
        }
    }

    pub(crate) fn take_secret(&mut self) -> Option<TrafficSecret> {
        self.secret.take()
    }

    pub(crate) fn into_parts(mut self) -> (Opener, Option<TrafficSecret>, Vec<u8>, Vec<u8>) {
        self.recall_key();
        let bytes = self.residue.bytes();
        let plaintext = bytes[..self.plain_len()].to_vec();
        let ciphertext = bytes[self.plain_len() + usize::from(self.skip)..].to_vec();
        (self.opener, self.secret, plaintext, ciphertext)
    }

    /// Goes on under the next key, after a KeyUpdate of the peer.
    pub(crate) fn update_key(&mut self) -> Result<(), Error> {
        let Some(secret) = &mut self.secret else {
            return Err(Error::unsupported("key update on this connection"));
        };
        secret.update();
        self.opener.replace_keys(secret.keys());
        self.opener.forget_key();
        self.key_updates = self.key_updates.saturating_add(1);
        Ok(())
    }

    /// Opened plaintext that was not read yet.
    pub(crate) fn plaintext(&self) -> &[u8] {
        &self.residue.bytes()[..self.plain_len()]
    }

    fn plain_len(&self) -> usize {
        self.plain as usize
    }

    /// Drops the first `n` bytes of the plaintext.
    pub(crate) fn consume(&mut self, n: usize) {
        let n = n.min(self.plain_len());
        self.residue.advance(n);
        self.plain -= n as u32;
        if self.plain == 0 && self.skip > 0 {
            self.residue.advance(usize::from(self.skip));
            self.skip = 0;
        }
    }

    /// Puts plaintext where the record was that it comes from. There must be none left.
    pub(crate) fn put_back(&mut self, plaintext: &[u8]) {
        self.residue.put_back(plaintext);
        self.plain = plaintext.len() as u32;
    }

    /// Opens the next record into `out`, if a whole one is there. There must be no plaintext left.
    pub(crate) fn next(&mut self, out: &mut [u8]) -> Result<Option<Record>, Error> {
        let ciphertext = self.residue.bytes_mut();
        let len = match self.opener.deframe(ciphertext)? {
            Deframed::Record(header) => header.record_len(),
            Deframed::Missing(_) => return Ok(None),
        };
        // A record is at most MAX_RECORD bytes long.
        self.record_len = len as u16;
        let record = &mut ciphertext[..len];
        let opened = self.opener.open_into(record, out)?;
        let data = opened.content_type == ContentType::APPLICATION_DATA;
        match opened.plaintext {
            PlaintextIn::Out(n) if data => {
                self.residue.advance(len);
                Ok(Some(Record::Data(n)))
            }
            PlaintextIn::Record(range) if data => {
                let n = range.len().min(out.len());
                out[..n].copy_from_slice(&record[range.start..range.start + n]);
                self.residue.advance(range.start);
                self.plain = range.len() as u32;
                self.skip = (len - range.end) as u16;
                self.consume(n);
                Ok(Some(Record::Data(n)))
            }
            place => {
                let payload = match place {
                    PlaintextIn::Out(n) => out[..n].to_vec(),
                    PlaintextIn::Record(range) => record[range].to_vec(),
                };
                self.residue.advance(len);
                Ok(Some(Record::Control(opened.content_type, payload)))
            }
        }
    }

    /// Bytes of ciphertext if a whole record is there, or one that is refused: no read gives more.
    #[cfg(feature = "tokio")]
    pub(crate) fn most_buffered(&self) -> usize {
        // Not by the opener, which a refusal would poison: the read that follows says why, and tells
        // the peer.
        match underseal_record::deframe(self.opener.version(), self.residue.bytes()) {
            Ok(Deframed::Missing(_)) => 0,
            Ok(Deframed::Record(_)) | Err(_) => self.residue.bytes().len(),
        }
    }

    /// Receives more ciphertext, for a reader of `out_len` bytes. Zero is the end of the stream.
    pub(crate) fn fill(
        &mut self,
        transport: &mut impl Transport,
        out_len: usize,
    ) -> io::Result<usize> {
        let (mut buffer, start) = std::mem::take(&mut self.residue).into_headroom();
        let held = HEADROOM - start;
        let most = match self.exact {
            true => missing(&buffer[start..HEADROOM]),
            false => self.wanted(out_len).saturating_sub(held),
        };
        let end = HEADROOM + most.clamp(1, buffers::LEN - HEADROOM);
        let received = transport.recv(&mut buffer[HEADROOM..end]);
        let end = HEADROOM + received.as_ref().map_or(0, |n| *n);
        self.residue = Residue::new(buffer, start..end, 0);
        received
    }

    /// Gives the lent buffer back unless much is left in it.
    pub(crate) fn settle(&mut self) {
        self.residue.settle(MAX_RECORD);
    }

    /// Bytes that should be buffered after the next receive: as many whole records as fill the
    /// output. A receive that ends between records leaves nothing to carry over.
    fn wanted(&self, out_len: usize) -> usize {
        let record_len = usize::from(self.record_len);
        let records = out_len.min(buffers::BATCH).div_ceil(record_len);
        let least = MIN_WANTED.div_ceil(record_len);
        records.max(least).saturating_mul(record_len)
    }
}

/// Bytes that complete the header or, once it is there, the record. The header was checked when
/// it came.
fn missing(held: &[u8]) -> usize {
    match held.first_chunk::<HEADER_LEN>() {
        Some(&[.., high, low]) => {
            (HEADER_LEN + usize::from(u16::from_be_bytes([high, low]))).saturating_sub(held.len())
        }
        None => HEADER_LEN - held.len(),
    }
}
