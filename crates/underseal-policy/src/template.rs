//! Path templates: `{*}` is one segment, `{**}` is whatever follows. As Istio and Envoy have them.

use std::fmt;

use crate::pattern::check_normal;

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// What stands before the first operator.
    prefix: Box<[u8]>,
    /// For each `{*}`, what stands between it and the next operator or the end.
    after_segments: Vec<Box<[u8]>>,
    /// What stands after `{**}`, which is the last operator.
    after_rest: Option<Box<[u8]>>,
}

impl Template {
    /// Reads a template: operators are whole segments, `{**}` is the last of them.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        check_form(text)?;
        let example = text.replace("{**}", "x").replace("{*}", "x");
        check_normal(example.as_bytes(), text)?;
        let (before, after_rest) = match text.split_once("{**}") {
            Some((before, after)) => (before, Some(after.as_bytes().into())),
            None => (text, None),
        };
        let mut literals = before.split("{*}").map(|text| text.as_bytes().into());
        Ok(Self {
            prefix: literals.next().unwrap_or_default(),
            after_segments: literals.collect(),
            after_rest,
        })
    }

    /// What every path that matches begins with.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Whether `path`, in normal form, is what the template says. Linear in the length of `path`.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.matches_with(path, |_| {})
    }

    /// Whether the operators take bytes of `path`, which matches, that they do not take in Envoy:
    /// `*` and `=`, and what no URI should have.
    pub(crate) fn is_doubtful(&self, path: &[u8]) -> bool {
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@/".contains(byte);
        let mut doubtful = false;
        self.matches_with(path, |taken| doubtful |= !taken.iter().all(known));
        doubtful
    }

    /// As [`Self::matches`]; what each operator takes is told.
    fn matches_with(&self, path: &[u8], mut takes: impl FnMut(&[u8])) -> bool {
        let Some(mut rest) = path.strip_prefix(&*self.prefix) else {
            return false;
        };
        for literal in &self.after_segments {
            let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            takes(&rest[..end]);
            match rest[end..].strip_prefix(&**literal) {
                Some(after) if end > 0 => rest = after,
                _ => return false,
            }
        }
        match &self.after_rest {
            Some(suffix) => rest.strip_suffix(&**suffix).is_some_and(|taken| {
                takes(taken);
                true
            }),
            None => rest.is_empty(),
        }
    }
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        f.write_str(&text(&self.prefix))?;
        for literal in &self.after_segments {
            write!(f, "{{*}}{}", text(literal))?;
        }
        match &self.after_rest {
            Some(suffix) => write!(f, "{{**}}{}", text(suffix)),
            None => Ok(()),
        }
    }
}

fn check_form(text: &str) -> Result<(), String> {
    let mut open_ended = false;
    for segment in text.split('/') {
        let is_operator = matches!(segment, "{*}" | "{**}");
        if segment.contains(['{', '}', '*']) && !is_operator {
            return Err(format!(
                "only `{{*}}` and `{{**}}` stand in a template, as whole segments: `{text}`"
            ));
        }
        if is_operator && open_ended {
            return Err(format!("`{{**}}` must be the last operator: `{text}`"));
        }
        open_ended |= segment == "{**}";
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(template: &str, path: &str) -> bool {
        let template = Template::parse(template).expect("a template");
        template.matches(path.as_bytes())
    }

    #[test]
    fn one_segment_is_one_and_not_empty() {
        assert!(matches("/foo/{*}", "/foo/bar"));
        assert!(!matches("/foo/{*}", "/foo/bar/baz"));
        assert!(!matches("/foo/{*}", "/foo/"));
        assert!(!matches("/foo/{*}", "/foo"));
        assert!(matches("/{*}/x/{*}", "/a/x/b"));
        assert!(!matches("/{*}/x/{*}", "/a/y/b"));
        assert!(!matches("/{*}/x", "/a/xy"));
    }

    #[test]
    fn the_rest_is_any_number_of_segments() {
        assert!(matches("/foo/{**}", "/foo/"));
        assert!(matches("/foo/{**}", "/foo/bar/baz"));
        assert!(!matches("/foo/{**}", "/foo"));
        assert!(matches("/foo/{*}/bar/{**}", "/foo/buzz/bar/"));
        assert!(matches("/foo/{*}/bar/{**}", "/foo/buzz/bar/baz/qux"));
        assert!(!matches("/foo/{*}/bar/{**}", "/foo/bar/baz"));
        assert!(matches("/{**}/edit", "/a/b/edit"));
        assert!(!matches("/{**}/edit", "/a/b/edits"));
        assert!(!matches("/foo/{**}/foo/", "/foo/foo"));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in [
            "/{**}/{*}",
            "/{**}/{**}",
            "/a{*}",
            "/{*}b",
            "/{name}",
            "/*/{*}",
            "/{*}/*",
            "/{",
            "{*}",
            "/a/../{*}",
            "/{***}",
            "/{*}//x",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
