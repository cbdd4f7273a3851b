//! A program that edits a message wherever its peer makes it.

use std::hint::black_box;
use std::io::IoSlice;

use anyhow::{Context as _, bail, ensure};
use underseal::message::{Filter, HelperError, Message, Verdict};

use crate::context::Context;
use crate::cpu_time::{pin_to, thread_cpu};
use crate::run::Samples;

/// Names of the rows.
pub mod name {
    /// Half of the bytes go, each on its own.
    pub const POP: &str = "a `pop` of every second byte";
    /// Half as many come, each on its own.
    pub const PUSH: &str = "a `push` at every second byte";
}

/// Bytes of the message.
const MESSAGE: usize = 64 << 10;

/// Makes the edit with this number.
type Edit = fn(&mut Message<'_>, usize) -> Result<(), HelperError>;

/// Name, edit, and bytes of the message after all edits.
const ROWS: [(&str, Edit, usize); 2] = [
    (name::POP, |message, at| message.pop(at..=at), MESSAGE / 2),
    (
        name::PUSH,
        |message, at| message.push(3 * at, b"+"),
        MESSAGE + MESSAGE / 2,
    ),
];

/// Measures CPU time of one message.
///
/// # Errors
///
/// When an edit fails.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let worker = || {
        pin_to(context.cores.measured)?;
        let wanted = ROWS.iter().filter(|(name, ..)| context.wants(name));
        for &(name, edit, edited) in context.in_turn(wanted.collect(), round) {
            // The allocator keeps what it gave once, as in a program that goes on.
            milliseconds(edit, edited, 1)?;
            let messages = (context.scale.heads / 1000).max(1);
            let took = milliseconds(edit, edited, messages)?;
            samples.add(("edits", name, "", round), &[("ms", took)]);
        }
        Ok(())
    };
    // On a thread of its own, so that the pin ends with the measure.
    std::thread::scope(|scope| scope.spawn(worker).join())
        .unwrap_or_else(|_| bail!("the measure panicked"))
}

fn milliseconds(edit: Edit, edited: usize, messages: usize) -> anyhow::Result<f64> {
    let mut filter = Filter::egress(move |message: &mut Message<'_>| {
        let edits = (0..MESSAGE / 2).try_for_each(|at| edit(message, at));
        match edits {
            Ok(()) => Verdict::<usize>::Pass,
            Err(_) => Verdict::Drop,
        }
    });
    let bytes = vec![b'Z'; MESSAGE];
    let slices = [IoSlice::new(&bytes)];
    let began = thread_cpu();
    for _ in 0..messages {
        let mut offer = filter.offer(black_box(&slices));
        let passed = offer.next().context("the message was refused")?;
        let passed = passed.chunk().len();
        ensure!(passed == edited, "{passed} bytes passed, not {edited}");
        offer.taken(passed);
        offer.finish()?;
    }
    Ok((thread_cpu() - began).as_secs_f64() * 1e3 / messages as f64)
}
