//! The rules of Linux, as `tcp_bpf_send_verdict` (net/ipv4/tcp_bpf.c) and `bpf_exec_tx_verdict`
//! (net/tls/tls_sw.c, until Linux 7.2) have them.

use super::{Filter, Offer, offer::Kind};
use crate::{Decision, Denied, Program, Slices, Verdict};

/// Most bytes of a record, which kernel TLS judged as one message (RFC 8446 section 5.1).
const RECORD: usize = 1 << 14;

/// Whose rules a [`Filter`] follows instead of its own, see [`Filter::kernel_compat`].
///
/// Under both, a drop is for good and loses the whole message, [`crate::Message::apply_bytes`]
/// counts edited bytes and shows the edits again in what is left over, and what is held at the end
/// of the stream is lost. Where the kernel crashed, sent more than it was given, or miscounted,
/// it is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelCompat {
    /// A program on a TCP socket: run once per send.
    Tcp,
    /// A program on a kernel TLS socket: run once per record, and `apply_bytes` ends with it.
    Tls,
}

/// What Linux keeps in its `sk_psock`.
#[derive(Debug)]
pub(super) struct Kernel {
    rules: KernelCompat,
    /// Whether the last verdict is in force; with `SK_DROP` it is for good.
    eval: bool,
    /// Bytes of `apply_bytes` that are left, 0 for the whole message.
    apply: usize,
    /// Bytes by which the program shortened the message.
    delta: isize,
    /// Whether bytes still join the message.
    open: bool,
}

impl From<KernelCompat> for Kernel {
    fn from(rules: KernelCompat) -> Self {
        Self {
            rules,
            eval: false,
            apply: 0,
            delta: 0,
            open: true,
        }
    }
}

impl Kernel {
    fn room(&self, held: usize) -> usize {
        match self.rules {
            KernelCompat::Tcp => usize::MAX,
            KernelCompat::Tls => RECORD.saturating_sub(held),
        }
    }

    /// What of a message of `len` bytes the verdict is for.
    fn to_send(&self, len: usize) -> usize {
        match self.apply {
            0 => len,
            apply => len.min(apply),
        }
    }
}

impl<P: Program<K>, K> Filter<P, K> {
    fn kernel(&mut self) -> &mut Kernel {
        self.kernel.as_mut().expect("only called with these rules")
    }

    fn is_dropping(&self) -> bool {
        matches!(self.covered.verdict, Verdict::Drop)
    }

    /// Runs the program on the message; whether it has a verdict now.
    fn evaluate(&mut self) -> Result<bool, Denied> {
        let before = self.held.len();
        let is_full = self.kernel().room(before) == 0;
        if before < self.cork && !is_full {
            return Ok(false);
        }
        let (verdict, wishes) = self.run(Slices::default(), false)?;
        self.cork = wishes.cork;
        if let Some(edited) = wishes.edited {
            self.held = edited.into();
        }
        let len = self.held.len();
        if self.cork > len && !is_full {
            return Ok(false);
        }
        self.cork = 0;
        self.covered.verdict = verdict;
        let kernel = self.kernel();
        kernel.delta = before as isize - len as isize;
        kernel.eval = true;
        if wishes.applied {
            kernel.apply = usize::try_from(wishes.covered).unwrap_or(usize::MAX);
        }
        Ok(true)
    }
}

impl<P: Program<K>, K> Offer<'_, '_, P, K> {
    pub(super) fn next_of_kernel(&mut self) -> Option<Decision<'_, K>> {
        while !self.stopped {
            self.take_message();
            if self.filter.held.is_empty() || self.kind != Kind::Write {
                self.stopped = true;
            } else if !self.filter.kernel().eval {
                let judged = self.filter.evaluate();
                // A corked message takes more.
                self.filter.kernel().open = judged == Ok(false);
                self.stopped = judged.is_err() || (judged == Ok(false) && self.input.is_empty());
            } else if self.filter.is_dropping() {
                self.drop_message();
            } else {
                break;
            }
        }
        if self.stopped {
            return None;
        }
        let len = self.filter.held.len();
        let to_send = self.filter.kernel().to_send(len);
        let chunk = &self.filter.held.bytes()[..to_send];
        self.filter.covered.decide(chunk.into())
    }

    /// Copies what is offered into the message, as the kernel does before it judges.
    fn take_message(&mut self) {
        let (held, is_dropping) = (self.filter.held.len(), self.filter.is_dropping());
        let kernel = self.filter.kernel();
        if held == 0 {
            kernel.open = true;
            if kernel.rules == KernelCompat::Tls {
                kernel.eval &= is_dropping;
                kernel.apply = 0;
            }
        }
        if kernel.open {
            let taken = self.input.first(kernel.room(held));
            kernel.open = false;
            self.filter.held.extend(taken.iter());
            self.accept(taken.len());
        }
    }

    fn drop_message(&mut self) {
        let len = self.filter.held.len();
        let kernel = self.filter.kernel();
        let to_send = kernel.to_send(len);
        let lost = (to_send as isize).saturating_add(kernel.delta);
        kernel.apply -= kernel.apply.min(to_send);
        self.filter.held = Default::default();
        self.accepted = self.accepted.saturating_add_signed(-lost);
        self.note_refusal();
        // The kernel has no error in store for the next call: its verdict is.
        if self.accepted > 0 {
            self.filter.refusal = None;
        }
    }

    pub(super) fn taken_by_kernel(&mut self, len: usize) {
        self.filter.held.consume(len);
        let is_sent = self.filter.held.is_empty();
        let kernel = self.filter.kernel();
        let had_apply = kernel.apply > 0;
        kernel.apply -= kernel.apply.min(len);
        // In force until the message is sent, or all that it applies to.
        kernel.eval = kernel.apply > 0 || !(had_apply || is_sent);
    }
}
