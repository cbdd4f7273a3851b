use std::io::IoSlice;
use std::num::NonZeroU64;
use std::ops::{Bound, Range, RangeBounds};

use crate::{HelperError, Slices};

mod edit;

use edit::Edited;

/// Bytes of one direction, as a program sees them: what is written or received now, behind what
/// is held of before.
///
/// The bytes are borrowed. A program always sees what it judges: there is no second view for the
/// writer to change after the verdict, which the borrow checker refuses to compile, so nothing has
/// to be copied to rule it out.
#[derive(Debug)]
#[doc(alias = "sk_msg_md")]
pub struct Message<'a> {
    held: &'a [u8],
    input: Slices<'a>,
    edited: Option<Edited<'a>>,
    /// What [`Self::pull`] had to copy.
    linear: Vec<u8>,
    apply: Option<NonZeroU64>,
    cork: usize,
    cork_limit: usize,
}

impl<'a> Message<'a> {
    /// Most bytes that [`Self::push`] inserts into one message.
    pub const MAX_PUSHED: usize = 64 * 1024;

    /// A message of its own, to try a program on.
    pub fn new(slices: &'a [IoSlice<'a>]) -> Self {
        Self::joined(&[], Slices::new(slices), usize::MAX)
    }

    /// A message of `held` and `input`, of which up to `cork_limit` bytes may be held.
    pub(crate) fn joined(held: &'a [u8], input: Slices<'a>, cork_limit: usize) -> Self {
        Self {
            held,
            input,
            edited: None,
            linear: Vec::new(),
            apply: None,
            cork: 0,
            cork_limit,
        }
    }

    /// Bytes of the message as it stands.
    pub fn len(&self) -> usize {
        match &self.edited {
            None => self.held.len() + self.input.len(),
            Some(edited) => edited.len(),
        }
    }

    /// Whether nothing is left of the message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slices of the message as it stands; none is empty.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let (held, input) = match self.edited {
            None => (self.held, self.input),
            Some(_) => Default::default(),
        };
        let edited = self.edited.iter().flat_map(Edited::slices);
        written(held, input).chain(edited)
    }

    /// The bytes of `range` in one piece: borrowed where they lie in one slice, copied where they
    /// do not. The copy is reused by the next call.
    ///
    /// # Errors
    ///
    /// [`HelperError::OutOfRange`] if the range is empty or does not lie in the message.
    #[doc(alias = "bpf_msg_pull_data")]
    pub fn pull(&mut self, range: impl RangeBounds<usize>) -> Result<&[u8], HelperError> {
        let (start, end) = self.bounds(range);
        self.check(start, end)?;
        let written = written(self.held, self.input);
        Ok(match &mut self.edited {
            None => one_piece(written, start..end, &mut self.linear),
            Some(edited) => edited.pull(start..end, &mut self.linear),
        })
    }

    /// Inserts `bytes` before the byte `at`; at the length of the message it appends them.
    ///
    /// The kernel inserts bytes of an undefined value and lets the program fill them in.
    ///
    /// # Errors
    ///
    /// [`HelperError::OutOfRange`] past the end, [`HelperError::TooLong`] past
    /// [`Self::MAX_PUSHED`], [`HelperError::TooLarge`] for a write of some 4 GiB. The message is
    /// then unchanged.
    #[doc(alias = "bpf_msg_push_data")]
    pub fn push(&mut self, at: usize, bytes: &[u8]) -> Result<(), HelperError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if at > self.len() {
            return Err(self.out_of_range(at, at.saturating_add(bytes.len())));
        }
        self.edit()?.push(at, bytes)
    }

    /// Deletes the bytes of `range`. No bytes are no error, wherever they are.
    ///
    /// # Errors
    ///
    /// [`HelperError::OutOfRange`] if the range does not lie in the message,
    /// [`HelperError::TooLarge`] for a write of some 4 GiB. The message is then unchanged.
    #[doc(alias = "bpf_msg_pop_data")]
    pub fn pop(&mut self, range: impl RangeBounds<usize>) -> Result<(), HelperError> {
        let (start, end) = self.bounds(range);
        if start != end {
            self.check(start, end)?;
            self.edit()?.pop(start..end);
        }
        Ok(())
    }

    /// Says that the verdict holds for `n` bytes from the start of this message, in this write and
    /// in the ones after it; what lies behind them is judged as a message of its own. 0 stands
    /// for the whole message, which is what holds without this call.
    ///
    /// Counted are the writer's bytes: what [`Self::pop`] deletes counts, what [`Self::push`]
    /// inserts does not, and goes with the byte before it. Edits behind the last byte counted are
    /// undone: the program meets those bytes again as they were written. With `u64::MAX` the
    /// verdict is for good.
    ///
    /// (The kernel counts bytes as edited, shows what is left over with the edits in it, and with
    /// TLS forgot the count at the end of a record.)
    #[doc(alias = "bpf_msg_apply_bytes")]
    pub fn apply_bytes(&mut self, n: u64) {
        self.apply = NonZeroU64::new(n);
    }

    /// Asks for `n` bytes in all before this message is judged: what there is will be held, counts
    /// as accepted, and comes back in front of what is written next. Verdict, edits and
    /// [`Self::apply_bytes`] of this run are forgotten. With `n` bytes or more in the message it
    /// does nothing.
    ///
    /// What is held is judged at the end of the stream at the latest, with what there is.
    ///
    /// # Errors
    ///
    /// [`HelperError::CannotCork`] if no further byte can be waited for, because the stream has
    /// ended or as many bytes are held as may be ([`crate::Filter::cork_limit`]): then the verdict
    /// of this run holds. A program that needs more bytes to allow a message answers
    /// [`crate::Verdict::Drop`].
    #[doc(alias = "bpf_msg_cork_bytes")]
    pub fn cork_bytes(&mut self, n: usize) -> Result<(), HelperError> {
        let len = self.written();
        if len < n && len >= self.cork_limit {
            return Err(HelperError::CannotCork);
        }
        self.cork = n.min(self.cork_limit);
        Ok(())
    }

    /// Bytes that may be held; none at the end of the stream.
    pub(crate) fn cork_limit(&self) -> usize {
        self.cork_limit
    }

    /// Leaves the first `len` bytes of a message that was not changed, as a message that is whole:
    /// nothing can be waited for.
    pub(crate) fn narrow(&mut self, len: usize) {
        self.held = &self.held[..self.held.len().min(len)];
        self.input = self.input.first(len - self.held.len());
        self.cork_limit = 0;
    }

    /// Bytes that the writer wrote, whatever the program did to them.
    pub(crate) fn written(&self) -> usize {
        self.held.len() + self.input.len()
    }

    /// The answer of a program that has been run; `all_edits` keeps those that are not covered.
    pub(crate) fn into_wishes(self, all_edits: bool) -> Wishes {
        let written = self.written();
        let covered = match self.apply {
            None => written as u64,
            Some(n) => n.get(),
        };
        Wishes {
            cork: self.cork,
            covered,
            applied: self.apply.is_some(),
            edited: self.edited.map(|edited| {
                let covered = if all_edits { u64::MAX } else { covered };
                edited.first(covered)
            }),
        }
    }

    fn edit(&mut self) -> Result<&mut Edited<'a>, HelperError> {
        Ok(match &mut self.edited {
            Some(edited) => edited,
            none => none.insert(Edited::new(self.held, self.input)?),
        })
    }

    /// Start and end of a range, which may lie anywhere.
    fn bounds(&self, range: impl RangeBounds<usize>) -> (usize, usize) {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self.len(),
        };
        (start, end)
    }

    /// Whether a range has bytes, and all of them are in the message.
    fn check(&self, start: usize, end: usize) -> Result<(), HelperError> {
        match start < end && end <= self.len() {
            true => Ok(()),
            false => Err(self.out_of_range(start, end)),
        }
    }

    #[cold]
    fn out_of_range(&self, start: usize, end: usize) -> HelperError {
        let len = self.len();
        HelperError::OutOfRange { start, end, len }
    }
}

/// The slices of a message as it was written; none is empty.
fn written<'a>(held: &'a [u8], input: Slices<'a>) -> impl Iterator<Item = &'a [u8]> {
    let held = Some(held).filter(|held| !held.is_empty());
    held.into_iter().chain(input.iter())
}

/// The bytes of `range`, which the slices have: those of one slice, or a copy in `linear`.
fn one_piece<'s>(
    slices: impl Iterator<Item = &'s [u8]>,
    range: Range<usize>,
    linear: &'s mut Vec<u8>,
) -> &'s [u8] {
    let (mut skip, len) = (range.start, range.len());
    linear.clear();
    for slice in slices {
        let found = &slice[skip.min(slice.len())..];
        skip -= slice.len() - found.len();
        let missing = len - linear.len();
        match found.get(..missing) {
            Some(found) if linear.is_empty() => return found,
            Some(last) => {
                linear.extend_from_slice(last);
                break;
            }
            None => linear.extend_from_slice(found),
        }
    }
    linear
}

/// What a program asked for besides its verdict.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Bytes to wait for; 0 for none.
    pub(crate) cork: usize,
    /// Bytes of the writer that the verdict holds for.
    pub(crate) covered: u64,
    /// Whether the program gave that number.
    pub(crate) applied: bool,
    /// The covered bytes as the program wants them, if it edited the message.
    pub(crate) edited: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests;
