//! What passes as it is costs no allocation and no copy.

use std::alloc::System;
use std::io::IoSlice;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_message::{Decision, Filter, Message, Verdict};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGE: usize = 16 * 1024;

/// Looks at the first byte.
fn pass_by_head(message: &mut Message<'_>) -> Verdict {
    match message.pull(..1) {
        Ok(b"d") => Verdict::Drop,
        _ => Verdict::Pass,
    }
}

fn pass_bodies(message: &mut Message<'_>) -> Verdict {
    message.apply_bytes(100_000);
    Verdict::Pass
}

/// Not a test of a runner, which would allocate beside it.
fn main() {
    let bytes = vec![b'x'; MESSAGE];
    let slices: Vec<_> = bytes.chunks(1000).map(IoSlice::new).collect();
    for judge in [pass_by_head as fn(&mut Message<'_>) -> Verdict, pass_bodies] {
        for mut filter in [Filter::egress(judge), Filter::ingress(judge)] {
            let region = Region::new(ALLOCATOR);
            for _ in 0..100 {
                let mut offer = filter.offer(&slices);
                while let Some(Decision::Pass(chunk)) = offer.next() {
                    let mut room = [IoSlice::new(&[]); 8];
                    let gathered = chunk.gather(&mut room);
                    assert!(bytes.as_ptr_range().contains(&gathered[0].as_ptr()));
                    let taken = gathered.iter().map(|slice| slice.len()).sum();
                    offer.taken(taken);
                }
                assert_eq!(offer.finish(), Ok(MESSAGE));
            }
            let change = region.change();
            assert_eq!((change.allocations, change.reallocations), (0, 0));
        }
    }
    // The counters count: what is held is copied.
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        message.cork_bytes(MESSAGE + 1).expect("more may be held");
        Verdict::<usize>::Pass
    });
    let region = Region::new(ALLOCATOR);
    let mut offer = filter.offer(&slices);
    assert!(offer.next().is_none());
    assert_eq!(offer.finish(), Ok(MESSAGE));
    assert!(region.change().bytes_allocated >= MESSAGE);
}
