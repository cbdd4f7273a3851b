//! Entry point of the fuzz target `parts`, beside the code that it drives.
//!
//! It panics where an invariant is broken, whatever the bytes.

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::bytes::MAGIC;
use super::codec::Writer;
use super::{Movable, Parts};
use crate::blocking::TlsStream;
use crate::{ClientConnection, ServerConnection};

/// Reads `data` as the parts of a stream of either side: as it is, and as what stands between magic
/// and a checksum that fits. What parses is written again byte for byte, and makes a stream.
pub fn parts(data: &[u8]) {
    parts_of::<ClientConnection>(data);
    parts_of::<ServerConnection>(data);
}

/// Whether `data` stands between magic and checksum of some parts: what the corpus is made of.
pub fn are_parts(data: &[u8]) -> bool {
    let bytes = fitting(data);
    Parts::<_, ClientConnection>::from_bytes((), &bytes).is_ok()
        || Parts::<_, ServerConnection>::from_bytes((), &bytes).is_ok()
}

fn fitting(body: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut fitting = Writer::with_capacity(MAGIC.len() + body.len());
    fitting.plain(MAGIC);
    fitting.plain(body);
    fitting.finish()
}

fn parts_of<Session: Movable>(data: &[u8]) {
    let read = |bytes: &[u8]| Parts::<_, Session>::from_bytes(Memory::default(), bytes);
    if let Ok(parts) = read(data) {
        assert_eq!(&*parts.into_bytes().1, data);
    }
    let fitting = fitting(data);
    let Ok(parts) = read(&fitting) else {
        return;
    };
    let (_, again) = parts.into_bytes();
    assert_eq!(again, fitting, "other bytes were written than read");
    use_once(read(&again).expect("they were read before"));
}

/// What was not sent goes before what is written; what was not read, before the end.
fn use_once<Session: Movable>(parts: Parts<Memory, Session>) {
    let (unsent, plaintext) = (parts.unsent.clone(), parts.plaintext.clone());
    let Ok(mut stream) = TlsStream::from_parts(parts) else {
        return;
    };
    let mut out = [0; 64];
    let read = stream.read(&mut out);
    let due = plaintext.len().min(out.len());
    if due > 0 {
        assert!(read.is_ok_and(|n| out[..n] == plaintext[..due]));
    }
    let is_sent = stream.write(b"once").is_ok() && stream.flush().is_ok();
    let sent = &stream.get_ref().0.0;
    assert!(sent.starts_with(&unsent[..unsent.len().min(sent.len())]));
    if is_sent {
        assert!(sent.len() > unsent.len(), "nothing was sealed");
    }
}

/// A stream below that ends, and takes everything.
#[derive(Default)]
struct Memory(Vec<u8>);

impl Read for Memory {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
