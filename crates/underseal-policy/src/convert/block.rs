//! Blocks of addresses.

use crate::pattern;

/// A block of addresses, whose bits beyond the prefix do not count there.
pub(super) fn block(text: &str) -> Result<Vec<String>, String> {
    let block = pattern::read_block(text)?.trunc();
    if pattern::ip_block(&block.to_string())? != block {
        return Err(format!("an address of IPv4 is not written so: `{text}`"));
    }
    Ok(vec![if text.contains('/') {
        block.to_string()
    } else {
        text.to_owned()
    }])
}
