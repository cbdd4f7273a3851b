//! How deep calls go into the stack.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

/// Bytes that are looked at: more than what is asked about uses, and little for a thread of a test.
const LOOKED_AT: usize = 128 * 1024;

/// What no call leaves there in any length.
const PAINT: u8 = 0xa5;

/// Makes a call; returns how many bytes below its caller it, and what it called, wrote to, and what it
/// returned.
///
/// # Panics
///
/// If the process cannot read its own memory.
pub fn stack_depth<T>(call: impl FnOnce() -> T) -> (usize, T) {
    let memory = File::open("/proc/self/mem").expect("the process's own memory");
    let mut bytes = vec![0; LOOKED_AT];
    paint();
    let returned = below(call);
    let here = 0_u8;
    let top = std::ptr::from_ref(black_box(&here)).addr();
    let bottom = (top - LOOKED_AT) as u64;
    memory.read_exact_at(&mut bytes, bottom).expect("the stack");
    let untouched = bytes.iter().take_while(|byte| **byte == PAINT).count();
    (LOOKED_AT - untouched, returned)
}

#[inline(never)]
fn paint() {
    // A page more: the frames of both functions do not begin at one place.
    let mut below = [PAINT; LOOKED_AT + 4096];
    black_box(&mut below);
}

#[inline(never)]
fn below<T>(call: impl FnOnce() -> T) -> T {
    call()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn writes<const LEN: usize>() {
        black_box(&mut [1_u8; LEN]);
    }

    #[test]
    fn a_call_is_as_deep_as_what_it_writes() {
        let ((flat, ()), (deep, ())) = (stack_depth(|| ()), stack_depth(writes::<20_000>));
        assert!(flat < 10_000, "{flat}");
        assert!((20_000..30_000).contains(&deep), "{deep}");
    }
}
