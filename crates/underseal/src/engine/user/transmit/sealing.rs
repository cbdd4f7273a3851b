//! Plaintext to records, without a word to the socket.

use underseal_record::{ContentType, MAX_RECORD};

use super::Transmit;
use crate::Error;
use crate::buffers;

/// What a run of records came to.
#[derive(Default)]
pub(super) struct SealedRun {
    pub(super) consumed: usize,
    pub(super) written: usize,
    pub(super) refused: Option<Error>,
}

impl Transmit {
    /// Seals application data into as many records as it needs, with the key updates that come
    /// due, until it ends, `out` is full, or sealing is refused.
    pub(super) fn seal_all(&mut self, plaintext: &[u8], out: &mut [u8]) -> SealedRun {
        let mut run = SealedRun::default();
        while run.consumed < plaintext.len() && out.len() - run.written >= MAX_RECORD {
            let step = self
                .seal_due_key_update(&mut out[run.written..])
                .and_then(|update| {
                    run.written += update;
                    let rest = &plaintext[run.consumed..];
                    let out = &mut out[run.written..];
                    let sealed = self.sealer.seal(ContentType::APPLICATION_DATA, rest, out);
                    Ok(sealed?)
                });
            match step {
                Ok(sealed) => {
                    run.consumed += sealed.consumed;
                    run.written += sealed.written;
                }
                Err(error) => {
                    run.refused = Some(error);
                    break;
                }
            }
        }
        run
    }

    /// Seals all of what is open, behind what is pending. A key update that is wanted was asked for
    /// behind it.
    pub(super) fn close_record(&mut self) -> Result<(), Error> {
        let wanted = self.key_update.take();
        let closed = self.seal_open();
        self.key_update = wanted;
        closed
    }

    fn seal_open(&mut self) -> Result<(), Error> {
        while !self.open.is_empty() {
            let mut buffer = buffers::lend();
            let open = std::mem::take(&mut self.open);
            let run = self.seal_all(&open, &mut buffer);
            self.open = open[run.consumed..].into();
            self.pending.append(&buffer[..run.written]);
            run.refused.map_or(Ok(()), Err)?;
        }
        Ok(())
    }
}
