//! Memory that is certainly there, so that trying it can be saved: the stack that this thread runs on, and the
//! heap.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// The lowest and the highest address of this thread's stack; zeros where they are not known.
    static STACK: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Where the heap was when the library was loaded: it grows from there.
static HEAP: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Notes where the heap is. Nothing is known of it before.
pub(crate) fn learn_heap() {
    HEAP.store(heap_end().unwrap_or(usize::MAX), Ordering::Relaxed);
}

/// The end of the heap that brk(2) makes. The C library knows it without a system call.
fn heap_end() -> Option<usize> {
    // SAFETY: nothing is added.
    let end = unsafe { libc::sbrk(0) };
    (end.addr() != usize::MAX).then_some(end.addr())
}

/// Notes where this thread's stack is. That may open a file, and is done once.
pub(crate) fn learn() {
    if STACK.get() == (0, 0) {
        STACK.set(stack().unwrap_or((1, 1)));
    }
}

fn stack() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the call takes nothing.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: the thread is this one, and the place is as large as what is written.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it was filled in.
    let mut attributes = unsafe { attributes.assume_init() };
    let mut low: *mut c_void = null_mut();
    let mut len = 0;
    // SAFETY: the attributes are of a thread, and both places are ours.
    let found =
        unsafe { libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut len) };
    // SAFETY: the attributes are of a thread, and nobody uses them any more.
    unsafe { libc::pthread_attr_destroy(&raw mut attributes) };
    (found == 0).then(|| (low.addr(), low.addr().saturating_add(len)))
}

/// Whether the bytes from `first` to `last` are there, to be read and written. What lies on a stack above
/// the frame that runs is in use, and so is what the heap has grown over.
pub(super) fn is_there(first: usize, last: usize) -> bool {
    is_on_stack(first, last) || is_on_heap(first, last)
}

fn is_on_stack(first: usize, last: usize) -> bool {
    let here = (&raw const first).addr();
    let (low, high) = STACK.get();
    // Not where a signal handler or a coroutine runs on another stack.
    (low..high).contains(&here) && here <= first && first <= last && last < high
}

fn is_on_heap(first: usize, last: usize) -> bool {
    let start = HEAP.load(Ordering::Relaxed);
    start <= first && first <= last && heap_end().is_some_and(|end| last < end)
}
