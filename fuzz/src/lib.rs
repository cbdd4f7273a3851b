//! Entry points of the targets that lie among the tests of the crates that they drive, which run
//! them over the corpora, too: those that compare with other libraries, which the crates must not
//! depend on, and those that do to a `Mux`, and to streams, what only their public interface lets them.

#[path = "../../crates/underseal-policy/tests/other_readers/frames.rs"]
mod frames;
#[path = "../../crates/underseal-policy/tests/other_readers/h2_server.rs"]
mod h2_server;
#[path = "../../crates/underseal-policy/tests/other_readers/http1.rs"]
pub mod http1;
#[path = "../../crates/underseal-policy/tests/other_readers/http2.rs"]
pub mod http2;
#[path = "../../crates/underseal-policy/tests/other_readers/memory.rs"]
mod memory;
#[path = "../../crates/underseal/tests/mux/peer.rs"]
mod peer;
#[path = "../../crates/underseal/tests/mux/sequence.rs"]
pub mod sequence;
#[path = "../../crates/underseal/tests/streams/stream_ends.rs"]
mod stream_ends;
#[path = "../../crates/underseal/tests/streams/stream_sequence.rs"]
pub mod stream_sequence;
#[path = "../../crates/underseal/tests/streams/stream_side.rs"]
mod stream_side;
#[path = "../../crates/underseal/tests/mux/wire.rs"]
mod wire;
