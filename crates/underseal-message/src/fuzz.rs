//! Entry points of the fuzz targets, beside the code that they drive.
//!
//! Each panics where an invariant is broken, whatever the bytes.

mod filter;
mod parser;

pub use filter::filter;
pub use parser::{http1, parsers};
