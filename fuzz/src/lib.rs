//! Entry points of the targets that compare with other libraries: the crates that they drive must
//! not depend on these, so they lie among the tests of `underseal-policy`, which run them over the
//! corpora, too.

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
