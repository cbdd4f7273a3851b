//! Where a handshake's datagrams come from and go to, when its socket is everybody's.

use std::io::{self, ErrorKind, Read, Write};

use underseal_record::dtls::{ClientHello, shift_plaintext_numbers};

use crate::handshake_io::Seen;

/// The datagrams of one handshake, in memory.
///
/// OpenSSL's numbers of plaintext records differ from those on the wire, since it was shown another
/// exchange of a cookie than the one that was had.
#[derive(Debug, Default)]
pub(super) struct MemoryIo {
    /// What is read next.
    shown: Option<Vec<u8>>,
    /// What is to be sent.
    departing: Vec<Vec<u8>>,
    seen: Seen,
    inward: u64,
    outward: u64,
}

impl MemoryIo {
    /// A datagram came, of which OpenSSL is shown what it may see.
    pub(super) fn arrived(&mut self, datagram: &[u8]) {
        self.seen.received(datagram);
    }

    /// `record` is what is read next.
    pub(super) fn show(&mut self, record: &[u8]) {
        let mut record = record.to_vec();
        shift_plaintext_numbers(&mut record, self.inward);
        self.shown = Some(record);
    }

    /// What was written since the last call.
    pub(super) fn take_departing(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.departing)
    }

    /// Forgets the exchange that only OpenSSL has seen. The record with `hello` comes behind those of
    /// it, and the answer's first has the number of the record with `hello` (RFC 6347 section 4.2.1).
    pub(super) fn begin(&mut self, hello: &ClientHello<'_>) {
        let exchanged = u64::from(hello.message_seq());
        *self = Self {
            inward: exchanged,
            outward: hello.record_seq().wrapping_sub(exchanged),
            ..Self::default()
        };
    }

    pub(super) fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }
}

impl Read for MemoryIo {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let record = self.shown.take().ok_or(ErrorKind::WouldBlock)?;
        let len = record.len().min(buffer.len());
        buffer[..len].copy_from_slice(&record[..len]);
        Ok(len)
    }
}

impl Write for MemoryIo {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        let mut shifted = datagram.to_vec();
        shift_plaintext_numbers(&mut shifted, self.outward);
        self.seen.sent(&shifted);
        self.departing.push(shifted);
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
