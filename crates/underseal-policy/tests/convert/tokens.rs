//! What Istio asks of tokens, and which it believes.

use underseal_policy::ConvertOptions;

use crate::{ALLOW, converted, converted_with, has, options, refused, refused_with};

const TOKENS: &str = "\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: t, namespace: shop }
spec:
  selector: { matchLabels: { app: orders } }
  jwtRules:
  - issuer: https://issuer.test
    jwksUri: https://issuer.test/keys
    audiences: [orders]
    fromHeaders: [{ name: X-Token, prefix: 'Token ' }]
    forwardOriginalToken: true
";

fn with_keys() -> ConvertOptions {
    let keys = ("https://issuer.test/keys", "keys.json");
    ConvertOptions {
        jwks: [(keys.0.to_owned(), keys.1.to_owned())].into(),
        ..options()
    }
}

#[test]
fn keys_are_those_of_a_file_that_is_given_for_the_address() {
    has(
        &refused(TOKENS),
        "8:14: spec.jwtRules[0].jwksUri: keys are not fetched: give `--jwks https://issuer.test/keys=FILE`",
    );
    let (yaml, notes) = converted_with(TOKENS, &with_keys());
    for part in [
        "kind: RequestAuthentication",
        "jwksFile: keys.json",
        "name: x-token",
        "io.kubernetes.pod.namespace: shop",
    ] {
        assert!(yaml.contains(part), "{part}: {yaml}");
    }
    assert!(notes.is_empty(), "{notes:?}");
    let hidden = TOKENS.replace("    forwardOriginalToken: true\n", "");
    let (_, notes) = converted_with(&hidden, &with_keys());
    has(&notes, "the token goes on to the workload");
    let inlined = TOKENS.replace(
        "jwksUri: https://issuer.test/keys",
        "jwks: '{\"keys\":[{}]}'",
    );
    converted(&inlined);
    let broken = TOKENS.replace("jwksUri: https://issuer.test/keys", "jwks: '{}'");
    has(&refused(&broken), "is not a JSON Web Key Set");
    let writes = TOKENS.replace("forwardOriginalToken: true", "outputPayloadToHeader: x");
    has(
        &refused_with(&writes, &with_keys()),
        "outputPayloadToHeader: not supported",
    );
}

#[test]
fn what_is_asked_of_tokens_keeps_its_words() {
    let tokens = ALLOW.replace(
        "namespaces: [x]",
        "requestPrincipals: [a/b, '*', alone], notRequestPrincipals: [x/y]",
    );
    let (yaml, notes) = converted(&tokens);
    for part in ["- a/b", "- \"*\"", "- alone/", "notRequestPrincipals"] {
        assert!(yaml.contains(part), "{part}: {yaml}");
    }
    has(
        &notes,
        "a token is known where a RequestAuthentication is in force",
    );
    for key in [
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "request.auth.claims[a][b]",
    ] {
        let rules = format!("rules: [{{ when: [{{ key: '{key}', values: [a/b] }}] }}]");
        let from = "rules: [{ from: [{ source: { namespaces: [x] } }] }]";
        let (yaml, _) = converted(&ALLOW.replace(from, &rules));
        assert!(yaml.contains(key), "{yaml}");
    }
}
