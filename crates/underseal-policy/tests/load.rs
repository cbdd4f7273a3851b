//! Policy files: what loads, and every way in which one does not.

#[path = "support/requests.rs"]
mod requests;
#[path = "support/specs.rs"]
mod specs;

use requests::Sent;
use specs::with_spec;
use underseal_policy::model::{Action, TrafficDirection};
use underseal_policy::{Connection, Fact, Labels, Matcher, PolicyFile, Verdict, load, load_all};

fn errors(text: &str) -> Vec<String> {
    let file = PolicyFile {
        name: "p.yaml",
        text,
    };
    let errors = load(&[file], &[5432]).expect_err("the policy must not load");
    errors.iter().map(ToString::to_string).collect()
}

/// The errors of a policy with this spec, without the name of the file.
fn spec_errors(spec: &str) -> Vec<String> {
    let errors = errors(&with_spec(spec));
    let without_name = errors.iter().map(|error| error.replacen("p.yaml:", "", 1));
    without_name.collect()
}

#[test]
fn every_key_loads() {
    let text = with_spec(
        "selector: { matchLabels: { app: orders, tier: 'back' } }
direction: Egress
action: AUDIT
rules:
- from:
  - source:
      principals: ['spiffe://corp/ns/shop/sa/web', 'spiffe://corp/*', '*/sa/web', '*']
      notPrincipals: ['spiffe://corp/ns/evil/*']
      namespaces: [shop, 'sh*']
      notNamespaces: ['*-test']
      ipBlocks: [10.1.0.0/16, '2001:db8::/32', 192.0.2.7]
      notIpBlocks: ['10.1.2.0/24']
  to:
  - operation:
      hosts: [Orders.example.com, '*.example.com']
      notHosts: ['admin.*']
      ports: [8080, '8443']
      notPorts: ['1']
      methods: [GET, 'P*']
      notMethods: [PATCH]
      paths: [/v1/orders, '/v1/*', '*.html', '*', '/v2/{*}/items/{**}']
      notPaths: [/v1/admin]
  when:
  - { key: 'request.headers[X-Env]', values: [prod], notValues: [dev] }
  - { key: source.ip, values: [10.0.0.0/8] }
  - { key: source.namespace, values: [shop] }
  - { key: source.principal, values: ['spiffe://corp/a'] }
  - { key: destination.ip, notValues: ['::1'] }
  - { key: destination.port, values: ['8080'] }
  - { key: destination.principal, values: ['*'] }
  - { key: connection.sni, values: ['*.example.com'] }
  - { key: connection.transport, values: [tcp, udp] }
- {}",
    );
    let file = PolicyFile {
        name: "p.yaml",
        text: &text,
    };
    let policies = load(&[file], &[5432]).expect("loads");
    let spec = &policies[0].spec;
    assert_eq!(
        (spec.action, spec.direction),
        (Action::Audit, TrafficDirection::Egress)
    );
    assert_eq!(spec.rules.len(), 2);
    assert_eq!(spec.rules[0].to[0].operation.ports, ["8080", "8443"]);
    assert_eq!(spec.rules[0].when.len(), 9);
    let labels = &spec.selector.as_ref().expect("a selector").match_labels;
    assert_eq!(labels["tier"], "back");
}

#[test]
fn without_anything_said_it_is_ingress_and_allow() {
    let text = with_spec("rules: []");
    let file = PolicyFile {
        name: "p.yaml",
        text: &text,
    };
    let spec = &load(&[file], &[]).expect("loads")[0].spec;
    assert_eq!(
        (spec.action, spec.direction),
        (Action::Allow, TrafficDirection::Ingress)
    );
    assert!(spec.selector.is_none());
}

#[test]
fn several_documents_are_several_policies() {
    let one = with_spec("action: DENY");
    let text = format!(
        "{one}---\n# nothing\n---\n{}",
        one.replace("name: p", "name: q")
    );
    let file = PolicyFile {
        name: "p.yaml",
        text: &text,
    };
    let policies = load(&[file], &[]).expect("loads");
    let names: Vec<_> = policies
        .iter()
        .map(|policy| &policy.metadata.name)
        .collect();
    assert_eq!(names, ["p", "q"]);
}

#[test]
fn all_errors_of_all_files_are_reported_at_their_place() {
    let one = with_spec("acton: DENY\nrules:\n- from: []\n  to:\n  - operation: { path: [/a] }");
    let two = with_spec("rules:\n- to: [{ operation: { methods: [get], paths: [a] } }]");
    let files = [("1.yaml", &one), ("2.yaml", &two)].map(|(name, text)| PolicyFile { name, text });
    let errors = load(&files, &[]).expect_err("must not load");
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "1.yaml:5:3: spec.acton: no such key; did you mean `action`?",
            "1.yaml:7:11: spec.rules[0].from: is empty; to match all, leave it out",
            "1.yaml:9:20: spec.rules[0].to[0].operation.path: no such key; did you mean `paths`?",
            "2.yaml:3:13: metadata.name: there is another `p`, at 1.yaml:3",
            "2.yaml:6:35: spec.rules[0].to[0].operation.methods[0]: methods are case-sensitive: \
             write `GET` for `get`",
            "2.yaml:6:49: spec.rules[0].to[0].operation.paths[0]: a path begins with `/` or `*`: `a`",
        ]
    );
}

#[test]
fn a_file_without_policy_is_an_error() {
    for text in ["", "# nothing\n", "---\n---\n"] {
        assert_eq!(
            errors(text),
            ["p.yaml:1:1: there is no policy in this file"]
        );
    }
}

#[test]
fn what_is_no_yaml_has_a_place() {
    for (text, error) in [
        ("a: [1\n", "p.yaml:1:4: unclosed bracket"),
        ("a: 1\na: 2\n", "p.yaml:2:1: duplicate mapping key: a"),
        ("a: *x\n", "p.yaml:1:4"),
        ("a:\n\tb: 1\n", "p.yaml:2:2"),
        (
            "a: &a {b: 1}\nc:\n  <<: *a\n",
            "p.yaml:3:3: `<<` merges a mapping",
        ),
        ("a: !x y\n", "p.yaml:1:"),
    ] {
        let errors = errors(text);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with(error), "{errors:?}");
    }
}

#[test]
fn another_kind_of_document_is_refused() {
    let text = with_spec("rules: []").replace("underseal/v1alpha1", "security.istio.io/v1");
    assert_eq!(
        errors(&text),
        ["p.yaml:1:1: is a policy of Istio: `underseal policy convert` makes it one"]
    );
    assert_eq!(
        errors("[]"),
        ["p.yaml:1:1: expected a mapping, found a list"]
    );
}

#[test]
fn an_http_key_on_a_port_without_http_is_refused() {
    assert_eq!(
        spec_errors(
            "rules:\n- to: [{ operation: { ports: [5432], methods: [GET] } }]\n  \
             when: [{ key: 'request.headers[a]', values: [b] }]"
        ),
        [
            "6:40: spec.rules[0].to[0].operation.methods: `methods` is known of HTTP only, and \
             port 5432 does not speak it",
            "7:14: spec.rules[0].when[0].key: `request.headers[a]` is known of HTTP only, and \
             port 5432 does not speak it",
        ]
    );
}

#[test]
fn values_that_could_never_match_are_refused() {
    for (operation, error) in [
        ("paths: [/a/../b]", "is not in normal form"),
        ("paths: ['/a//b']", "is not in normal form"),
        ("paths: ['/%7Ea*']", "is not in normal form"),
        ("paths: ['/a%2fb']", "is not in normal form"),
        ("paths: ['/a?b']", "without query"),
        ("paths: ['/a b']", "would never match"),
        ("paths: ['/a*b']", "once"),
        ("paths: ['/{id}']", "stand in a template"),
        ("paths: ['/{**}/{*}']", "the last operator"),
        ("hosts: ['http://a']", "not a host name"),
        ("hosts: ['a/b']", "not a host name"),
        ("hosts: ['*.']", "not a host name"),
        ("hosts: ['a..b']", "not a host name"),
        ("hosts: ['a,b']", "not a host name"),
        ("hosts: ['[zz]']", "not a host name"),
        ("hosts: ['a:']", "not a host name"),
        ("hosts: ['a:99999*']", "not a host name"),
        ("hosts: ['*..b']", "not a host name"),
        ("hosts: ['.a*']", "not a host name"),
        ("methods: [get]", "write `GET`"),
        ("methods: ['G T']", "is not a method"),
        ("ports: [0]", "from 1 to 65535"),
        ("ports: ['+80']", "from 1 to 65535"),
        ("ports: ['80-90']", "from 1 to 65535"),
        ("ports: [1.5]", "from 1 to 65535"),
        ("paths: []", "is empty"),
        ("paths: ['']", "is empty"),
        ("paths: /a", "expected a list, found text"),
        ("paths: [1]", "expected text, found a number; write \"1\""),
        ("paths: [[/a]]", "expected text, found a list"),
        ("paths: ", "expected a list, found nothing"),
    ] {
        let errors = spec_errors(&format!("rules:\n- to:\n  - operation:\n      {operation}"));
        assert_eq!(errors.len(), 1, "{operation}: {errors:?}");
        assert!(errors[0].starts_with("8:"), "{operation}: {errors:?}");
        assert!(errors[0].contains(error), "{operation}: {errors:?}");
    }
}

#[test]
fn sources_and_conditions_are_checked() {
    for (rule, error) in [
        (
            "from: [{ source: { principals: [corp/a] } }]",
            "begins with `spiffe://`",
        ),
        (
            "from: [{ source: { principals: ['spiffe://Corp/a'] } }]",
            "a trust domain is",
        ),
        (
            "from: [{ source: { principals: ['spiffe://c/a/'] } }]",
            "is not a SPIFFE ID",
        ),
        (
            "from: [{ source: { principals: ['http*'] } }]",
            "begins with `spiffe://`",
        ),
        (
            "from: [{ source: { ipBlocks: [10.0.0.1/8] } }]",
            "write `10.0.0.0/8`",
        ),
        (
            "from: [{ source: { ipBlocks: [10.0.0] } }]",
            "expected an address",
        ),
        ("from: [{ source: {} }]", "is empty"),
        ("from: [{}]", "source is missing"),
        ("to: [{ operation: {} }]", "is empty"),
        (
            "when: [{ key: source.ip }]",
            "neither `values` nor `notValues`",
        ),
        ("when: [{ values: [a] }]", "key is missing"),
        (
            "when: [{ key: remote.ip, values: [a] }]",
            "no such key: `remote.ip`; there are",
        ),
        (
            "when: [{ key: 'request.headers[]', values: [a] }]",
            "`request.headers[NAME]`",
        ),
        (
            "when: [{ key: 'request.headers[a b]', values: [a] }]",
            "`request.headers[NAME]`",
        ),
        (
            "when: [{ key: 'request.headers[Host]', values: [a] }]",
            "matched by `hosts`",
        ),
        (
            "when: [{ key: source.ip, values: [x] }]",
            "expected an address",
        ),
    ] {
        let errors = spec_errors(&format!("rules:\n- {rule}"));
        assert_eq!(errors.len(), 1, "{rule}: {errors:?}");
        assert!(errors[0].starts_with("6:"), "{rule}: {errors:?}");
        assert!(errors[0].contains(error), "{rule}: {errors:?}");
    }
}

#[test]
fn specs_are_checked() {
    for (spec, error) in [
        ("action: Allow", "expected `ALLOW` or `DENY` or `AUDIT`"),
        ("direction: ingress", "expected `Ingress` or `Egress`"),
        ("selector: {}", "matchLabels is missing"),
        ("selector: { matchLabels: {} }", "leave out `selector`"),
        ("selector: { matchLabels: { version: 1 } }", "write \"1\""),
        (
            "selector: { matchLabels: { version: 1.10 } }",
            "write \"1.10\"",
        ),
        (
            "selector: { matchLabels: { version: 0123 } }",
            "write \"0123\"",
        ),
        ("rules: ", "expected a list, found nothing"),
        ("rules: [~]", "expected a mapping, found nothing"),
    ] {
        let errors = spec_errors(spec);
        assert_eq!(errors.len(), 1, "{spec}: {errors:?}");
        assert!(errors[0].contains(error), "{spec}: {errors:?}");
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        text += &format!("b{level}: &a{level} [{below}]\n");
    }
    assert_eq!(errors(&text).len(), 1);
}

#[test]
fn documents_of_other_kinds_are_passed_over_and_lists_are_read() {
    let policy = with_spec("action: DENY");
    let other = "apiVersion: apps/v1\nkind: Deployment\n---\n";
    let loaded = load_all(
        &[PolicyFile {
            name: "p.yaml",
            text: &format!("{other}{policy}"),
        }],
        &[],
    );
    let loaded = loaded.expect("loads");
    assert_eq!(loaded.policies.len(), 1);
    assert_eq!(
        loaded.passed_over[0].message,
        "`Deployment` is no policy: passed over"
    );
    assert_eq!(
        errors(other),
        ["p.yaml:1:1: there is no policy in this file, nor in any other"]
    );
    let item = with_spec("acton: DENY").replace('\n', "\n  ");
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {item}");
    assert_eq!(
        errors(&list),
        ["p.yaml:8:5: items[0].spec.acton: no such key; did you mean `action`?"]
    );
}

#[test]
fn the_limits_of_a_file_are_said_in_words() {
    let many = "---\na: 1\n".repeat(1100);
    assert!(
        errors(&many)[0].contains("more than 1024 documents"),
        "{:?}",
        errors(&many)
    );
    let nodes = format!("a: [{}]\n", "x, ".repeat(260_000));
    assert!(
        errors(&nodes)[0].contains("more than 250000"),
        "{:?}",
        errors(&nodes)[0]
    );
}

/// Each pattern in several spellings, of which a request has another.
#[test]
fn matching_does_not_depend_on_spelling() {
    let hosts = [
        [
            "trail.example.com.",
            "TRAIL.example.com",
            "trail.example.com",
        ],
        ["[2001:db8:0:0:0:0:0:1]", "[2001:DB8::1]", "[2001:db8:0::1]"],
        ["a.test:080", "A.TEST.:80", "a.test:80"],
    ];
    for spellings in hosts {
        for pattern in spellings {
            for host in spellings {
                let rule = format!("to: [{{ operation: {{ hosts: ['{pattern}'] }} }}]");
                let mut sent = Sent::new("GET /", host, &[]);
                let connection = Connection::default();
                let verdict = deny(&rule)
                    .decide(&connection, Some(&sent.request()))
                    .verdict;
                assert_eq!(verdict, Verdict::Deny, "{pattern} {host}");
            }
        }
    }
    for pattern in [
        "::ffff:10.0.0.1",
        "10.0.0.1",
        "::ffff:10.0.0.0/112",
        "10.0.0.0/16",
    ] {
        for ip in ["10.0.0.1", "::ffff:10.0.0.1"] {
            let rule = format!("from: [{{ source: {{ ipBlocks: ['{pattern}'] }} }}]");
            let mut connection = Connection::default();
            connection.source.ip = Some(ip.parse().expect("an address"));
            let verdict = deny(&rule).decide(&connection, None).verdict;
            assert_eq!(verdict, Verdict::Deny, "{pattern} {ip}");
            connection.source.ip = Some([10, 1, 0, 1].into());
            let verdict = deny(&rule).decide(&connection, None).verdict;
            assert_eq!(verdict, Verdict::Allow, "{pattern}");
        }
    }
    for pattern in ["a.test.", "A.test", "*.TEST.", "A.*"] {
        for sni in ["a.test", "A.Test."] {
            let rule = format!("when: [{{ key: connection.sni, values: ['{pattern}'] }}]");
            let connection = Connection {
                sni: Fact::Is(sni),
                ..Connection::default()
            };
            let verdict = deny(&rule).decide(&connection, None).verdict;
            assert_eq!(verdict, Verdict::Deny, "{pattern} {sni}");
        }
    }
}

/// One policy that denies by one rule.
fn deny(rule: &str) -> Matcher {
    let text = with_spec(&format!("action: DENY\nrules: [{{ {rule} }}]"));
    let file = PolicyFile {
        name: "p.yaml",
        text: &text,
    };
    let policies = load(&[file], &[]).expect("loads");
    Matcher::new(&policies, &Labels::new(), TrafficDirection::Ingress).expect("compiles")
}

#[test]
fn what_no_request_has_does_not_load() {
    for rule in [
        "from: [{ source: { principals: ['spiffe://Corp/*'] } }]",
        "from: [{ source: { principals: ['*/a b'] } }]",
        "from: [{ source: { namespaces: ['a/b'] } }]",
        "when: [{ key: connection.sni, values: ['[::1]'] }]",
        "when: [{ key: connection.sni, values: ['10.0.0.1'] }]",
        "when: [{ key: connection.sni, values: ['a:443'] }]",
        "when: [{ key: 'request.headers[x]', values: [' a'] }]",
        "when: [{ key: request.query, values: [a] }]",
        "when: [{ key: connection.transport, values: [TCP] }]",
        "when: [{ key: connection.transport, values: ['*'] }]",
    ] {
        let errors = spec_errors(&format!("rules:\n- {rule}"));
        assert_eq!(errors.len(), 1, "{rule}: {errors:?}");
    }
}

/// A rule of some fifty bytes, five million bytes of them.
#[test]
fn a_policy_of_five_megabytes_loads_or_says_that_it_is_too_large() {
    let head = "apiVersion: underseal/v1alpha1\nkind: AuthorizationPolicy\nmetadata: { name: large }\n\
                spec:\n  rules:\n";
    let rule = |index| format!("  - to: [{{ operation: {{ paths: ['/{index:040}'] }} }}]\n");
    let rules: String = (0..60_000).map(rule).collect();
    let text = format!("{head}{rules}");
    assert!(text.len() > 4_500_000);
    let file = |text| PolicyFile {
        name: "large.yaml",
        text,
    };
    let errors = load(&[file(&text)], &[]).expect_err("more nodes than there may be");
    assert!(
        errors.iter().any(|error| error.message.contains("250")),
        "{errors:?}"
    );
    // As many bytes in fewer texts load.
    let long = format!("/{}", "x".repeat(2_000));
    let paths = (0..2_500).map(|index| format!("'{long}{index}'"));
    let paths: Vec<_> = paths.collect();
    let text = format!(
        "{head}  - to: [{{ operation: {{ paths: [{}] }} }}]\n",
        paths.join(", ")
    );
    assert!(text.len() > 5_000_000);
    let policies = load(&[file(&text)], &[]).expect("loads");
    assert_eq!(policies[0].spec.rules[0].to[0].operation.paths.len(), 2_500);
}
