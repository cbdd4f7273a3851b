//! Documents that could be taken for something wider than they are: what comes out denies what the
//! original denies, or nothing comes out.

use underseal_policy::model::{Action, TrafficDirection};
use underseal_policy::{Connection, ConvertOptions, Fact, Labels, Matcher, Peer, Verdict, convert};

use crate::requests::Sent;
use crate::{ALLOW, CILIUM, converted, file, has, options, refused};

/// A policy of Cilium with these sections, for the workloads of the namespace `shop`.
fn cilium(sections: &str) -> String {
    let sections = sections.replace('\n', "\n  ");
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
         metadata: {{ name: p, namespace: shop }}\n\
         spec:\n  endpointSelector: {{}}\n  {sections}\n"
    )
}

/// What comes of one peer of `fromEndpoints`.
fn peer(selector: &str) -> String {
    cilium(&format!(
        "ingress: [{{ fromEndpoints: [{{ {selector} }}] }}]"
    ))
}

/// What `text`, converted, decides about a connection of `from`, or about a request on it.
fn verdict(text: &str, from: &str, labels: &Labels, sent: Option<&mut Sent>) -> Verdict {
    let converted = convert(&[file(text)], &options()).expect("converts");
    let own = Labels::from([("io.kubernetes.pod.namespace".to_owned(), "shop".to_owned())]);
    let matcher =
        Matcher::new(&converted.policies, &own, TrafficDirection::Ingress).expect("valid");
    let connection = Connection {
        source: Peer {
            principal: Fact::Is(from),
            labels: Some(labels),
            ip: Some([203, 0, 113, 1].into()),
        },
        port: 80,
        ..Connection::default()
    };
    let request = sent.map(Sent::request);
    matcher.decide(&connection, request.as_ref()).verdict
}

#[test]
fn all_that_is_asked_of_a_label_has_to_hold() {
    const NAMESPACE: &str = "io.kubernetes.pod.namespace";
    let none = Labels::new();
    // Whichever is read last.
    for selector in [
        format!(
            "matchLabels: {{ {NAMESPACE}: a }}, \
             matchExpressions: [{{ key: {NAMESPACE}, operator: In, values: [b] }}]"
        ),
        format!("matchLabels: {{ {NAMESPACE}: a, 'k8s:{NAMESPACE}': b }}"),
    ] {
        has(&refused(&peer(&selector)), "asks for what nobody is");
    }
    let both = format!(
        "matchLabels: {{ {NAMESPACE}: a }}, matchExpressions: [\
         {{ key: {NAMESPACE}, operator: In, values: [b, a] }}, \
         {{ key: {NAMESPACE}, operator: Exists }}]"
    );
    for (from, expected) in [
        ("spiffe://corp/ns/a/sa/x", Verdict::Allow),
        ("spiffe://corp/ns/b/sa/x", Verdict::Deny),
        ("spiffe://corp/ns/shop/sa/x", Verdict::Deny),
    ] {
        assert_eq!(verdict(&peer(&both), from, &none, None), expected, "{from}");
    }
    // A label of the namespace beside its name takes nothing away from the name.
    let labels = ("io.cilium.k8s.namespace.labels.team", "x");
    let has_label = Labels::from([(labels.0.to_owned(), labels.1.to_owned())]);
    let named = [
        format!("{NAMESPACE}: a"),
        format!("{}: {}", labels.0, labels.1),
    ];
    for order in [[0, 1], [1, 0]] {
        let [first, second] = order.map(|place| &named[place]);
        let text = peer(&format!("matchLabels: {{ {first}, {second} }}"));
        let of = |from| verdict(&text, from, &has_label, None);
        assert_eq!(of("spiffe://corp/ns/a/sa/x"), Verdict::Allow, "{text}");
        assert_eq!(of("spiffe://corp/ns/b/sa/x"), Verdict::Deny, "{text}");
    }
}

#[test]
fn a_workload_is_selected_by_one_value_of_each_label() {
    for selector in [
        "matchLabels: { app: a, 'k8s:app': b }",
        "matchLabels: { app: a }, matchExpressions: [{ key: app, operator: In, values: [b] }]",
    ] {
        let text = cilium("ingress: [{}]");
        let text = text.replace(
            "endpointSelector: {}",
            &format!("endpointSelector: {{ {selector} }}"),
        );
        has(&refused(&text), "selected by one value of a label");
    }
}

#[test]
fn a_star_is_no_value_of_a_label() {
    for selector in [
        "matchLabels: { app: '*' }",
        "matchLabels: { io.kubernetes.pod.namespace: '*' }",
        "matchLabels: { io.kubernetes.pod.namespace: 'a*' }",
        "matchLabels: { io.cilium.k8s.policy.serviceaccount: '*' }",
        "matchLabels: { io.cilium.k8s.policy.serviceaccount: 'w*' }",
        "matchExpressions: [{ key: app, operator: In, values: ['*'] }]",
        "matchExpressions: [{ key: app, operator: NotIn, values: ['a*'] }]",
    ] {
        has(&refused(&peer(selector)), "is no value of a label");
    }
    let text = cilium("ingress: [{}]");
    let text = text.replace(
        "endpointSelector: {}",
        "endpointSelector: { matchLabels: { app: '*' } }",
    );
    has(&refused(&text), "is no value of a label");
}

#[test]
fn rules_of_http_allow_nothing_else() {
    let none = Labels::new();
    let from = "spiffe://corp/ns/shop/sa/x";
    for rule in ["{}", "{ path: '.*' }", "{ method: '.*', host: '.+' }"] {
        let ports = "toPorts: [{ ports: [{ port: '80' }], rules: { http: [RULE] } }]";
        let ports = ports.replace("RULE", rule);
        for peers in ["", "fromEndpoints: [{}], "] {
            let text = cilium(&format!("ingress: [{{ {peers}{ports} }}]"));
            assert_eq!(verdict(&text, from, &none, None), Verdict::Deny, "{text}");
            let mut sent = Sent::new("GET /a?b", "c", &[]);
            let http = verdict(&text, from, &none, Some(&mut sent));
            assert_eq!(http, Verdict::Allow, "{text}");
        }
    }
}

#[test]
fn what_denies_has_no_rules_of_http() {
    let rules = "rules: { http: [{ method: GET }] }";
    let text = cilium(&format!(
        "ingressDeny: [{{ fromEndpoints: [{{}}], toPorts: [{{ ports: [{{ port: '80' }}], {rules} }}] }}]"
    ));
    has(
        &refused(&text),
        "toPorts[0].rules: not supported: what denies has no rules",
    );
}

#[test]
fn an_item_of_ports_without_ports_is_not_one_with_all() {
    for ports in [
        "{}",
        "{ rules: { http: [{ method: GET }] } }",
        "{ ports: [] }",
    ] {
        for section in ["ingress", "ingressDeny", "egress"] {
            refused(&cilium(&format!("{section}: [{{ toPorts: [{ports}] }}]")));
        }
    }
    refused(&cilium("ingress: [{ toPorts: [] }]"));
    refused(&cilium(
        "ingress: [{ toPorts: [{ ports: [{ port: '80' }], rules: {} }] }]",
    ));
    refused(&cilium(
        "ingress: [{ toPorts: [{ ports: [{ port: '80' }], rules: { http: [] } }] }]",
    ));
}

#[test]
fn peers_of_one_item_are_of_one_kind() {
    let text = cilium("ingress: [{ fromEndpoints: [{}], fromCIDR: [198.51.100.0/24] }]");
    has(
        &refused(&text),
        "spec.ingress[0]: Cilium takes one kind of peers",
    );
    let text = cilium("egress: [{ toEntities: [all], toCIDRSet: [{ cidr: 198.51.100.0/24 }] }]");
    has(
        &refused(&text),
        "spec.egress[0]: Cilium takes one kind of peers",
    );
}

#[test]
fn an_address_of_ipv4_that_is_written_as_one_of_ipv6_is_none_of_ipv4() {
    for peers in [
        "fromCIDR: ['::ffff:198.51.100.0/120']",
        "fromCIDRSet: [{ cidr: '::ffff:198.51.100.0/120' }]",
        "fromCIDRSet: [{ cidr: 198.51.0.0/16, except: ['::ffff:198.51.100.0/120'] }]",
    ] {
        let text = cilium(&format!("ingress: [{{ {peers} }}]"));
        has(&refused(&text), "an address of IPv4 is not written so");
    }
}

#[test]
fn a_port_has_no_zeros_before_it() {
    // `010` is 8 there.
    for port in [
        "{ port: '010' }",
        "{ port: 010 }",
        "{ port: '80', endPort: 0100 }",
        "{ port: '0' }",
    ] {
        let text = cilium(&format!(
            "ingress: [{{ toPorts: [{{ ports: [{port}] }}] }}]"
        ));
        has(&refused(&text), "expected a port from 1 to 65535");
    }
}

#[test]
fn whoever_may_be_the_one_that_is_denied_is() {
    let deny = cilium(
        "ingress: [{ fromEntities: [all] }]\n\
         ingressDeny: [{ fromEndpoints: [{ matchLabels: { io.kubernetes.pod.namespace: evil } }] }]",
    );
    let aliased = ConvertOptions {
        trust_domain_aliases: vec!["old".to_owned()],
        ..options()
    };
    let converted = convert(&[file(&deny)], &aliased).expect("converts");
    let own = Labels::from([("io.kubernetes.pod.namespace".to_owned(), "shop".to_owned())]);
    let matcher =
        Matcher::new(&converted.policies, &own, TrafficDirection::Ingress).expect("valid");
    assert!(
        converted
            .policies
            .iter()
            .any(|policy| policy.spec.action == Action::Deny)
    );
    for (principal, expected) in [
        (Fact::Is("spiffe://corp/ns/shop/sa/a"), Verdict::Allow),
        (Fact::Is("spiffe://old/ns/shop/sa/a"), Verdict::Allow),
        (Fact::Is("spiffe://corp/ns/evil/sa/a"), Verdict::Deny),
        (Fact::Is("spiffe://old/ns/evil/sa/a"), Verdict::Deny),
        // What tells no namespace may be of that one.
        (Fact::Is("spiffe://corp/evil"), Verdict::Deny),
        (Fact::Is("spiffe://other/ns/shop/sa/a"), Verdict::Deny),
        (Fact::Absent, Verdict::Deny),
        (Fact::Unknown, Verdict::Deny),
    ] {
        let source = Peer {
            principal,
            ..Peer::default()
        };
        let connection = Connection {
            source,
            ..Connection::default()
        };
        let verdict = matcher.decide(&connection, None).verdict;
        assert_eq!(verdict, expected, "{principal:?}");
    }
}

#[test]
fn expressions_that_re2_reads_otherwise_are_refused() {
    for expression in [
        "/[a[b]]",
        "/[a[:alpha:]b&&c]",
        "/a(?x: b)",
        "/a(?u:b)",
        "/a{,1}",
        "/a(?R)",
    ] {
        let text = CILIUM.replace("path: /public", &format!("path: '{expression}'"));
        has(&refused(&text), "http[0].path");
    }
}

#[test]
fn what_templates_do_not_take_is_told_of_expressions() {
    for (expression, is_told) in [
        ("/a/[^/]+", true),
        ("/a/.*/b", true),
        ("/a/.+", true),
        ("/a/.*", false),
        ("/a", false),
    ] {
        let text = CILIUM.replace("path: /public", &format!("path: '{expression}'"));
        let (_, notes) = converted(&text);
        let told = notes
            .iter()
            .any(|note| note.contains("take no `*` and no `=`"));
        assert_eq!(told, is_told, "{expression}: {notes:?}");
    }
}

/// An AuthorizationPolicy of Istio for the namespace `shop`.
fn istio(spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{ name: p, namespace: shop }}\nspec: {{ {spec} }}\n"
    )
}

#[test]
fn the_label_that_stands_for_the_namespace_is_no_label_of_pods() {
    let selector = "selector: { matchLabels: { io.kubernetes.pod.namespace: other } }";
    let text = istio(&format!("{selector}, rules: [{{}}]"));
    has(&refused(&text), "stands for the namespace");
}

#[test]
fn a_dot_in_a_name_is_any_character_there() {
    // Istio makes regular expressions of them.
    for (key, value) in [
        ("namespaces", "a.c"),
        ("serviceAccounts", "x/a.c"),
        ("serviceAccounts", "a.c"),
    ] {
        let source = |key: &str| format!("from: [{{ source: {{ {key}: ['{value}'] }} }}]");
        let not = format!("not{}{}", key[..1].to_uppercase(), &key[1..]);
        for (action, key) in [("DENY", key), ("ALLOW", &not)] {
            let text = istio(&format!("action: {action}, rules: [{{ {} }}]", source(key)));
            has(&refused(&text), "a dot is any character there");
        }
        for (action, key) in [("ALLOW", key), ("DENY", &not)] {
            let text = istio(&format!("action: {action}, rules: [{{ {} }}]", source(key)));
            has(&converted(&text).1, "a dot is any character there");
        }
    }
}

#[test]
fn what_istio_and_cilium_both_have_to_allow_is_not_allowed_by_one() {
    let allows = cilium("ingress: [{ fromEntities: [all] }]");
    let both = |istio: &str| format!("{istio}---\n{allows}");
    let istio = ALLOW.replace("name: a", "name: b");
    has(&refused(&both(&istio)), "both have to allow");
    has(
        &refused(&format!("{allows}---\n{istio}")),
        "both have to allow",
    );
    let everywhere = istio.replace("namespace: shop", "namespace: istio-system");
    has(&refused(&both(&everywhere)), "both have to allow");
    let custom = both(&istio.replace("  rules", "  action: CUSTOM\n  rules"));
    assert_eq!(refused(&custom).len(), 1, "what is refused allows nothing");
    // What denies stands beside, and so does what is for other workloads or the other way.
    for beside in [
        both(&istio.replace("  rules", "  action: DENY\n  rules")),
        both(&istio.replace("namespace: shop", "namespace: other")),
        both(&istio).replace("ingress: [{ from", "egress: [{ to"),
    ] {
        converted(&beside);
    }
}

#[test]
fn a_proof_is_not_lost_where_another_item_asks_for_none() {
    const PROOF: &str = "authentication: { mode: required }";
    let peers = "fromEndpoints: [{ matchLabels: { app: a } }]";
    let port = |port: &str| format!("toPorts: [{{ ports: [{{ port: '{port}' }}] }}]");
    let item = format!("{{ {peers}, {PROOF}, {} }}", port("80"));
    let beside = |other: &str| cilium(&format!("ingress: [{item}, {{ {other} }}]"));
    let error = "spec.ingress[0].authentication.mode: not supported: a proof, where `shop/p`";
    for other in [
        "fromEntities: [all]",
        "fromEntities: [world, cluster]",
        &format!("fromEntities: [all], {}", port("80")),
        &port("80"),
        "fromEntities: [all], authentication: { mode: disabled }",
    ] {
        has(&refused(&beside(other)), error);
    }
    for other in [
        "fromEntities: [world, host]",
        "fromCIDR: [198.51.100.0/24]",
        "fromEndpoints: [{}]",
        &format!("fromEntities: [all], {}", port("81")),
        &format!("{peers}, authentication: {{ mode: disabled }}"),
    ] {
        converted(&beside(other));
    }
    // The items of other documents are read, too, wherever they stand.
    let proof = cilium(&format!("ingress: [{item}]"));
    let all = cilium("ingress: [{ fromEntities: [all] }]").replace("name: p", "name: q");
    let error = "spec.ingress[0].authentication.mode: not supported: a proof, where `shop/q`";
    has(&refused(&format!("{proof}---\n{all}")), error);
    has(&refused(&format!("{all}---\n{proof}")), error);
    let everywhere = all
        .replace("kind: CiliumNetwork", "kind: CiliumClusterwideNetwork")
        .replace(", namespace: shop", "");
    let error = "not supported: a proof, where `q`";
    has(&refused(&format!("{everywhere}---\n{proof}")), error);
    for apart in [
        all.replace("namespace: shop", "namespace: other"),
        all.replace("ingress: [{ from", "egress: [{ to"),
        all.replace("ingress:", "ingressDeny:"),
    ] {
        converted(&format!("{proof}---\n{apart}"));
    }
}

/// Every port of every peer was compared with every other, by its text: a small file took minutes.
#[test]
fn long_ranges_are_looked_at_once() {
    let ranges = |first: u16| {
        let ranges = (0..8).map(|n| {
            let first = first + 4096 * n;
            format!(
                "{{ port: '{first}', endPort: {}, protocol: TCP }}",
                first + 4095
            )
        });
        ranges.collect::<Vec<_>>().join(", ")
    };
    let (peers, all) = (["{}"; 10].join(", "), ["all"; 10].join(", "));
    let text = cilium(&format!(
        "ingress: [{{ fromEndpoints: [{peers}], toPorts: [{{ ports: [{}] }}], \
         authentication: {{ mode: required }} }}, \
         {{ fromEntities: [{all}], toPorts: [{{ ports: [{}] }}] }}]",
        ranges(1),
        ranges(32_769 - 1),
    ));
    has(&refused(&text), "a proof");
}
