//! Which part of a head is too long: the method, the target or the fields (RFC 9112 section 3, RFC 6585
//! section 5). One rule for the proxy and for an origin server, each with limits of its own.

use crate::refusal::Refusal;

/// Longest method, in bytes: those that are registered have up to 17.
pub(crate) const MAX_METHOD: usize = 64;

/// Looks at the request line of a head, of which all may have come or a part.
///
/// # Errors
/// [`Refusal::MethodTooLong`], and [`Refusal::TargetTooLong`] of a line that has no end within `max_line`
/// bytes.
pub(crate) fn check_line(head: &[u8], max_line: usize) -> Result<(), Refusal> {
    let has_end = |start: &[u8]| memchr::memchr2(b' ', b'\n', start).is_some();
    if !head.get(..=MAX_METHOD).is_none_or(has_end) {
        return Err(Refusal::MethodTooLong);
    }
    let has_end = |start: &[u8]| memchr::memchr(b'\n', start).is_some();
    match head.get(..max_line).is_none_or(has_end) {
        true => Ok(()),
        false => Err(Refusal::TargetTooLong),
    }
}

/// Looks at the part of a head that has come, of one that goes on.
///
/// # Errors
/// Those of [`check_line`], and [`Refusal::HeadTooLong`] where no head of up to `max_head` bytes begins so.
pub(crate) fn check_part(part: &[u8], max_line: usize, max_head: usize) -> Result<(), Refusal> {
    check_line(part, max_line)?;
    match part.len() < max_head {
        true => Ok(()),
        false => Err(Refusal::HeadTooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_does_not_end_is_the_one_that_is_too_long() {
        let method = |len| "M".repeat(len);
        for (part, expected) in [
            (method(64), Ok(())),
            (method(65), Err(Refusal::MethodTooLong)),
            (format!("{} /", method(64)), Ok(())),
            (format!("{} /", method(65)), Err(Refusal::MethodTooLong)),
            // No method, and none of its length.
            (format!("GET\n{}", method(65)), Ok(())),
            (format!("GET /{}", method(94)), Ok(())),
            (format!("GET /{}", method(95)), Err(Refusal::TargetTooLong)),
            (format!("GET /\r\n{}", method(192)), Ok(())),
            (
                format!("GET /\r\n{}", method(193)),
                Err(Refusal::HeadTooLong),
            ),
        ] {
            assert_eq!(check_part(part.as_bytes(), 100, 200), expected, "{part}");
        }
    }
}
