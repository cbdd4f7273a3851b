//! Files, read by position and sealed in batches.

use std::fs::File;
use std::io;
#[cfg(feature = "tokio")]
use std::io::IoSliceMut;
use std::ops::Range;

use rustix::io::{Errno, pread};
#[cfg(feature = "tokio")]
use rustix::io::{ReadWriteFlags, preadv2};

use crate::engine::Connection;
use crate::transport::Transport;

/// What one batch of a file came to.
pub(crate) enum Batch {
    /// This many bytes were sealed and sent, or are pending.
    Sent(u64),
    /// The next page is not in memory, and the caller must not wait for it.
    #[cfg(feature = "tokio")]
    NotCached,
    /// The file ends here.
    EndOfFile,
}

/// Seals and sends the next bytes of `range`, without waiting for the disk.
#[cfg(feature = "tokio")]
pub(crate) fn send_batch(
    connection: &mut Connection,
    transport: &mut impl Transport,
    file: &File,
    range: Range<u64>,
) -> io::Result<Batch> {
    let limit = range.end - range.start;
    let mut cached = true;
    let sent = connection.write_with(transport, limit, |piece, offset| {
        let at = range.start + offset;
        match preadv2(
            file,
            &mut [IoSliceMut::new(piece)],
            at,
            ReadWriteFlags::NOWAIT,
        ) {
            // A file system without RWF_NOWAIT, or a kernel before 4.14.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => read_at(file, piece, at),
            result => {
                cached = result != Err(Errno::AGAIN);
                result.map_err(io::Error::from)
            }
        }
    });
    match sent {
        Err(_) if !cached => Ok(Batch::NotCached),
        sent => sent.map(batch),
    }
}

/// As [`send_batch`], waiting for the disk.
pub(crate) fn send_batch_blocking(
    connection: &mut Connection,
    transport: &mut impl Transport,
    file: &File,
    range: Range<u64>,
) -> io::Result<Batch> {
    let limit = range.end - range.start;
    connection
        .write_with(transport, limit, |piece, offset| {
            read_at(file, piece, range.start + offset)
        })
        .map(batch)
}

/// Reads the pages at `at` into memory on a blocking thread.
#[cfg(feature = "tokio")]
pub(crate) async fn warm(file: &File, at: u64) -> io::Result<()> {
    let file = file.try_clone()?;
    let read = tokio::task::spawn_blocking(move || {
        let mut pages = vec![0; crate::buffers::BATCH];
        read_at(&file, &mut pages, at).map(drop)
    });
    read.await.map_err(io::Error::other)?
}

fn read_at(file: &File, piece: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match pread(file, &mut *piece, at) {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

fn batch(sent: usize) -> Batch {
    match sent {
        0 => Batch::EndOfFile,
        n => Batch::Sent(n as u64),
    }
}
