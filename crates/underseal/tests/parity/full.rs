//! Sockets that are full, and stay so for as long as a test needs it.

/// How often the kernel may make room where a test needs that there is none.
const TRIES: usize = 20;

/// What `scenario` returns when its socket stayed full. Kernels find room seconds after they had none
/// when a probe of the peer's window says so, on a busy machine above all: what a stream does then is
/// right, but not what the scenario asks for, and it returns `None`.
pub(crate) fn while_full<T>(scenario: impl FnMut() -> Option<T>) -> T {
    std::iter::repeat_with(scenario)
        .take(TRIES)
        .find_map(|outcome| outcome)
        .expect("the kernel goes on making room")
}
