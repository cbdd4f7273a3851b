//! What policies decide, and what they name as the reason.

#[path = "support/requests.rs"]
mod requests;

use requests::Sent;
use underseal_policy::model::TrafficDirection;
use underseal_policy::{
    Connection, Fact, Labels, Matcher, Peer, PolicyFile, Reason, Transport, Verdict, load,
};

const WEB: Option<&str> = Some("spiffe://corp/ns/shop/sa/web");

/// A connection to port 8080 from 10.1.2.3.
fn from(principal: Option<&str>) -> Connection<'_> {
    Connection {
        source: Peer {
            principal: principal.into(),
            ip: Some([10, 1, 2, 3].into()),
            labels: None,
        },
        port: 8080,
        ..Connection::default()
    }
}

/// Policies `p0`, `p1`, … with these specs, for a workload with the label `app: orders`.
fn matcher(specs: &[&str]) -> Matcher {
    matcher_for(specs, TrafficDirection::Ingress)
}

fn matcher_for(specs: &[&str], direction: TrafficDirection) -> Matcher {
    let documents = specs.iter().enumerate().map(|(index, spec)| {
        let spec = spec.replace('\n', "\n  ");
        format!(
            "---\napiVersion: underseal/v1alpha1\nkind: AuthorizationPolicy\n\
             metadata: {{ name: p{index} }}\nspec:\n  {spec}\n"
        )
    });
    let text: String = documents.collect();
    let file = PolicyFile {
        name: "p.yaml",
        text: &text,
    };
    let policies = load(&[file], &[]).expect("the policies load");
    let labels = Labels::from([("app".to_owned(), "orders".to_owned())]);
    Matcher::new(&policies, &labels, direction).expect("the policies compile")
}

/// Verdict and reason: `allow p0[1] operation.paths`; after a `~` the rule that came nearest.
fn decided(matcher: &Matcher, connection: &Connection<'_>, sent: Option<&mut Sent>) -> String {
    let request = sent.map(Sent::request);
    let decision = matcher.decide(connection, request.as_ref());
    let (found, mark) = match decision.reason {
        Reason::Rule(rule) => (Some(rule), ""),
        Reason::Default => (matcher.nearest(connection, request.as_ref()), "~"),
        Reason::NoPolicy => return format!("{} no policy", decision.verdict.as_str()),
    };
    let rule = found.map_or_else(
        || "nothing".to_owned(),
        |rule| {
            let attribute = rule.attribute.unwrap_or("-");
            format!("{}[{}] {attribute}", rule.policy, rule.rule)
        },
    );
    format!("{} {mark}{rule}", decision.verdict.as_str())
}

fn decided_on(matcher: &Matcher, line: &str) -> String {
    decided(
        matcher,
        &from(WEB),
        Some(&mut Sent::new(line, "orders", &[])),
    )
}

#[test]
fn deny_comes_first_then_allow_then_the_default() {
    let deny = "action: DENY\nrules: [{ to: [{ operation: { paths: ['/admin*'] } }] }]";
    let allow = "rules: [{ to: [{ operation: { methods: [GET] } }] }]";
    let none =
        Matcher::new(&[], &Labels::new(), TrafficDirection::Ingress).expect("nothing is valid");
    assert_eq!(decided_on(&none, "GET /"), "allow no policy");
    let only_deny = matcher(&[deny]);
    assert_eq!(
        decided_on(&only_deny, "GET /admin/x"),
        "deny p0[0] operation.paths"
    );
    assert_eq!(decided_on(&only_deny, "GET /"), "allow no policy");
    let both = matcher(&[allow, deny]);
    assert_eq!(
        decided_on(&both, "GET /admin"),
        "deny p1[0] operation.paths"
    );
    assert_eq!(decided_on(&both, "GET /"), "allow p0[0] operation.methods");
    assert_eq!(decided_on(&both, "POST /"), "deny ~p0[0] operation.methods");
}

#[test]
fn a_path_cannot_get_round_a_rule() {
    let deny = matcher(&["action: DENY\nrules: [{ to: [{ operation: { paths: ['/admin*'] } }] }]"]);
    for path in [
        "/admin",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/x/%2e%2e/admin",
    ] {
        let line = format!("GET {path}");
        assert_eq!(
            decided_on(&deny, &line),
            "deny p0[0] operation.paths",
            "{path}"
        );
    }
}

#[test]
fn an_allow_without_rules_denies_all_and_an_empty_rule_allows_all() {
    assert_eq!(
        decided_on(&matcher(&["action: ALLOW"]), "GET /"),
        "deny ~nothing"
    );
    assert_eq!(
        decided_on(&matcher(&["rules: [{}]"]), "GET /"),
        "allow p0[0] -"
    );
    assert_eq!(
        decided_on(&matcher(&["action: DENY"]), "GET /"),
        "allow no policy"
    );
}

#[test]
fn audit_notes_and_decides_nothing() {
    let audit = matcher(&["action: AUDIT\nrules: [{}]", "action: DENY\nrules: [{}]"]);
    let mut sent = Sent::new("GET /", "a", &[]);
    let decision = audit.decide(&from(None), Some(&sent.request()));
    assert_eq!(decision.verdict, Verdict::Deny);
    assert_eq!(decision.audit.map(|rule| rule.policy), Some("p0"));
    let quiet = matcher(&["action: AUDIT\nrules: [{ from: [{ source: { principals: ['*'] } }] }]"]);
    let decision = quiet.decide(&from(None), Some(&sent.request()));
    assert_eq!((decision.verdict, decision.audit), (Verdict::Allow, None));
}

#[test]
fn only_policies_for_the_workload_and_direction_count() {
    let specs = [
        "selector: { matchLabels: { app: orders } }\naction: DENY\nrules: [{}]",
        "selector: { matchLabels: { app: stock } }\naction: DENY\nrules: [{}]",
        "selector: { matchLabels: { app: orders, tier: x } }\naction: DENY\nrules: [{}]",
        "direction: Egress\naction: DENY\nrules: [{}]",
    ];
    let names = |direction| {
        let matcher = matcher_for(&specs, direction);
        matcher.policies().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(TrafficDirection::Ingress), ["p0"]);
    assert_eq!(names(TrafficDirection::Egress), ["p3"]);
}

#[test]
fn the_nearest_rule_is_the_one_that_held_longest() {
    let nearest = matcher(&["rules:
- from: [{ source: { principals: ['spiffe://corp/ns/shop/sa/app'] } }]
- from: [{ source: { namespaces: [shop] } }]
  to: [{ operation: { methods: [PUT] } }, { operation: { methods: [GET], paths: ['/a'] } }]
- from: [{ source: { namespaces: [shop] } }]
  when: [{ key: 'request.headers[x-env]', values: [prod] }]"]);
    assert_eq!(
        decided_on(&nearest, "GET /b"),
        "deny ~p0[2] request.headers[x-env]"
    );
    let request = &mut Sent::new("GET /b", "a", &[]);
    let stranger = decided(&nearest, &from(Some("spiffe://x/y")), Some(request));
    assert_eq!(stranger, "deny ~p0[0] source.principals");
    let nearest = matcher(&["rules:
- to: [{ operation: { methods: [PUT] } }, { operation: { methods: [GET], paths: ['/a'] } }]"]);
    assert_eq!(
        decided_on(&nearest, "GET /b"),
        "deny ~p0[0] operation.paths"
    );
}

/// What nobody knows fulfils no ALLOW rule and every DENY rule, whether it is asked for or not
/// wanted.
#[test]
fn what_nobody_knows_is_decided_against_the_request() {
    for rule in [
        "to: [{ operation: { paths: ['/a'] } }]",
        "to: [{ operation: { notPaths: ['/a'] } }]",
        "to: [{ operation: { notMethods: [PUT] } }]",
        "to: [{ operation: { notHosts: [a] } }]",
        "when: [{ key: 'request.headers[x]', notValues: [a] }]",
        "from: [{ source: { notIpBlocks: [10.0.0.0/8] } }]",
        "when: [{ key: connection.transport, values: [tcp] }]",
        "when: [{ key: connection.transport, notValues: [udp] }]",
    ] {
        let rules = format!("rules: [{{ {rule} }}]");
        let unknown = Connection::default();
        let allow = matcher(&[&rules]);
        let verdict = allow.decide(&unknown, None).verdict;
        assert_eq!(verdict, Verdict::Deny, "ALLOW {rule}");
        let deny = matcher(&[&format!("action: DENY\n{rules}")]);
        let verdict = deny.decide(&unknown, None).verdict;
        assert_eq!(verdict, Verdict::Deny, "DENY {rule}");
    }
    let deny = matcher(&["action: DENY\nrules: [{ to: [{ operation: { paths: ['/a'] } }] }]"]);
    let mut tunnel = Sent::new("CONNECT a:1", "a:1", &[]);
    let decision = deny.decide(&from(None), Some(&tunnel.request()));
    assert_eq!(decision.verdict, Verdict::Deny, "CONNECT has no path");
}

#[test]
fn a_field_that_comes_twice_is_nobody_s_word() {
    let allow = "rules: [{ when: [{ key: 'request.headers[X-Env]', values: [prod] }] }]";
    let not = "rules: [{ when: [{ key: 'request.headers[x-env]', notValues: [dev] }] }]";
    let verdict = |rules: &str, deny: bool, fields: &[(&str, &str)]| {
        let action = if deny { "action: DENY\n" } else { "" };
        let matcher = matcher(&[&format!("{action}{rules}")]);
        let mut sent = Sent::new("GET /", "a", fields);
        matcher.decide(&from(WEB), Some(&sent.request())).verdict
    };
    let (prod, dev) = (("x-ENV", "prod"), ("x-env", "dev"));
    assert_eq!(verdict(allow, false, &[prod]), Verdict::Allow);
    // A program that joins the lines sees `prod,prod`.
    assert_eq!(verdict(allow, false, &[prod, prod]), Verdict::Deny);
    let joined = "rules: [{ when: [{ key: 'request.headers[x-env]', values: ['prod,dev'] }] }]";
    assert_eq!(verdict(joined, true, &[prod, dev]), Verdict::Deny);
    assert_eq!(verdict(allow, false, &[]), Verdict::Deny);
    assert_eq!(verdict(not, false, &[]), Verdict::Allow);
    for fields in [[prod, dev], [dev, prod]] {
        for rules in [allow, not] {
            for deny in [false, true] {
                assert_eq!(
                    verdict(rules, deny, &fields),
                    Verdict::Deny,
                    "{rules} {deny}"
                );
            }
        }
    }
}

#[test]
fn each_attribute_is_compared() {
    let connection = Connection {
        destination: Peer {
            principal: Fact::Is("spiffe://corp/db"),
            ip: Some("::ffff:192.0.2.7".parse().expect("an address")),
            labels: None,
        },
        transport: Transport::Tcp,
        sni: Fact::Is("Orders.Example.com."),
        ..from(WEB)
    };
    for (rule, holds) in [
        (
            "from: [{ source: { principals: ['spiffe://corp/*'] } }]",
            true,
        ),
        ("from: [{ source: { principals: ['*/sa/web'] } }]", true),
        ("from: [{ source: { principals: ['*'] } }]", true),
        ("from: [{ source: { notPrincipals: ['*'] } }]", false),
        ("from: [{ source: { namespaces: [shop] } }]", true),
        ("from: [{ source: { namespaces: [sho] } }]", false),
        ("from: [{ source: { notNamespaces: ['sh*'] } }]", false),
        ("from: [{ source: { ipBlocks: [10.1.0.0/16] } }]", true),
        ("from: [{ source: { ipBlocks: ['::/0'] } }]", false),
        ("from: [{ source: { notIpBlocks: [10.1.2.3] } }]", false),
        (
            "from: [{ source: { namespaces: [x] } }, { source: { namespaces: [shop] } }]",
            true,
        ),
        (
            "to: [{ operation: { hosts: ['Orders.Example.com:8080'] } }]",
            true,
        ),
        (
            "to: [{ operation: { hosts: ['*.example.com:8080'] } }]",
            true,
        ),
        ("to: [{ operation: { hosts: ['orders.*'] } }]", true),
        (
            "to: [{ operation: { hosts: [orders.example.com] } }]",
            false,
        ),
        (
            "to: [{ operation: { notHosts: [orders.example.com] } }]",
            false,
        ),
        ("when: [{ key: request.query, values: ['*'] }]", true),
        ("when: [{ key: request.query, notValues: ['*'] }]", false),
        ("to: [{ operation: { notHosts: ['*'] } }]", false),
        ("to: [{ operation: { ports: [80, 8080] } }]", true),
        ("to: [{ operation: { notPorts: [8080] } }]", false),
        (
            "to: [{ operation: { methods: [GET], paths: ['/v1/{*}/x'] } }]",
            true,
        ),
        (
            "to: [{ operation: { methods: [GET], notPaths: ['/v1/{**}'] } }]",
            false,
        ),
        ("to: [{ operation: { paths: ['*/x'] } }]", true),
        (
            "when: [{ key: destination.principal, values: ['spiffe://corp/db'] }]",
            true,
        ),
        (
            "when: [{ key: destination.ip, values: [192.0.2.0/24] }]",
            true,
        ),
        (
            "when: [{ key: destination.port, values: ['8080'], notValues: ['8080'] }]",
            false,
        ),
        (
            "when: [{ key: connection.sni, values: ['*.example.com'] }]",
            true,
        ),
        ("when: [{ key: connection.transport, values: [tcp] }]", true),
        (
            "when: [{ key: connection.transport, values: [udp] }]",
            false,
        ),
        (
            "when: [{ key: connection.transport, notValues: [udp] }]",
            true,
        ),
        ("when: [{ key: source.ip, notValues: [10.0.0.0/8] }]", false),
        ("when: [{ key: source.namespace, values: [shop] }]", true),
        (
            "when: [{ key: source.principal, values: ['spiffe://corp/x'] }]",
            false,
        ),
        (
            "when: [{ key: 'request.headers[accept]', values: ['text/*'] }]",
            true,
        ),
        (
            "when: [{ key: 'request.headers[accept]', values: ['*'] }]",
            true,
        ),
        (
            "when: [{ key: 'request.headers[absent]', values: ['*'] }]",
            false,
        ),
        (
            "when: [{ key: 'request.headers[absent]', notValues: ['*'] }]",
            true,
        ),
    ] {
        let matcher = matcher(&[&format!("rules: [{{ {rule} }}]")]);
        let mut sent = Sent::new(
            "GET /v1/7/x?y",
            "ORDERS.example.com.:8080",
            &[("Accept", "text/html")],
        );
        let decision = matcher.decide(&connection, Some(&sent.request()));
        assert_eq!(decision.verdict == Verdict::Allow, holds, "{rule}");
    }
}

#[test]
fn a_model_made_by_hand_is_checked_too() {
    use underseal_policy::model::{AuthorizationPolicy, Operation, Rule, Spec, To};
    let operation = Operation {
        paths: vec!["a".to_owned()],
        ..Operation::default()
    };
    let rule = Rule {
        to: vec![To { operation }],
        ..Rule::default()
    };
    let spec = Spec {
        rules: vec![rule],
        ..Spec::default()
    };
    let policy = AuthorizationPolicy::new("p", spec);
    let faults = Matcher::new(&[policy], &Labels::new(), TrafficDirection::Ingress);
    let faults = faults.expect_err("`a` is no path");
    assert_eq!(faults[0].path, "spec.rules[0].to[0].operation.paths[0]");
}

#[test]
fn the_scheme_of_an_identity_is_no_part_of_its_end() {
    let allow = "rules: [{ from: [{ source: { principals: ['*/sa/web'] } }] }]";
    let not = "rules: [{ from: [{ source: { notPrincipals: ['*/sa/web'] } }] }]";
    let domain = from(Some("spiffe://sa/web"));
    assert_eq!(
        matcher(&[allow]).decide(&domain, None).verdict,
        Verdict::Deny
    );
    assert_eq!(
        matcher(&[not]).decide(&domain, None).verdict,
        Verdict::Allow
    );
    assert_eq!(
        matcher(&[allow]).decide(&from(WEB), None).verdict,
        Verdict::Allow
    );
}

#[test]
fn an_identity_that_can_be_read_in_several_ways_is_decided_against() {
    for (key, value, plain, odd) in [
        (
            "namespace",
            "shop",
            "spiffe://corp/ns/shop/sa/web",
            "spiffe://corp/x/ns/shop/sa/web",
        ),
        (
            "namespace",
            "shop",
            "spiffe://corp/ns/shop/web",
            "spiffe://corp/ns/shop/ns/b/c",
        ),
        (
            "namespace",
            "shop",
            "spiffe://corp/ns/shop/sa/ns",
            "spiffe://corp/ns/ns/shop/web",
        ),
        (
            "namespace",
            "ns",
            "spiffe://corp/ns/ns/sa/web",
            "spiffe://corp/ns/ns/shop/web",
        ),
        (
            "serviceAccount",
            "shop/web",
            "spiffe://corp/ns/shop/sa/web",
            "spiffe://corp/ns/shop/sa/web/x",
        ),
        (
            "serviceAccount",
            "shop/web",
            "spiffe://a/ns/shop/sa/web",
            "spiffe://a/ns/shop/x/sa/web",
        ),
    ] {
        for (action, list) in [
            ("ALLOW", "values"),
            ("ALLOW", "notValues"),
            ("DENY", "values"),
            ("DENY", "notValues"),
        ] {
            let policy = format!(
                "action: {action}\nrules: [{{ when: [{{ key: source.{key}, {list}: [{value}] }}] }}]"
            );
            let matcher = matcher(&[&policy]);
            let odd = matcher.decide(&from(Some(odd)), None).verdict;
            assert_eq!(odd, Verdict::Deny, "{policy}");
            let allows = (action == "ALLOW") == (list == "values");
            let expected = if allows {
                Verdict::Allow
            } else {
                Verdict::Deny
            };
            assert_eq!(
                matcher.decide(&from(Some(plain)), None).verdict,
                expected,
                "{policy}"
            );
        }
    }
}

#[test]
fn labels_of_a_peer_are_compared_where_they_are_known() {
    let rule = |list: &str| {
        format!("rules: [{{ when: [{{ key: 'source.labels[app]', {list}: [web] }}] }}]")
    };
    let labels = |value: &str| Labels::from([("app".to_owned(), value.to_owned())]);
    let (web, other, none) = (labels("web"), labels("other"), Labels::new());
    for (labels, is, is_not) in [
        (None, Verdict::Deny, Verdict::Deny),
        (Some(&web), Verdict::Allow, Verdict::Deny),
        (Some(&other), Verdict::Deny, Verdict::Allow),
        (Some(&none), Verdict::Deny, Verdict::Allow),
    ] {
        let mut connection = from(WEB);
        connection.source.labels = labels;
        assert_eq!(
            matcher(&[&rule("values")])
                .decide(&connection, None)
                .verdict,
            is
        );
        assert_eq!(
            matcher(&[&rule("notValues")])
                .decide(&connection, None)
                .verdict,
            is_not
        );
    }
}

#[test]
fn what_a_template_does_not_take_everywhere_is_decided_against() {
    for (action, path, expected) in [
        ("ALLOW", "/a/b", Verdict::Allow),
        ("ALLOW", "/a/b=c", Verdict::Deny),
        ("ALLOW", "/a/*", Verdict::Deny),
        ("DENY", "/a/b=c", Verdict::Deny),
        ("DENY", "/x", Verdict::Allow),
    ] {
        let policy = format!(
            "action: {action}\nrules: [{{ to: [{{ operation: {{ paths: ['/a/{{*}}'] }} }}] }}]"
        );
        let mut sent = Sent::new(&format!("GET {path}"), "a", &[]);
        let verdict = matcher(&[&policy])
            .decide(&from(WEB), Some(&sent.request()))
            .verdict;
        assert_eq!(verdict, expected, "{action} {path}");
    }
}

#[test]
fn who_is_behind_proxies_is_another_than_who_connects() {
    let connection = |remote: Option<&str>| Connection {
        remote_ip: remote.map(|remote| remote.parse().expect("an address")),
        ..from(None)
    };
    let [allow, deny] = ["ALLOW", "DENY"].map(|action| {
        let rule = "{ when: [{ key: source.remoteIp, values: ['192.0.2.0/24'] }] }";
        matcher(&[&format!("{{ action: {action}, rules: [{rule}] }}")])
    });
    for (remote, allowed, denied) in [
        (Some("192.0.2.1"), Verdict::Allow, Verdict::Deny),
        (Some("::ffff:192.0.2.1"), Verdict::Allow, Verdict::Deny),
        (Some("10.1.2.3"), Verdict::Deny, Verdict::Allow),
        (None, Verdict::Deny, Verdict::Deny),
    ] {
        let verdict = allow.decide(&connection(remote), None).verdict;
        assert_eq!(verdict, allowed, "{remote:?}");
        let verdict = deny.decide(&connection(remote), None).verdict;
        assert_eq!(verdict, denied, "{remote:?}");
    }
}

#[test]
fn a_port_that_nobody_knows_is_decided_against_the_request() {
    let nowhere = Connection {
        port: 0,
        ..from(None)
    };
    for key in ["values", "notValues"] {
        for (action, verdict) in [("ALLOW", Verdict::Deny), ("DENY", Verdict::Deny)] {
            let rule = format!("{{ when: [{{ key: destination.port, {key}: ['8080'] }}] }}");
            let matcher = matcher(&[&format!("{{ action: {action}, rules: [{rule}] }}")]);
            assert_eq!(
                matcher.decide(&nowhere, None).verdict,
                verdict,
                "{action} {key}"
            );
        }
    }
}
