//! Identities as Istio writes them, and SPIFFE IDs. An identity of a mesh is
//! `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.

use super::super::ConvertOptions;
use super::super::metadata::Metadata;

/// What stands in policies for the trust domain of the mesh, whatever it is called.
const OWN_DOMAIN: &str = "cluster.local";

/// What is missing.
const NO_DOMAIN: &str = "stands for the mesh's trust domain and its aliases: give `--trust-domain`";

impl ConvertOptions {
    fn domains(&self) -> Option<Vec<&str>> {
        let own = self.trust_domain.as_deref()?;
        let aliases = self.trust_domain_aliases.iter().map(String::as_str);
        Some(std::iter::once(own).chain(aliases).collect())
    }

    /// `cluster.local/ns/a/sa/b` is a SPIFFE ID without scheme. Whole ones of the mesh's trust domain
    /// are accepted under each of its names; others stay as they are.
    pub(super) fn principals(&self, text: &str) -> Result<Vec<String>, String> {
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
pub(super) fn of_account(metadata: &Metadata, text: &str) -> Result<Vec<String>, String> {
    if text.contains('*') {
        return Err(format!("a service account is named whole: `{text}`"));
    }
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
    if opens && text.starts_with('*') && text != "*" {
        return Err(format!(
            "may match what follows the namespace in an identity there, and not here: `{text}`"
        ));
    }
    Ok(vec![text.to_owned()])
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
