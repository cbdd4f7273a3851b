//! Files, read by position and sealed in batches.

use std::fs::File;
use std::io;
#[cfg(feature = "tokio")]
use std::io::IoSliceMut;
use std::ops::Range;

#[cfg(feature = "tokio")]
use rustix::io::Errno;
#[cfg(feature = "tokio")]
use rustix::io::{ReadWriteFlags, preadv2};
use rustix::io::{pread, retry_on_intr};

#[cfg(feature = "tokio")]
use crate::buffers::BATCH;
use crate::engine::Connection;
use crate::transport::Transport;

/// Bytes that one call of a tokio stream sends at most: while the kernel seals them, other tasks of
/// the thread wait.
#[cfg(feature = "tokio")]
const PIECE: u64 = 1024 * 1024;

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
    let limit = (range.end - range.start).min(PIECE);
    if connection.sends_pages(limit) && !is_cached(file, range.start + limit - 1) {
        return Ok(Batch::NotCached);
    }
    let mut cached = true;
    let sent = connection.send_file(transport, file, range.start, limit, |piece, offset| {
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
        .send_file(transport, file, range.start, limit, |piece, offset| {
            read_at(file, piece, range.start + offset)
        })
        .map(batch)
}

/// Whether the page of the byte at `at` is in memory, or none that could be: what comes before it
/// was read ahead with it. sendfile(2) has no way not to wait for the disk.
#[cfg(feature = "tokio")]
fn is_cached(file: &File, at: u64) -> bool {
    let mut byte = [0];
    let read = preadv2(
        file,
        &mut [IoSliceMut::new(&mut byte)],
        at,
        ReadWriteFlags::NOWAIT,
    );
    read != Err(Errno::AGAIN)
}

/// Reads the pages of the next piece at `at` into memory on a blocking thread.
#[cfg(feature = "tokio")]
pub(crate) async fn warm(file: &File, at: u64) -> io::Result<()> {
    let file = file.try_clone()?;
    let read = tokio::task::spawn_blocking(move || {
        let mut pages = vec![0; BATCH];
        for offset in (0..PIECE).step_by(BATCH) {
            if read_at(&file, &mut pages, at + offset)? < BATCH {
                break;
            }
        }
        Ok(())
    });
    read.await.map_err(io::Error::other)?
}

fn read_at(file: &File, piece: &mut [u8], at: u64) -> io::Result<usize> {
    Ok(retry_on_intr(|| pread(file, &mut *piece, at))?)
}

fn batch(sent: usize) -> Batch {
    match sent {
        0 => Batch::EndOfFile,
        n => Batch::Sent(n as u64),
    }
}
