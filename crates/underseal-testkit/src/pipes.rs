use std::fs::File;

use rustix::pipe::{PipeFlags, pipe_with};

/// A pipe that does not wait: its ends to read and to write.
///
/// # Panics
/// When there are no descriptors left.
pub fn pipe() -> (File, File) {
    let flags = PipeFlags::NONBLOCK | PipeFlags::CLOEXEC;
    let (reader, writer) = pipe_with(flags).expect("two descriptors");
    (reader.into(), writer.into())
}
