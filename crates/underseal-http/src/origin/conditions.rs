//! Conditional requests, in the order RFC 9110, section 13.2.2 prescribes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Request;

/// What the conditions of a GET or HEAD come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer as if there had been no condition.
    Proceed,
    /// 304: what the client has is still good.
    NotModified,
    /// 412: what the client relies upon is gone.
    Failed,
}

/// Weighs `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since` of `request`
/// against the quoted `etag` and the time of the last change.
pub fn evaluate(request: &Request<'_>, etag: &str, modified: SystemTime) -> Verdict {
    if let Some(tags) = &request.if_match {
        if !list_matches(tags, etag, Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if request
        .if_unmodified_since
        .and_then(date)
        .is_some_and(|limit| whole_seconds(modified) > limit)
    {
        return Verdict::Failed;
    }
    let unchanged = match &request.if_none_match {
        Some(tags) => list_matches(tags, etag, Comparison::Weak),
        None => request
            .if_modified_since
            .and_then(date)
            .is_some_and(|seen| whole_seconds(modified) <= seen),
    };
    if unchanged {
        Verdict::NotModified
    } else {
        Verdict::Proceed
    }
}

/// Whether a `Range` is to be honoured: there is no `If-Range`, or its validator is exactly the
/// one that would be sent now. Weak tags never are (section 13.1.5).
pub fn range_applies(if_range: Option<&[u8]>, etag: &str, modified: SystemTime) -> bool {
    match if_range.map(<[u8]>::trim_ascii) {
        None => true,
        Some(value) if value.starts_with(b"\"") => value == etag.as_bytes(),
        Some(value) => date(value) == Some(whole_seconds(modified)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Tags hold no comma that matters here: our own are hexadecimal, so splitting a foreign tag in
/// two can never make it equal to ours.
fn list_matches(list: &[u8], etag: &str, comparison: Comparison) -> bool {
    list.split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|tag| {
            let strong = match tag.strip_prefix(b"W/") {
                Some(opaque) if comparison == Comparison::Weak => opaque,
                _ => tag,
            };
            tag == b"*" || strong == etag.as_bytes()
        })
}

fn date(value: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(value).ok()?;
    httpdate::parse_http_date(text.trim()).ok()
}

/// HTTP dates have no fraction, so the file's time must lose its own before they are compared.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"1-2-3\"";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn verdict(fields: &str) -> Verdict {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let (request, _) = Request::parse(head.as_bytes())
            .expect("well-formed")
            .expect("complete");
        let modified = httpdate::parse_http_date(DATE).expect("date");
        // A fraction that the field cannot show must not make the file look newer.
        evaluate(&request, TAG, modified + Duration::from_millis(700))
    }

    #[test]
    fn each_condition_alone() {
        use Verdict::{Failed, NotModified, Proceed};
        for (fields, expected) in [
            (String::new(), Proceed),
            (format!("If-None-Match: {TAG}\r\n"), NotModified),
            (format!("If-None-Match: \"x\", W/{TAG}\r\n"), NotModified),
            (
                format!("If-None-Match: \"x\"\r\nIf-None-Match: {TAG}\r\n"),
                NotModified,
            ),
            ("If-None-Match: *\r\n".into(), NotModified),
            ("If-None-Match: \"x\"\r\n".into(), Proceed),
            (format!("If-Match: \"x\", {TAG}\r\n"), Proceed),
            ("If-Match: *\r\n".into(), Proceed),
            (format!("If-Match: W/{TAG}\r\n"), Failed),
            ("If-Match: \"x\"\r\n".into(), Failed),
            (format!("If-Modified-Since: {DATE}\r\n"), NotModified),
            (format!("If-Modified-Since: {LATER}\r\n"), NotModified),
            (format!("If-Modified-Since: {EARLIER}\r\n"), Proceed),
            ("If-Modified-Since: yesterday\r\n".into(), Proceed),
            (format!("If-Unmodified-Since: {DATE}\r\n"), Proceed),
            (format!("If-Unmodified-Since: {EARLIER}\r\n"), Failed),
        ] {
            assert_eq!(verdict(&fields), expected, "{fields}");
        }
    }

    #[test]
    fn tags_go_before_dates_and_failures_before_not_modified() {
        let both = format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {LATER}\r\n");
        assert_eq!(verdict(&both), Verdict::Proceed);
        let both = format!("If-Match: {TAG}\r\nIf-Unmodified-Since: {EARLIER}\r\n");
        assert_eq!(verdict(&both), Verdict::Proceed);
        let both = format!("If-Match: \"x\"\r\nIf-None-Match: {TAG}\r\n");
        assert_eq!(verdict(&both), Verdict::Failed);
    }

    #[test]
    fn if_range_wants_the_exact_validator() {
        let modified = httpdate::parse_http_date(DATE).expect("date");
        let applies = |value: &str| range_applies(Some(value.as_bytes()), TAG, modified);
        assert!(range_applies(None, TAG, modified));
        assert!(applies(TAG));
        assert!(applies(DATE));
        for stale in ["W/\"1-2-3\"", "\"x\"", LATER, EARLIER, "soon"] {
            assert!(!applies(stale), "{stale}");
        }
    }
}
