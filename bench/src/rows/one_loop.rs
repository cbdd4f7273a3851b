//! Plain TCP by a thread that also does an AEAD's work for every byte: the row *limit* measured as
//! a whole, and not as a sum.
//!
//! The sum is of two threads that had the machine to themselves. Plain TCP that receives is often
//! faster than its sender, and pays for going to sleep; with the AEAD beside it, it never is.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use underseal_record::{Algorithm, Backend};

use super::blocking::BlockingRow;
use super::{Tuning, name};
use crate::aead::{Aead, TAG};
use crate::aligned::Aligned;
use crate::pairs::RECORD;

/// Plain TCP and the AEAD in one loop, with the backend that underseal picks.
#[derive(Clone, Copy, Debug)]
pub struct OneLoop;

impl BlockingRow for OneLoop {
    type Server = OneLoopStream;
    type Client = OneLoopStream;

    fn name(&self) -> &'static str {
        name::ONE_LOOP
    }

    fn encrypts(&self) -> bool {
        false
    }

    fn accept(&self, tcp: TcpStream, _: Tuning) -> anyhow::Result<OneLoopStream> {
        let aead = Aead::new(Backend::preferred(Algorithm::Aes128Gcm).name())?;
        let record = Aligned::filled(0x5a, RECORD + TAG);
        Ok(OneLoopStream {
            tcp,
            aead,
            record,
            seq: 0,
        })
    }

    fn connect(&self, tcp: TcpStream, tuning: Tuning) -> anyhow::Result<OneLoopStream> {
        self.accept(tcp, tuning)
    }
}

/// A socket, and a record in the cache that is sealed over and over. Sealing stands for opening
/// too: AES-GCM does the same work for both.
pub struct OneLoopStream {
    tcp: TcpStream,
    aead: Aead,
    record: Aligned,
    seq: u64,
}

impl OneLoopStream {
    /// Seals as many bytes as were moved.
    fn work(&mut self, moved: usize) -> io::Result<usize> {
        let mut left = moved;
        while left > 0 {
            let piece = left.min(RECORD);
            let record = &mut self.record[..piece + TAG];
            self.aead.seal(self.seq, record).map_err(io::Error::other)?;
            self.seq += 1;
            left -= piece;
        }
        Ok(moved)
    }
}

impl Read for OneLoopStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tcp.read(buffer)?;
        self.work(count)
    }
}

impl Write for OneLoopStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.tcp.write(bytes)?;
        self.work(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}
