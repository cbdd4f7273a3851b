//! Requests for tests, made as they arrive.

use underseal_http::{ReadOptions, Request, Scratch, http1};

/// The head of a request, on its way to be read.
pub(crate) struct Sent {
    bytes: Vec<u8>,
    scratch: Scratch,
}

impl Sent {
    /// `line` without its version, and field lines beside Host.
    pub(crate) fn new(line: &str, host: &str, fields: &[(&str, &str)]) -> Self {
        let mut head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        Self {
            bytes: head.into_bytes(),
            scratch: Scratch::default(),
        }
    }

    /// What a rule sees of it.
    pub(crate) fn request(&mut self) -> Request<'_> {
        let head = http1::read(&self.bytes, &ReadOptions::default(), &mut self.scratch);
        head.expect("unambiguous").expect("whole").request()
    }
}
