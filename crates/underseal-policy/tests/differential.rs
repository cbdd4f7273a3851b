//! The matcher, its explanation and a plain evaluator agree on random policies and requests.

#[path = "support/naive.rs"]
mod naive;
#[path = "support/requests.rs"]
mod requests;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use requests::Sent;
use underseal_policy::model::{
    Action, AuthorizationPolicy, Condition, From, Operation, Rule, Source, Spec, To,
    TrafficDirection,
};
use underseal_policy::{Connection, Labels, Matcher, Peer, Reason, Verdict};

const PATHS: &[&str] = &["/", "/a", "/a/", "/a/b", "/ab", "/b/a", "/a/b/c", "/c"];
const PATH_PATTERNS: &[&str] = &[
    "/",
    "/a",
    "/a*",
    "/a/*",
    "/ab*",
    "*",
    "*/a",
    "*b",
    "*c",
    "/a/b",
    "/{*}",
    "/a/{*}",
    "/{**}",
    "/{*}/b",
    "/{*}/b/{**}",
    "/a/{**}",
    "/{**}/c",
];
const METHODS: &[&str] = &["GET", "PUT", "POST"];
const METHOD_PATTERNS: &[&str] = &["GET", "PUT", "P*", "*T", "*"];
const HOSTS: &[&str] = &["a", "b.a", "c", "a:1", "b.a:2"];
const HOST_PATTERNS: &[&str] = &["a", "B.a", "*.a", "b*", "*", "a:1", "*:2", "*.a:3"];
const PRINCIPALS: &[&str] = &["spiffe://t/ns/x/w", "spiffe://t/ns/y/w", "spiffe://t/z"];
const PRINCIPAL_PATTERNS: &[&str] = &[
    "spiffe://t/ns/x/w",
    "spiffe://t/ns/*",
    "*/w",
    "*",
    "spiffe://t/z",
    "spiffe://t/zz",
];
const NAMESPACES: &[&str] = &["x", "y", "x*", "*", "z"];
const BLOCKS: &[&str] = &["10.0.0.0/8", "192.0.2.1"];
const PORTS: &[&str] = &["80", "81"];
const VALUES: &[&str] = &["p", "q", "p*", "*q", "*"];

/// Most often nothing, else some of `values`.
fn some(values: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let chosen = subsequence(values, 1..=values.len().min(3));
    let owned = chosen.prop_map(|chosen| chosen.into_iter().map(str::to_owned).collect());
    prop_oneof![3 => Just(Vec::new()), 1 => owned]
}

fn source() -> impl Strategy<Value = From> {
    let lists = (
        some(PRINCIPAL_PATTERNS),
        some(PRINCIPAL_PATTERNS),
        some(NAMESPACES),
        some(NAMESPACES),
        some(BLOCKS),
        some(BLOCKS),
    );
    lists.prop_map(|lists| From {
        source: Source {
            principals: lists.0,
            not_principals: lists.1,
            namespaces: lists.2,
            not_namespaces: lists.3,
            ip_blocks: lists.4,
            not_ip_blocks: lists.5,
            ..Source::default()
        },
    })
}

fn operation() -> impl Strategy<Value = To> {
    let positive = (
        some(HOST_PATTERNS),
        some(PORTS),
        some(METHOD_PATTERNS),
        some(PATH_PATTERNS),
    );
    let negative = (
        some(HOST_PATTERNS),
        some(PORTS),
        some(METHOD_PATTERNS),
        some(PATH_PATTERNS),
    );
    (positive, negative).prop_map(|(positive, negative)| To {
        operation: Operation {
            hosts: positive.0,
            ports: positive.1,
            methods: positive.2,
            paths: positive.3,
            not_hosts: negative.0,
            not_ports: negative.1,
            not_methods: negative.2,
            not_paths: negative.3,
        },
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let keyed = prop_oneof![
        ("request\\.headers\\[x\\]", some(VALUES), some(VALUES)),
        ("source\\.namespace", some(NAMESPACES), some(NAMESPACES)),
    ];
    keyed.prop_map(|(key, values, not_values)| Condition {
        key,
        values,
        not_values,
    })
}

fn policies() -> impl Strategy<Value = Vec<AuthorizationPolicy>> {
    let rule = (
        vec(source(), 0..3),
        vec(operation(), 0..3),
        vec(condition(), 0..2),
    )
        .prop_map(|(from, to, when)| Rule { from, to, when });
    let action = select(vec![
        Action::Allow,
        Action::Allow,
        Action::Deny,
        Action::Audit,
    ]);
    let spec = (action, vec(rule, 0..6)).prop_map(|(action, rules)| Spec {
        action,
        rules,
        ..Spec::default()
    });
    vec(spec, 0..4).prop_map(|specs| {
        let named = specs.into_iter().enumerate();
        let named = named.map(|(index, spec)| AuthorizationPolicy::new(format!("p{index}"), spec));
        named.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn index_and_explanation_agree_with_the_plain_evaluator(
        policies in policies(),
        (method, path, host) in (select(METHODS), select(PATHS), select(HOSTS)),
        fields in vec(select(&["p", "q", "pq", "r"][..]), 0..3),
        principal in prop::option::of(select(PRINCIPALS)),
        ip in prop::option::of(select(vec![[10, 1, 2, 3], [192, 0, 2, 1], [192, 0, 2, 2]])),
        port in select(vec![80, 81, 82]),
        is_http in prop::bool::weighted(0.9),
    ) {
        let matcher = Matcher::new(&policies, &Labels::new(), TrafficDirection::Ingress);
        let matcher = matcher.expect("what is generated is valid");
        let fields: Vec<_> = fields.iter().map(|value| ("X", *value)).collect();
        let mut sent = Sent::new(&format!("{method} {path}"), host, &fields);
        let request = is_http.then(|| sent.request());
        let source = Peer { principal: principal.into(), ip: ip.map(Into::into), labels: None };
        let connection = Connection { source, port, ..Connection::default() };

        let decision = matcher.decide(&connection, request.as_ref());
        let rule = match decision.reason {
            Reason::Rule(rule) => Some((rule.policy, rule.rule)),
            Reason::Default | Reason::NoPolicy => None,
        };
        let expected = naive::decide(&policies, &connection, request.as_ref());
        prop_assert_eq!((decision.verdict == Verdict::Allow, rule), expected);

        let explanation = matcher.explain(&connection, request.as_ref());
        prop_assert_eq!(explanation.decision, decision);
        let said = |action: Action| explanation.rules.iter().find(|rule| rule.matches && rule.rule.action == action);
        let audit = said(Action::Audit).map(|outcome| outcome.rule);
        prop_assert_eq!(audit, decision.audit);
        let deciding = said(Action::Deny).or_else(|| said(Action::Allow)).map(|outcome| outcome.rule);
        prop_assert_eq!(deciding, match decision.reason {
            Reason::Rule(rule) => Some(rule),
            Reason::Default | Reason::NoPolicy => None,
        });
        let nearest = explanation.nearest.map(|rule| {
            let attribute = rule.attribute.unwrap_or_default();
            (rule.policy, rule.rule, attribute.to_owned())
        });
        prop_assert_eq!(nearest, naive::nearest(&policies, &connection, request.as_ref()));
    }
}

fn to(operation: Operation) -> Vec<To> {
    vec![To { operation }]
}

fn compiled(rules: Vec<Rule>) -> Matcher {
    let spec = Spec {
        rules,
        ..Spec::default()
    };
    let policy = AuthorizationPolicy::new("p", spec);
    Matcher::new(&[policy], &Labels::new(), TrafficDirection::Ingress).expect("valid")
}

/// More rules than one block of the index holds.
#[test]
fn rules_beyond_the_first_block_are_found() {
    let rule = |index: usize| Rule {
        to: to(Operation {
            paths: vec![format!("/{index}")],
            ..Operation::default()
        }),
        ..Rule::default()
    };
    let matcher = compiled((0..3000).map(rule).collect());
    for index in [0, 1023, 1024, 2047, 2048, 2999] {
        let mut sent = Sent::new(&format!("GET /{index}"), "a", &[]);
        let decision = matcher.decide(&Connection::default(), Some(&sent.request()));
        let Reason::Rule(rule) = decision.reason else {
            panic!("{decision:?}");
        };
        assert_eq!(rule.rule, index);
    }
}

/// The first of the rules that came furthest, in whichever block it is.
#[test]
fn the_nearest_rule_is_found_beyond_the_first_block() {
    let rule = |index: usize| Rule {
        to: to(Operation {
            methods: vec![
                if index.is_multiple_of(1500) {
                    "GET"
                } else {
                    "PUT"
                }
                .to_owned(),
            ],
            paths: vec![format!("/{index}")],
            ..Operation::default()
        }),
        ..Rule::default()
    };
    let mut sent = Sent::new("GET /", "a", &[]);
    let request = sent.request();
    for (rules, expected) in [(1..3001, 1499), (0..3001, 0), (1..1400, 0)] {
        let matcher = compiled(rules.map(rule).collect());
        let nearest = matcher.nearest(&Connection::default(), Some(&request));
        assert_eq!(nearest.map(|rule| rule.rule), Some(expected));
    }
    let mut rules: Vec<_> = (1..3001).map(rule).collect();
    rules.push(Rule::default());
    let matcher = compiled(rules);
    assert_eq!(
        matcher.nearest(&Connection::default(), Some(&request)),
        None
    );
}
