//! The `Content-Type` of a file, by its name.

/// What a directory of sources has under these names; a stream of video is rare in one.
const TYPESCRIPT: [&str; 4] = ["ts", "mts", "cts", "tsx"];

/// Media type for a path; unknown names are `application/octet-stream`.
pub(crate) fn of(path: &[u8]) -> (&'static str, Charset) {
    let extension = path
        .rsplit(|&byte| byte == b'/')
        .next()
        .and_then(|name| {
            name.iter()
                .rposition(|&b| b == b'.')
                .map(|at| &name[at + 1..])
        })
        .and_then(|extension| std::str::from_utf8(extension).ok());
    let is_typescript = |extension: &&str| {
        TYPESCRIPT
            .iter()
            .any(|own| extension.eq_ignore_ascii_case(own))
    };
    let media_type = match extension.filter(is_typescript) {
        Some(_) => Some("text/typescript"),
        None => extension.and_then(|extension| mime_guess::from_ext(extension).first_raw()),
    };
    let media_type = media_type.unwrap_or("application/octet-stream");
    let charset = if media_type.starts_with("text/") && !media_type.contains("charset") {
        Charset::Utf8
    } else {
        Charset::Unsaid
    };
    (media_type, charset)
}

/// Whether the media type is completed by `; charset=utf-8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// Text: without a charset browsers fall back to guesses.
    Utf8,
    Unsaid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_from_the_last_extension() {
        assert_eq!(of(b"a/b.html"), ("text/html", Charset::Utf8));
        assert_eq!(of(b"b.tar.gz"), ("application/gzip", Charset::Unsaid));
        assert_eq!(of(b"src/main.ts"), ("text/typescript", Charset::Utf8));
        assert_eq!(of(b"a.d.MTS"), ("text/typescript", Charset::Utf8));
        assert_eq!(of(b"x.PNG"), ("image/png", Charset::Unsaid));
        for unknown in [
            &b"README"[..],
            b"d.txt/file",
            b"a.\xff",
            b"x.nosuchthing",
            b"",
        ] {
            assert_eq!(of(unknown).0, "application/octet-stream", "{unknown:?}");
        }
    }
}
