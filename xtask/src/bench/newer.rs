//! A newer OpenSSL than this machine's, from the packages of a later Debian.

use std::path::PathBuf;

use anyhow::Result;

use crate::vm::apt::Apt;
use crate::vm::mirror;

/// Packages with the newer OpenSSL, and with the libraries that it needs.
const PACKAGES: &[&str] = &["libssl3t64", "libc6", "libzstd1", "zlib1g"];

/// Fetches them; returns the directory of their libraries, the dynamic linker among them.
///
/// # Errors
///
/// When they cannot be had.
pub(super) fn libraries(apt: &Apt) -> Result<PathBuf> {
    let packages = apt.packages(mirror::NEWER, PACKAGES)?;
    Ok(packages.join("usr/lib/x86_64-linux-gnu"))
}
