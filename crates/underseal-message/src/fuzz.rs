//! Entry points of the fuzz targets, beside the code that they drive.
//!
//! Each panics where an invariant is broken, whatever the bytes.

mod filter;

pub use filter::filter;
