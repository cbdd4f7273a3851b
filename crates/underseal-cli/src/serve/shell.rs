//! Words for a shell, in what is printed at the start.

/// Quotes what a shell would take apart.
pub(crate) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_a_shell_would_split_them() {
        assert_eq!(word("/a/b-c.pem"), "/a/b-c.pem");
        assert_eq!(word("/a b"), "'/a b'");
        assert_eq!(word("it's"), "'it'\\''s'");
    }
}
