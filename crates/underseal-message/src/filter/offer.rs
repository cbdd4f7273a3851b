use super::{Chunk, Decision, Filter};
use crate::held::Held;
use crate::{Denied, MessageDirection, Program, Slices, Verdict};

/// What brought the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Write,
    Flush,
    Shutdown,
}

/// Bytes offered to a [`Filter`], on their way through it.
///
/// ```
/// use std::io::IoSlice;
/// use underseal_message::{Decision, Filter, Message, Verdict};
///
/// let mut filter = Filter::egress(|_: &mut Message<'_>| Verdict::<usize>::Pass);
/// let mut sent: Vec<u8> = Vec::new();
/// let slices = [IoSlice::new(b"hello")];
/// let mut offer = filter.offer(&slices);
/// while let Some(Decision::Pass(chunk)) = offer.next() {
///     // A socket may take less: then it is told so, and the rest comes again.
///     let taken = chunk.len();
///     sent.extend(chunk.slices().flatten());
///     offer.taken(taken);
/// }
/// assert_eq!(offer.finish(), Ok(5));
/// assert_eq!(sent, b"hello");
/// ```
#[derive(Debug)]
#[must_use = "decisions are to be carried out"]
pub struct Offer<'f, 'a, P, K = usize> {
    pub(super) filter: &'f mut Filter<P, K>,
    pub(super) input: Slices<'a>,
    pub(super) accepted: usize,
    refused: usize,
    pub(super) kind: Kind,
    pub(super) stopped: bool,
}

impl<'f, 'a, P: Program<K>, K> Offer<'f, 'a, P, K> {
    pub(super) fn new(filter: &'f mut Filter<P, K>, input: Slices<'a>, kind: Kind) -> Self {
        let covered = &mut filter.covered;
        let held = filter.held.len() as u64;
        if !(covered.applied && (covered.has_begun || held > 0)) {
            // The caller may come with other bytes than it was told about: only what was accepted
            // is still under that verdict.
            covered.left = covered.left.min(held);
        }
        Self {
            stopped: kind == Kind::Write && filter.refusal.is_some(),
            filter,
            input,
            accepted: 0,
            refused: 0,
            kind,
        }
    }

    /// The next decision, or `None` when nothing is left to do. Without a call of [`Self::taken`]
    /// in between it is the same one.
    ///
    /// (An iterator could not lend.)
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend its items"
    )]
    pub fn next(&mut self) -> Option<Decision<'_, K>> {
        if self.filter.kernel.is_some() {
            return self.next_of_kernel();
        }
        while !self.stopped && self.filter.output.is_empty() && !self.has_chunk() {
            self.advance();
        }
        if self.stopped { None } else { self.decision() }
    }

    /// Says that `len` bytes of the last decision's chunk, from its front, have gone where they
    /// should. The caller keeps nothing back: what it could not pass on it does not take.
    ///
    /// # Panics
    ///
    /// If the chunk was shorter.
    pub fn taken(&mut self, len: usize) {
        if self.filter.kernel.is_some() {
            self.taken_by_kernel(len);
        } else if self.filter.output.is_empty() {
            self.consume(len);
        } else {
            self.filter.output.consume(len);
        }
    }

    /// Says that the last decision cannot be carried out for good: there is no such socket to
    /// redirect to, or it is closed. Its bytes, and those that the verdict covers in advance, are
    /// refused as after [`Verdict::Drop`]. Without this call they would be redirected again.
    pub fn refuse(&mut self) {
        self.filter.covered.verdict = Verdict::Drop;
        if !self.filter.output.is_empty() {
            self.filter.output = Held::default();
            self.note_refusal();
        }
    }

    /// Bytes offered that were accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted
    }

    /// Bytes offered that were refused, right behind the accepted ones. They are the caller's, and
    /// if it goes on, it is most likely behind them.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// How many of the bytes offered were accepted. A refusal behind them is told by the next call.
    ///
    /// # Errors
    ///
    /// [`Denied`], once, if none was accepted because of a refusal now or before.
    pub fn finish(self) -> Result<usize, Denied> {
        match self.filter.refusal {
            Some(denied) if self.accepted == 0 => {
                self.filter.refusal = Some(denied).filter(|_| self.filter.panicked);
                Err(denied)
            }
            _ => Ok(self.accepted),
        }
    }

    /// Whether a verdict to be carried out covers the next bytes.
    fn has_chunk(&self) -> bool {
        let (own, offered) = self.covered();
        own + offered > 0 && !matches!(self.filter.covered.verdict, Verdict::Drop)
    }

    /// How many of the held and the offered bytes the last verdict covers.
    fn covered(&self) -> (usize, usize) {
        let held = self.filter.held.len();
        let all = self.filter.covered.first(held + self.input.len());
        (all.min(held), all.saturating_sub(held))
    }

    fn decision(&self) -> Option<Decision<'_, K>> {
        let (own, offered) = self.covered();
        let chunk = match self.filter.output.is_empty() {
            true => Chunk::new(&self.filter.held.bytes()[..own], self.input, offered),
            false => Chunk::new(self.filter.output.bytes(), self.input, 0),
        };
        self.filter.covered.decide(chunk)
    }

    /// One step towards a chunk: drops what is to be dropped, judges, or finds that it is done.
    fn advance(&mut self) {
        match self.covered() {
            (0, 0) => self.judge(),
            (own, offered) => self.drop_bytes(own, offered),
        }
    }

    fn drop_bytes(&mut self, own: usize, offered: usize) {
        if self.filter.direction == MessageDirection::Ingress {
            self.consume(own + offered);
            return;
        }
        self.filter.covered.consume(own + offered);
        self.filter.held.consume(own);
        self.refused = offered;
        self.note_refusal();
    }

    pub(super) fn note_refusal(&mut self) {
        if self.filter.direction == MessageDirection::Egress {
            let why = self.filter.error.map_or(Denied::Dropped, Denied::Ended);
            self.filter.refusal = Some(why);
            // At the end nobody comes back for the rest.
            self.stopped = self.kind != Kind::Shutdown;
        }
    }

    /// Accepts covered bytes: held ones, then offered ones.
    fn consume(&mut self, len: usize) {
        let own = len.min(self.filter.held.len());
        self.filter.covered.consume(len);
        self.filter.held.consume(own);
        self.accept(len - own);
    }

    pub(super) fn accept(&mut self, len: usize) {
        self.input.advance(len);
        self.accepted += len;
    }

    fn judge(&mut self) {
        let len = self.filter.held.len() + self.input.len();
        let is_last = self.kind == Kind::Shutdown;
        self.stopped = len == 0 || self.kind == Kind::Flush;
        if self.stopped {
            return;
        }
        if len < self.filter.cork && !is_last {
            return self.hold();
        }
        match self.filter.run(self.input, is_last) {
            Err(_) => self.stopped = true,
            Ok((_, wishes)) if wishes.cork > len && !is_last => {
                self.filter.cork = wishes.cork;
                self.hold();
            }
            Ok((verdict, wishes)) => {
                self.filter.cork = 0;
                self.filter.covered.set(verdict, &wishes);
                self.replace(wishes.edited);
            }
        }
    }

    /// Keeps all that is offered for the next run.
    fn hold(&mut self) {
        self.filter.held.extend(self.input.iter());
        self.accept(self.input.len());
        self.stopped = true;
    }

    /// Puts `edited` in the place of the covered bytes.
    fn replace(&mut self, edited: Option<Vec<u8>>) {
        let Some(edited) = edited else { return };
        if matches!(self.filter.covered.verdict, Verdict::Drop) {
            return;
        }
        let (own, offered) = self.covered();
        self.consume(own + offered);
        self.filter.output = edited.into();
    }
}
