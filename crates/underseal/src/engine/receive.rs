//! The receiving direction: receive several records, open them into the reader's buffer.

use std::io;

use underseal_record::{
    ContentType, Deframed, MAX_PLAINTEXT, MAX_RECORD, Opener, Place, TrafficSecret,
};

use crate::Error;
use crate::buffers::{self, HEADROOM, Residue};
use crate::transport::Transport;

/// Ciphertext asked of the socket at least: four full records.
const MIN_WANTED: usize = 4 * (MAX_PLAINTEXT + 22);

/// The receiving direction of a connection.
///
/// `residue` holds, in this order: `plain` bytes of opened plaintext not yet read, `skip` bytes of
/// that record's trailer, and ciphertext. Without plaintext there is no trailer.
pub(crate) struct Receive {
    pub(super) opener: Opener,
    /// What the next keys derive from; TLS 1.2 has none.
    secret: Option<TrafficSecret>,
    residue: Residue,
    plain: usize,
    skip: usize,
    /// Length of the last record, to ask the socket for whole ones.
    record_len: usize,
}

/// One record, opened.
pub(super) enum Record {
    /// Application data; this many bytes of it are in the output, the rest is `plain`.
    Data(usize),
    /// Anything else.
    Control(ContentType, Vec<u8>),
}

impl Receive {
    pub(crate) fn new(
        opener: Opener,
        secret: Option<TrafficSecret>,
        plaintext: &[u8],
        ciphertext: &[u8],
    ) -> Self {
        Self {
            opener,
            secret,
            residue: Residue::copy_of(&[plaintext, ciphertext].concat()),
            plain: plaintext.len(),
            skip: 0,
            record_len: MAX_PLAINTEXT + 22,
        }
    }

    pub(crate) fn into_parts(self) -> (Opener, Option<TrafficSecret>, Vec<u8>, Vec<u8>) {
        let bytes = self.residue.bytes();
        let plaintext = bytes[..self.plain].to_vec();
        let ciphertext = bytes[self.plain + self.skip..].to_vec();
        (self.opener, self.secret, plaintext, ciphertext)
    }

    /// Goes on under the next key, after a KeyUpdate of the peer.
    pub(super) fn update_key(&mut self) -> Result<(), Error> {
        let Some(secret) = &mut self.secret else {
            return Err(Error::Unsupported("key update on this connection"));
        };
        secret.update();
        self.opener.replace_keys(secret.keys());
        Ok(())
    }

    /// Opened plaintext that was not read yet.
    pub(crate) fn plaintext(&self) -> &[u8] {
        &self.residue.bytes()[..self.plain]
    }

    /// Drops the first `n` bytes of the plaintext.
    pub(crate) fn consume(&mut self, n: usize) {
        let n = n.min(self.plain);
        self.residue.advance(n);
        self.plain -= n;
        if self.plain == 0 && self.skip > 0 {
            self.residue.advance(self.skip);
            self.skip = 0;
        }
    }

    /// Copies plaintext that is there already.
    pub(super) fn take(&mut self, out: &mut [u8]) -> usize {
        let n = self.plain.min(out.len());
        out[..n].copy_from_slice(&self.plaintext()[..n]);
        self.consume(n);
        n
    }

    /// Opens the next record into `out`, if a whole one is there. There must be no plaintext left.
    pub(super) fn next(&mut self, out: &mut [u8]) -> Result<Option<Record>, Error> {
        debug_assert_eq!(
            self.plain, 0,
            "plaintext is read before the next record is opened"
        );
        let ciphertext = self.residue.bytes_mut();
        let len = match self.opener.deframe(ciphertext)? {
            Deframed::Record(header) => header.record_len(),
            Deframed::Missing(_) => return Ok(None),
        };
        self.record_len = len;
        let record = &mut ciphertext[..len];
        let opened = self.opener.open_into(record, out)?;
        let data = opened.content_type == ContentType::APPLICATION_DATA;
        match opened.place {
            Place::Out(n) if data => {
                self.residue.advance(len);
                Ok(Some(Record::Data(n)))
            }
            Place::Record(range) if data => {
                let n = range.len().min(out.len());
                out[..n].copy_from_slice(&record[range.start..range.start + n]);
                self.residue.advance(range.start);
                self.plain = range.len();
                self.skip = len - range.end;
                self.consume(n);
                Ok(Some(Record::Data(n)))
            }
            place => {
                let payload = match place {
                    Place::Out(n) => out[..n].to_vec(),
                    Place::Record(range) => record[range].to_vec(),
                };
                self.residue.advance(len);
                Ok(Some(Record::Control(opened.content_type, payload)))
            }
        }
    }

    /// Receives more ciphertext, for a reader of `out_len` bytes. Zero is the end of the stream.
    pub(super) fn fill(
        &mut self,
        transport: &mut impl Transport,
        out_len: usize,
    ) -> io::Result<usize> {
        let (mut buffer, start) = std::mem::take(&mut self.residue).into_headroom();
        let held = HEADROOM - start;
        let most = self.wanted(out_len).saturating_sub(held);
        let end = HEADROOM + most.clamp(1, buffers::LEN - HEADROOM);
        let received = transport.recv(&mut buffer[HEADROOM..end]);
        let end = HEADROOM + received.as_ref().map_or(0, |n| *n);
        self.residue = Residue::new(buffer, start..end, 0);
        received
    }

    /// Gives the lent buffer back unless much is left in it.
    pub(super) fn settle(&mut self) {
        self.residue.settle(MAX_RECORD);
    }

    /// Bytes that should be buffered after the next receive: as many whole records as fill the
    /// output. A receive that ends between records leaves nothing to carry over.
    fn wanted(&self, out_len: usize) -> usize {
        let records = out_len.min(buffers::BATCH).div_ceil(self.record_len);
        let least = MIN_WANTED.div_ceil(self.record_len);
        records.max(least).saturating_mul(self.record_len)
    }
}
