//! Which part of a head is too long: the method, the target or the fields (RFC 9112 section 3, RFC 6585
//! section 5).

use crate::refusal::Refusal;

/// Longest method, in bytes: those that are registered have up to 17.
pub(crate) const MAX_METHOD: usize = 64;

/// Looks at the part of a head that has come, of one that goes on.
///
/// # Errors
/// [`Refusal::MethodTooLong`], and [`Refusal::TargetTooLong`] or [`Refusal::HeadTooLong`] where no head of up
/// to `max_head` bytes begins so.
pub(super) fn check(part: &[u8], max_head: usize) -> Result<(), Refusal> {
    let has_end = |start: &[u8]| memchr::memchr2(b' ', b'\n', start).is_some();
    if !part.get(..=MAX_METHOD).is_none_or(has_end) {
        return Err(Refusal::MethodTooLong);
    }
    match part.get(..max_head).map(|head| memchr::memchr(b'\n', head)) {
        None => Ok(()),
        Some(None) => Err(Refusal::TargetTooLong),
        Some(Some(_)) => Err(Refusal::HeadTooLong),
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
            (format!("GET /{}", method(194)), Ok(())),
            (format!("GET /{}", method(195)), Err(Refusal::TargetTooLong)),
            (format!("GET /\r\n{}", method(192)), Ok(())),
            (
                format!("GET /\r\n{}", method(193)),
                Err(Refusal::HeadTooLong),
            ),
        ] {
            assert_eq!(check(part.as_bytes(), 200), expected, "{part}");
        }
    }
}
