//! A receiving end that keeps what it was given and stops for good at the first error.

use proptest::prelude::*;
use underseal_record::{ContentType, Deframed, Error, Opened, Opener, PlaintextIn};

use crate::direction::Write;

/// How the receiver opens records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    InPlace,
    /// Into a buffer of so many bytes.
    Buffer(usize),
}

pub(crate) fn any_output() -> impl Strategy<Value = Output> {
    prop_oneof![
        Just(Output::InPlace),
        (0..200usize).prop_map(Output::Buffer),
        (0..17_000usize).prop_map(Output::Buffer),
        Just(Output::Buffer(17_000)),
    ]
}

pub(crate) struct Receiver {
    pub(crate) opener: Opener,
    into: Output,
    buffered: Vec<u8>,
    /// Runs of bytes of one content type.
    pub(crate) delivered: Vec<(ContentType, Vec<u8>)>,
    pub(crate) records: usize,
}

impl Receiver {
    pub(crate) fn new(opener: Opener, into: Output) -> Self {
        Self {
            opener,
            into,
            buffered: Vec::new(),
            delivered: Vec::new(),
            records: 0,
        }
    }

    /// Takes the next bytes of the stream and opens every record that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffered.extend_from_slice(bytes);
        while let Deframed::Record(header) = self.opener.deframe(&self.buffered)? {
            let rest = self.buffered.split_off(header.record_len());
            let mut record = std::mem::replace(&mut self.buffered, rest);
            let (content_type, plaintext) = open(&mut self.opener, &mut record, self.into)?;
            deliver(&mut self.delivered, content_type, &plaintext);
            self.records += 1;
        }
        Ok(())
    }

    /// Bytes of a record that is not yet whole.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered.len()
    }
}

/// Opens one record and returns what it carries.
pub(crate) fn open(
    opener: &mut Opener,
    record: &mut [u8],
    into: Output,
) -> Result<(ContentType, Vec<u8>), Error> {
    let mut out = match into {
        Output::InPlace => Vec::new(),
        Output::Buffer(len) => vec![0x77; len],
    };
    let opened = match into {
        Output::InPlace => opener.open_in_place(record)?,
        Output::Buffer(_) => opener.open_into(record, &mut out)?,
    };
    let Opened {
        content_type,
        plaintext,
    } = opened;
    let plaintext = match plaintext {
        PlaintextIn::Record(range) => {
            assert!(
                range.len() > out.len() || range.is_empty(),
                "it fits in out"
            );
            &record[range]
        }
        PlaintextIn::Out(len) => &out[..len],
    };
    Ok((content_type, plaintext.to_vec()))
}

/// What a receiver of `writes` ends up with.
pub(crate) fn expected(writes: &[Write]) -> Vec<(ContentType, Vec<u8>)> {
    let mut runs = Vec::new();
    for write in writes {
        deliver(&mut runs, write.content_type, &write.plaintext());
    }
    runs
}

fn deliver(runs: &mut Vec<(ContentType, Vec<u8>)>, content_type: ContentType, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match runs.last_mut() {
        Some((last, run)) if *last == content_type => run.extend_from_slice(bytes),
        _ => runs.push((content_type, bytes.to_vec())),
    }
}
