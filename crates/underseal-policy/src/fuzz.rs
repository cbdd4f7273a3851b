//! Entry points of the fuzz targets, beside the code that they drive.
//!
//! Each panics where an invariant is broken, whatever the bytes.

mod path_pattern;
mod policy_file;

pub use path_pattern::path_pattern;
pub use policy_file::policy_file;
