//! A program on one direction of one socket.

use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::held::Held;
use crate::message::Wishes;
use crate::{Denied, Message, MessageDirection, ParseError, Program, Slices, Verdict};

mod datagram;
mod decision;
mod kernel;
mod offer;

pub use decision::{Chunk, Decision};
use kernel::Kernel;
pub use kernel::KernelCompat;
use offer::Kind;
pub use offer::Offer;

/// Runs a [`Program`] over the bytes of one direction of one socket and says what becomes of them.
///
/// It does no I/O: an [`Offer`] of bytes answers with [`Decision`]s, and the caller carries them
/// out. Control records are not for it: alerts, tickets and key updates go past a filter.
///
/// 1. Bytes go on in the order in which they were written. What was judged and not taken yet goes
///    first, then what is held, then what is offered now.
/// 2. No byte goes on that no run of the program saw, except those that it covered in advance
///    with [`Message::apply_bytes`].
/// 3. A byte is either accepted, and then it is the filter's, or it is not, and then it is still
///    the caller's. [`Offer::finish`] returns the number of accepted ones. They have gone on, or
///    are held; or the program dropped them.
/// 4. Bytes are copied only to be held, or where the program changed the message. A program that
///    passes everything as it is costs neither a copy nor an allocation.
///
/// # What `Drop` does
///
/// On egress, the call that offers bytes which are then refused returns the bytes it accepted
/// before them, and the next call fails with [`Denied`] whatever it offers; if there were none
/// before them, the call itself fails. The refused bytes stay the caller's: none of them was
/// accepted. (Refused bytes that were accepted earlier, because a cork held them, are gone.) A
/// refusal is told once. After it, what the caller offers next is judged anew, whether it is the
/// same bytes again or others. [`Message::apply_bytes`] covers bytes with a `Drop`, too: so many
/// bytes are refused as they are offered, over as many calls as it takes, without another run of
/// the program; `u64::MAX` refuses for good. (In the kernel every `SK_DROP` is for good.)
///
/// On ingress the refused bytes vanish and count as accepted.
///
/// A program that gives a reason ([`Program::error`]) ends the stream: [`Denied::Ended`] tells it to
/// the writer, and [`Self::error`] to whoever reads for the owner.
///
/// # When not all is taken
///
/// What the program changed, and what was held, is kept by the filter until it is taken. What the
/// caller offered and was passed as it is stays the caller's until it is taken, and the verdict
/// on the rest is forgotten with the [`Offer`]: the program judges it anew when it is offered
/// again, or judges what is offered instead. Only where [`Message::apply_bytes`] covered the rest,
/// and some of what it covered has gone on, the verdict holds: the message has begun.
///
/// # Panics
///
/// A panic of the program is caught. What is held is dropped, and the filter refuses everything
/// from then on with [`Denied::Panicked`]: only this direction of this socket is over. The program
/// is not run again, so that nobody meets the state it was left in. (Where panics abort, they end the
/// process, and nothing goes on either.)
#[derive(Debug)]
#[doc(alias = "sk_psock")]
pub struct Filter<P, K = usize> {
    program: P,
    direction: MessageDirection,
    cork_limit: usize,
    kernel: Option<Kernel>,
    /// Accepted bytes that were not judged, or passed and not taken: the first `covered.left` are
    /// the latter.
    held: Held,
    /// How many bytes there must be before the program is run.
    cork: usize,
    covered: Covered<K>,
    /// Bytes of a changed message that have not been taken. The program is not run while there are
    /// any, so `covered` has their verdict.
    output: Held,
    /// A refusal that the caller has not been told.
    refusal: Option<Denied>,
    /// Why the program ended the stream.
    error: Option<ParseError>,
    panicked: bool,
}

/// The verdict on the bytes that come next.
#[derive(Debug)]
struct Covered<K> {
    verdict: Verdict<K>,
    /// Bytes it holds for. `u64::MAX` is for good: no stream is so long.
    left: u64,
    /// Whether the program gave the number: then it holds for bytes not offered yet.
    applied: bool,
    /// Whether a byte went on, or was refused, under it.
    has_begun: bool,
}

impl<K> Covered<K> {
    fn set(&mut self, verdict: Verdict<K>, wishes: &Wishes) {
        self.verdict = verdict;
        self.left = wishes.covered;
        self.applied = wishes.applied;
        self.has_begun = false;
    }

    /// The decision on `chunk`; none if it is to be dropped.
    fn decide<'o>(&'o self, chunk: Chunk<'o>) -> Option<Decision<'o, K>> {
        match &self.verdict {
            Verdict::Pass => Some(Decision::Pass(chunk)),
            Verdict::Drop => None,
            Verdict::Redirect { to, direction } => Some(Decision::Redirect {
                to,
                direction: *direction,
                chunk,
            }),
        }
    }

    fn consume(&mut self, len: usize) {
        let left = self.left.checked_sub(len as u64);
        self.left = left.expect("no more goes on than the verdict covers");
        self.has_begun |= len > 0;
    }

    fn first(&self, len: usize) -> usize {
        usize::try_from(self.left).map_or(len, |left| len.min(left))
    }
}

impl<P: Program<K>, K> Filter<P, K> {
    /// What [`Self::cork_limit`] is at first.
    pub const DEFAULT_CORK_LIMIT: usize = 64 * 1024;

    /// A program on what the owner of a socket sends.
    #[doc(alias = "BPF_SK_MSG_VERDICT")]
    pub fn egress(program: P) -> Self {
        Self::new(program, MessageDirection::Egress)
    }

    /// A program on what the owner of a socket reads.
    #[doc(alias = "BPF_SK_SKB_VERDICT")]
    pub fn ingress(program: P) -> Self {
        Self::new(program, MessageDirection::Ingress)
    }

    fn new(program: P, direction: MessageDirection) -> Self {
        Self {
            program,
            direction,
            cork_limit: Self::DEFAULT_CORK_LIMIT,
            kernel: None,
            held: Held::default(),
            cork: 0,
            covered: Covered {
                verdict: Verdict::Pass,
                left: 0,
                applied: false,
                has_begun: false,
            },
            output: Held::default(),
            refusal: None,
            error: None,
            panicked: false,
        }
    }

    /// Lets [`Message::cork_bytes`] hold up to `bytes` bytes. A program that asks for more is run
    /// when there are so many, and has to decide. [`Program::longest_cork`] is what it needs.
    #[must_use]
    pub fn cork_limit(mut self, bytes: usize) -> Self {
        self.cork_limit = bytes;
        self
    }

    /// Bytes that [`Message::cork_bytes`] may hold, see [`Self::cork_limit`].
    pub fn holds_up_to(&self) -> usize {
        self.cork_limit
    }

    /// Does what Linux did, faults included: for tests that compare the two, not for use.
    #[must_use]
    pub fn kernel_compat(mut self, compat: KernelCompat) -> Self {
        self.kernel = Some(compat.into());
        self
    }

    /// The program, to ask it for what it noted.
    pub fn program(&self) -> &P {
        &self.program
    }

    /// Why the program ended the stream, if it did: nothing goes on from then on.
    pub fn error(&self) -> Option<ParseError> {
        self.error
    }

    /// Why it refuses everything from now on, if it does.
    pub fn ended(&self) -> Option<Denied> {
        match self.error {
            _ if self.panicked => Some(Denied::Panicked),
            error => error.map(Denied::Ended),
        }
    }

    /// The direction it is attached to.
    pub fn direction(&self) -> MessageDirection {
        self.direction
    }

    /// Bytes that it keeps: held for the program, or judged and not taken.
    pub fn kept(&self) -> usize {
        self.held.len() + self.output.len()
    }

    /// Bytes not offered yet that pass without being looked at, because the program covered them
    /// with [`Message::apply_bytes`] and some of what it covered has gone on: a caller may send
    /// them by another route, such as `sendfile`, and says so with [`Self::pass_ahead`]. None while
    /// the filter keeps anything.
    pub fn passes_ahead(&self) -> u64 {
        let Covered {
            verdict,
            left,
            applied,
            has_begun,
        } = &self.covered;
        let passes = matches!(verdict, Verdict::Pass) && *applied && *has_begun;
        match passes && self.kept() == 0 && self.refusal.is_none() && self.kernel.is_none() {
            true => *left,
            false => 0,
        }
    }

    /// Says that `len` bytes went past the filter.
    ///
    /// # Panics
    ///
    /// If they were more than [`Self::passes_ahead`].
    pub fn pass_ahead(&mut self, len: u64) {
        assert!(len <= self.passes_ahead(), "passed more than was covered");
        self.covered.left -= len;
    }

    /// The same filter with its program in a box, for those who keep filters of any program.
    pub fn boxed(self) -> Filter<Box<dyn Program<K> + Send>, K>
    where
        P: Send + 'static,
    {
        Filter {
            program: Box::new(self.program),
            direction: self.direction,
            cork_limit: self.cork_limit,
            kernel: self.kernel,
            held: self.held,
            cork: self.cork,
            covered: self.covered,
            output: self.output,
            refusal: self.refusal,
            error: self.error,
            panicked: self.panicked,
        }
    }

    /// Offers the bytes of a write, or what was received.
    pub fn offer<'f, 'a>(&'f mut self, slices: &'a [IoSlice<'a>]) -> Offer<'f, 'a, P, K> {
        Offer::new(self, Slices::new(slices), Kind::Write)
    }

    /// Offers nothing: what is judged and was not taken goes on. What is held stays held.
    pub fn flush(&mut self) -> Offer<'_, 'static, P, K> {
        Offer::new(self, Slices::default(), Kind::Flush)
    }

    /// The stream ends here: what is held is judged, with what there is, and nothing is kept.
    pub fn shutdown(&mut self) -> Offer<'_, 'static, P, K> {
        Offer::new(self, Slices::default(), Kind::Shutdown)
    }

    /// Runs the program on what is held and `input`.
    fn run(&mut self, input: Slices<'_>, is_last: bool) -> Result<(Verdict<K>, Wishes), Denied> {
        self.run_with(input, is_last, self.kernel.is_some())
    }

    /// As [`run`](Self::run); `all_edits` keeps those that the program does not cover, too.
    fn run_with(
        &mut self,
        input: Slices<'_>,
        is_last: bool,
        all_edits: bool,
    ) -> Result<(Verdict<K>, Wishes), Denied> {
        let cork_limit = if is_last { 0 } else { self.cork_limit };
        let mut message = Message::joined(self.held.bytes(), input, cork_limit);
        let program = &mut self.program;
        // Unwind safe: after a panic neither the program nor the message is touched again.
        let run = AssertUnwindSafe(|| match program.run(&mut message) {
            Verdict::Drop => (Verdict::Drop, program.error()),
            verdict => (verdict, None),
        });
        match catch_unwind(run) {
            Ok((verdict, error)) => {
                self.error = error;
                Ok((verdict, message.into_wishes(all_edits)))
            }
            Err(_) => Err(self.fail()),
        }
    }

    fn fail(&mut self) -> Denied {
        self.panicked = true;
        self.held = Held::default();
        self.output = Held::default();
        self.covered.left = 0;
        self.refusal = Some(Denied::Panicked);
        Denied::Panicked
    }
}
