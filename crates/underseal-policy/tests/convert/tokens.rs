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
    assert_eq!(notes.len(), 1, "{notes:?}");
    has(
        &notes,
        "jwtRules[0].audiences: an audience is compared letter by letter",
    );
    for (asked, goes_on) in [
        ("", false),
        ("false", false),
        ("False", false),
        ("true", true),
    ] {
        let key = match asked {
            "" => String::new(),
            asked => format!("    forwardOriginalToken: {asked}\n"),
        };
        let text = TOKENS.replace("    forwardOriginalToken: true\n", &key);
        let (_, notes) = converted_with(&text, &with_keys());
        let told = notes
            .iter()
            .any(|note| note.contains("the token goes on to the workload"));
        assert_eq!(told, !goes_on, "{asked}: {notes:?}");
    }
    let text = TOKENS.replace("forwardOriginalToken: true", "forwardOriginalToken: maybe");
    has(
        &refused_with(&text, &with_keys()),
        "forwardOriginalToken: expected `true` or `false`",
    );
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
