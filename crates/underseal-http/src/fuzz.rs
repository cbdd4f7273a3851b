//! Entry points of the fuzz targets, beside the code that they drive.
//!
//! Each panics where an invariant is broken, whatever the bytes. What other libraries than
//! httparse make of the same bytes is compared in `underseal-policy/tests/other_readers`, which may
//! depend on them.

mod byte_ranges;
mod chunks;
mod cookies;
mod http1_head;
mod http1_response;
mod origin;
mod proxy_protocol;

pub use byte_ranges::byte_ranges;
pub use chunks::http1_chunks;
pub use cookies::cookies;
pub use http1_head::http1_head;
pub use http1_response::http1_response;
pub use origin::origin_request;
pub use proxy_protocol::proxy_protocol;
