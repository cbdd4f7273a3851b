//! What policies ask of requests, whatever they decide: what has one meaning elsewhere may have two
//! there.

use underseal_http::fields::can_be_taken_for;
use underseal_http::{PathFault, Refusal, Request, has_encoded_slash, has_parameter};

use crate::condition::Key;
use crate::model::{Action, AuthorizationPolicy, Operation};

/// What the policies for a workload ask of its requests. Of those that only audit, whether they ask for paths
/// and nothing else: no request is refused on account of them.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Those that are named; `None` where no rule asks for the method.
    methods: Option<Vec<Box<[u8]>>>,
    paths: bool,
    /// The same of those that decide.
    decides_by_path: bool,
    /// In lower case.
    fields: Vec<Box<[u8]>>,
}

/// What all who serve a request take for a part of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    /// `;` and `%3B`.
    pub parameters: bool,
    /// `%2F`.
    pub encoded_slashes: bool,
}

impl Asked {
    pub(crate) fn note(&mut self, policy: &AuthorizationPolicy) {
        let operations = policy.spec.rules.iter().flat_map(|rule| &rule.to);
        let asks_for_paths = operations.map(|to| &to.operation).any(asks_for_paths);
        self.paths |= asks_for_paths;
        if policy.spec.action == Action::Audit {
            return;
        }
        self.decides_by_path |= asks_for_paths;
        for rule in &policy.spec.rules {
            for to in &rule.to {
                self.note_operation(&to.operation);
            }
            for condition in &rule.when {
                if let Ok(Key::Header(name)) = Key::parse(&condition.key) {
                    self.add_field(&name);
                }
            }
        }
    }

    fn note_operation(&mut self, operation: &Operation) {
        for method in operation.methods.iter().chain(&operation.not_methods) {
            let methods = self.methods.get_or_insert_default();
            if !method.contains('*') {
                methods.push(method.as_bytes().into());
            }
        }
    }

    /// Adds a field that somebody else asks for.
    pub fn add_field(&mut self, name: &[u8]) {
        let name: Box<[u8]> = name.to_ascii_lowercase().into();
        if !self.fields.contains(&name) {
            self.fields.push(name);
        }
    }

    /// Whether `name` is that of a field that a rule asks for, or can be taken for one.
    pub fn field(&self, name: &[u8]) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|field| can_be_taken_for(name, field))
    }

    /// Whether a rule asks for paths, be it to audit: which form of them it is compared with is not the
    /// client's to choose.
    pub fn paths(&self) -> bool {
        self.paths
    }

    /// Why a request is refused before any rule is asked: whoever serves it may see another path, method
    /// or field than the rules.
    pub fn refuses(&self, request: &Request<'_>, keeps: Keeps) -> Option<Refusal> {
        let path = request.path().filter(|_| self.decides_by_path);
        let path = path.unwrap_or_default();
        if !keeps.parameters && has_parameter(path) {
            return Some(Refusal::Path(PathFault::Parameter));
        }
        if !keeps.encoded_slashes && has_encoded_slash(path) {
            return Some(Refusal::Path(PathFault::EncodedSlash));
        }
        if let Some(named) = &self.methods
            && is_in_other_case(request.method(), named)
        {
            return Some(Refusal::MethodCase);
        }
        let mut names = request.fields().map(|(name, _)| name);
        let is_alias = names.any(|name| {
            let mut fields = self.fields.iter();
            fields.any(|field| can_be_taken_for(name, field) && !name.eq_ignore_ascii_case(field))
        });
        is_alias.then_some(Refusal::FieldAlias)
    }
}

fn asks_for_paths(operation: &Operation) -> bool {
    !operation.paths.is_empty() || !operation.not_paths.is_empty()
}

/// All methods that are registered are in capitals, and all that policies name.
fn is_in_other_case(method: &[u8], named: &[Box<[u8]>]) -> bool {
    if !method.iter().any(u8::is_ascii_lowercase) {
        return false;
    }
    let registered = REGISTERED.iter().map(|name| name.as_bytes());
    let mut known = registered.chain(named.iter().map(|name| &**name));
    known.any(|name| name.eq_ignore_ascii_case(method))
}

/// IANA's registry of HTTP methods.
const REGISTERED: [&str; 40] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_known_by_its_own_case_alone() {
        let named: [Box<[u8]>; 1] = [b"PURGE"[..].into()];
        for method in ["GET", "PURGE", "frob", "FROB"] {
            assert!(!is_in_other_case(method.as_bytes(), &named), "{method}");
        }
        for method in ["Get", "purge", "pOST", "version-control"] {
            assert!(is_in_other_case(method.as_bytes(), &named), "{method}");
        }
        assert!(!is_in_other_case(b"purge", &[]) && is_in_other_case(b"post", &[]));
    }
}
