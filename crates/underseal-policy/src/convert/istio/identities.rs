//! Identities as Istio writes them, and SPIFFE IDs. An identity of a mesh is
//! `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.

use super::super::metadata::Metadata;
use super::super::{Conversion, ConvertOptions};
use crate::load::Value;
use crate::pattern::Pattern;

/// What stands in policies for the trust domain of the mesh, whatever it is called.
const OWN_DOMAIN: &str = "cluster.local";

/// What is missing.
const NO_DOMAIN: &str = "stands for the mesh's trust domain and its aliases: give `--trust-domain`";

impl ConvertOptions {
    /// `cluster.local/ns/a/sa/b` is a SPIFFE ID without scheme. Whole ones of the mesh's trust domain
    /// are accepted under each of its names; others stay as they are.
    pub(super) fn principals(&self, text: &str, opens: bool) -> Result<Vec<String>, String> {
        if is_end_with_dot(text) {
            check_dots(text, opens)?;
        }
        let (domain, path) = text.split_once('/').unwrap_or((text, ""));
        if domain == "*" || path.split('/').count() != 4 {
            return Ok(vec![with_scheme(text)]);
        }
        let Some(domains) = self.domains() else {
            if domain == OWN_DOMAIN || domain.contains('*') {
                return Err(format!("`{domain}` {NO_DOMAIN}"));
            }
            return Ok(vec![with_scheme(text)]);
        };
        let holds = |name: &str| match domain.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => name == domain,
        };
        if domain != OWN_DOMAIN && !domains.iter().any(|name| holds(name)) {
            return Ok(vec![with_scheme(text)]);
        }
        let mut principals = Vec::new();
        for name in domains {
            let principal = if domain.starts_with('*') && holds(name) {
                with_scheme(text)
            } else {
                format!("spiffe://{name}/{path}")
            };
            if !principals.contains(&principal) {
                principals.push(principal);
            }
        }
        Ok(principals)
    }

    /// The names of a trust domain.
    pub(super) fn trust_domains(&self, text: &str) -> Vec<String> {
        let domains = self.domains().filter(|domains| domains.contains(&text));
        let domains = domains.unwrap_or_else(|| vec![text]);
        domains.into_iter().map(str::to_owned).collect()
    }
}

/// `NAMESPACE/ACCOUNT`, or an account of the policy's namespace, of any trust domain.
pub(super) fn of_account(
    metadata: &Metadata,
    text: &str,
    opens: bool,
) -> Result<Vec<String>, String> {
    if text.contains('*') {
        return Err(format!("a service account is named whole: `{text}`"));
    }
    check_dots(text, opens)?;
    let own = metadata.origin.namespace.as_deref().unwrap_or_default();
    let (namespace, account) = text.split_once('/').unwrap_or((own, text));
    Ok(vec![format!("{namespace}/{account}")])
}

/// A namespace. A suffix matches there whatever follows the namespace in an identity, too; where that
/// `opens` what is narrower here, it cannot be kept.
pub(super) fn namespace(text: &str, opens: bool) -> Result<Vec<String>, String> {
    if text == "*a" || text == "*sa" {
        return Err(format!("matches every namespace there: `{text}`"));
    }
    check_dots(text, opens)?;
    // `/ns/ns/sa/` holds `/ns/sa/`.
    if opens && text != "*" && Pattern::namespace(text)?.matches(b"sa") {
        return Err(format!(
            "matches every identity of the namespace `ns` there: `{text}`"
        ));
    }
    if opens && text.starts_with('*') && text != "*" {
        return Err(format!(
            "may match what follows the namespace in an identity there, and not here: `{text}`"
        ));
    }
    Ok(vec![text.to_owned()])
}

/// Names of namespaces and accounts are regular expressions there, and so are ends of principals.
const DOT: &str = "a dot is any character there, and a dot here";

/// Where a name with a dot is narrower here, it cannot be kept if that `opens` something.
fn check_dots(text: &str, opens: bool) -> Result<(), String> {
    if opens && text.contains('.') {
        return Err(format!("{DOT}: `{text}`"));
    }
    Ok(())
}

/// A name that is read so.
pub(super) fn has_dot(text: &str) -> bool {
    text.contains('.')
}

/// A principal that is: the beginning of one, and a whole one, are compared letter by letter.
pub(super) fn is_end_with_dot(text: &str) -> bool {
    text.starts_with('*') && has_dot(text)
}

impl Conversion<'_> {
    /// Tells of the texts whose dots are `read_so` and that are not refused.
    pub(super) fn note_dots(&mut self, list: Option<&Value<'_>>, read_so: fn(&str) -> bool) {
        if let Some(list) = list.filter(|list| list.any_text(read_so)) {
            self.narrow(list, DOT);
        }
    }
}

/// One without a slash is of an issuer, and of no subject.
pub(super) fn request_principal(text: &str) -> Vec<String> {
    let has_both = text.contains(['/', '*']);
    vec![if has_both {
        text.to_owned()
    } else {
        format!("{text}/")
    }]
}

fn with_scheme(text: &str) -> String {
    if text.starts_with('*') {
        text.to_owned()
    } else {
        format!("spiffe://{text}")
    }
}
