//! Patterns of paths, against one that tries every way.

use underseal_http::{PathOptions, normalise};

use crate::pattern::Pattern;

/// Reads the first line as a pattern of paths and the rest as a path.
pub fn path_pattern(data: &[u8]) {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (Some(pattern), Some(path)) = (lines.next(), lines.next()) else {
        return;
    };
    let mut out = vec![0; path.len()];
    let Ok(path) = normalise(path, &PathOptions::LENIENT, &mut out) else {
        return;
    };
    let mut again = vec![0; path.len()];
    assert_eq!(normalise(path, &PathOptions::LENIENT, &mut again), Ok(path));
    let Some((pattern, compiled)) = str::from_utf8(pattern)
        .ok()
        .and_then(|text| Some((text, Pattern::path(text).ok()?)))
    else {
        return;
    };
    assert_eq!(compiled.to_string(), pattern);
    assert_eq!(compiled.matches(path), plainly(pattern.as_bytes(), path));
}

/// Whether a pattern matches, by trying every way.
fn plainly(pattern: &[u8], path: &[u8]) -> bool {
    if let Some(rest) = pattern.strip_prefix(b"{**}") {
        return (0..=path.len()).any(|at| plainly(rest, &path[at..]));
    }
    if let Some(rest) = pattern.strip_prefix(b"{*}") {
        let end = path
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(path.len());
        return end > 0 && plainly(rest, &path[end..]);
    }
    match (pattern, path) {
        ([b'*', rest @ ..], _) => (0..=path.len()).any(|at| plainly(rest, &path[at..])),
        ([wanted, pattern @ ..], [found, path @ ..]) => wanted == found && plainly(pattern, path),
        _ => pattern == path,
    }
}
