//! What libraries leave on the stack: they move keys by value, and what was moved stays where it was.

use core::hint::black_box;

/// Bytes below the caller's frame that are overwritten: more than the frames of the AEAD libraries
/// are deep, and little for the smallest stacks that threads have.
const DEPTH: usize = 16 * 1024;

/// Overwrites the stack below the caller, where the frames of the calls that it made were. Whoever
/// calls a library with a key, in a function that is not inlined, calls this behind it.
#[inline(never)]
pub fn overwrite() {
    overwrite_below::<DEPTH>();
}

/// As [`overwrite`], twice as deep: behind what calls a library from frames of its own that are deep. A
/// build without optimisation keeps a place for each move.
#[inline(never)]
pub fn overwrite_deep() {
    overwrite_below::<{ 2 * DEPTH }>();
}

#[inline(always)]
fn overwrite_below<const DEPTH: usize>() {
    let mut below = [0_u8; DEPTH];
    // Nobody reads it: the compiler must not know.
    black_box(&mut below);
}
