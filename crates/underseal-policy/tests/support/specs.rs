//! Files of policies around a `spec`.

/// A policy whose `spec` is `spec`, which begins in line 5.
pub(crate) fn with_spec(spec: &str) -> String {
    let spec = spec.replace('\n', "\n  ");
    format!(
        "apiVersion: underseal/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {{ name: p }}\n\
         spec:\n  {spec}\n"
    )
}
