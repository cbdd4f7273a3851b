//! What libraries leave on the stack: they move keys by value, and what was moved stays where it was.

use core::cell::Cell;
use core::hint::black_box;

/// Bytes below the caller's frame that are overwritten: twice as many as the frames of the AEAD libraries
/// are deep, and little for the smallest stacks that threads have. Tests of underseal measure it: 4.0 KB
/// at most in a release build, and more than twice as much in one that keeps a place for each move.
/// Nothing tells a crate for certain how it is built: debug assertions come with such builds, unless a
/// profile says otherwise. What is more than enough costs every handshake: to overwrite 32 KiB empties the
/// first cache.
pub const DEPTH: usize = match cfg!(debug_assertions) {
    true => 16 * 1024,
    false => 8 * 1024,
};

/// The same behind several steps, whose frames are on top of those of the libraries: a hand-over after
/// a handshake goes 9.8 KB deep in a release build
/// (`cargo test --release -p underseal --lib goes_no_deeper -- --nocapture`).
pub const DEPTH_OF_STEPS: usize = 2 * DEPTH;

thread_local! {
    /// Whether a caller further up overwrites all that is below it.
    static LEFT_TO_CALLER: Cell<bool> = const { Cell::new(false) };
}

/// Overwrites the stack below the caller, where the frames of the calls that it made were. Whoever
/// calls a library with a key, in a function that is not inlined, calls this behind it. Within
/// [`overwriting`] it is left to that.
pub fn overwrite() {
    // A thread that is shutting down does not know, and overwrites.
    if !LEFT_TO_CALLER.try_with(Cell::get).unwrap_or(false) {
        overwrite_below::<DEPTH>();
    }
}

/// Makes a call of several steps that each leave keys behind, and overwrites the stack once behind all of
/// them, also if it panics.
pub fn overwriting<T>(call: impl FnOnce() -> T) -> T {
    let _overwrites = Caller::begin();
    below(call)
}

/// In a frame of its own, which is below the caller's.
#[inline(never)]
fn below<T>(call: impl FnOnce() -> T) -> T {
    call()
}

/// Whoever overwrites for all that is called meanwhile.
struct Caller {
    /// Whether another one further up does.
    is_inner: bool,
}

impl Caller {
    fn begin() -> Self {
        let was_set = LEFT_TO_CALLER.try_with(|left| left.replace(true));
        Self {
            is_inner: was_set.unwrap_or(false),
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if self.is_inner {
            return;
        }
        let _ = LEFT_TO_CALLER.try_with(|left| left.set(false));
        overwrite_below::<DEPTH_OF_STEPS>();
    }
}

/// Not inlined, or a caller that overwrites nothing would have the room for it in its frame.
#[inline(never)]
fn overwrite_below<const DEPTH: usize>() {
    let mut below = [0_u8; DEPTH];
    // Nobody reads it: the compiler must not know.
    black_box(&mut below);
}
