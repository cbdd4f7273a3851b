//! The same rules for every proxy: one that denies, ten that allow, and nothing else passes. The
//! files that are asked for are allowed by the last two.

use std::fmt::Write as _;

/// Prefixes that the first eight rules allow.
pub(super) fn prefixes() -> impl Iterator<Item = String> {
    (0..8).map(|number| format!("/service{number}/"))
}

/// Paths that the others allow.
pub(super) const FILES: [&str; 2] = ["/small", super::BODY];

/// An AuthorizationPolicy for each action.
pub(super) fn policies() -> String {
    let mut text = "apiVersion: underseal/v1alpha1
kind: AuthorizationPolicy
metadata: { name: no-admin }
spec:
  action: DENY
  rules: [{ to: [{ operation: { paths: [/admin, /admin/*] } }] }]
---
apiVersion: underseal/v1alpha1
kind: AuthorizationPolicy
metadata: { name: services }
spec:
  action: ALLOW
  rules:
"
    .to_owned();
    let files = FILES.map(str::to_owned);
    for path in prefixes().map(|prefix| prefix + "*").chain(files) {
        let _ = writeln!(text, "    - to: [{{ operation: {{ paths: [{path}] }} }}]");
    }
    text
}
