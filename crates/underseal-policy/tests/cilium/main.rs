//! Policies of Cilium allow nothing here that they deny there: documents that are put together of all
//! that the language has, some of it odd, are judged by what they were converted to and by an
//! interpreter of Cilium's words.

mod authentication;
mod cluster;
mod corpus;
mod documents;

use std::net::IpAddr;

use cluster::{Http, Peer, Pod, Sent, Way};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::{Value, json};
use underseal_http::{ReadOptions, Scratch, http1};
use underseal_policy::model::TrafficDirection;
use underseal_policy::{
    Connection, ConvertOptions, Document, Fact, Labels, Matcher, NamedPort, Outcome, PolicyFile,
    Transport, Verdict, examine,
};

fn options() -> ConvertOptions {
    let names = ["http", "http-80", "http-8080"].into_iter();
    let names = names.map(|name| (name.to_owned(), NamedPort::Tcp(cluster::HTTP)));
    ConvertOptions {
        trust_domain: Some("corp".to_owned()),
        trust_domain_aliases: vec!["old".to_owned()],
        cluster_blocks: vec!["10.0.0.0/8".to_owned()],
        host_blocks: vec!["192.0.2.1".to_owned()],
        named_ports: names.collect(),
        ..ConvertOptions::default()
    }
}

/// The pod that judges.
fn own() -> Pod {
    Pod {
        namespace: "shop".to_owned(),
        account: "own".to_owned(),
        labels: vec![("app".to_owned(), "web".to_owned())],
    }
}

/// What a peer proves and what is known of it here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// All of it.
    All,
    /// An identity of the other trust domain, and all labels.
    Alias,
    /// No labels.
    NoLabels,
    /// Labels, and no identity.
    NoIdentity,
}

/// A policy, and what it was converted to.
struct Judge<'p> {
    policy: &'p Value,
    /// The pod that judges.
    own: Pod,
    document: Document,
    /// Of what arrives, and of what is sent.
    matchers: [Matcher; 2],
}

impl<'p> Judge<'p> {
    /// `None` if it does not convert.
    fn new(policy: &'p Value, own: Pod) -> Option<Self> {
        let document = document(policy);
        let mut labels: Labels = own.labels.iter().cloned().collect();
        for (label, value) in [
            ("io.kubernetes.pod.namespace", &own.namespace),
            ("io.cilium.k8s.policy.serviceaccount", &own.account),
        ] {
            labels.insert(label.to_owned(), value.clone());
        }
        let matchers = [TrafficDirection::Ingress, TrafficDirection::Egress]
            .map(|direction| Matcher::new(&document.policies, &labels, direction).expect("valid"));
        (document.outcome != Outcome::Refused).then_some(Self {
            policy,
            own,
            document,
            matchers,
        })
    }

    /// Asks both about a request; whether there was one to decide on.
    fn judge(&self, way: Way, sent: &Sent, known: Known) -> Result<bool, TestCaseError> {
        let matcher = &self.matchers[usize::from(way == Way::Out)];
        let Some(here) = verdict(matcher, way, sent, known) else {
            return Ok(false);
        };
        let proves = known != Known::NoIdentity;
        let there = cluster::allows(self.policy, &self.own, way, sent, proves);
        prop_assert!(
            there || here == Verdict::Deny,
            "allowed here alone: {:#}\n{known:?} {way:?} {sent:#?}\n{:#?}",
            self.policy,
            self.document.policies
        );
        let is_told = self.document.outcome == Outcome::Narrowed || known != Known::All;
        prop_assert!(
            is_told || !there || here == Verdict::Allow,
            "denied here alone, and not told: {:#}\n{way:?} {sent:#?}\n{:#?}",
            self.policy,
            self.document.policies
        );
        Ok(true)
    }
}

/// What comes of a policy.
fn document(policy: &Value) -> Document {
    let text = policy.to_string();
    let name = "c.yaml";
    let mut documents = examine(&[PolicyFile { name, text: &text }], &options());
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// What is decided here; `None` if the request is refused before, or goes on as another.
fn verdict(matcher: &Matcher, way: Way, sent: &Sent, known: Known) -> Option<Verdict> {
    let (id, ip, labels) = known_of(&sent.peer, known);
    let peer = underseal_policy::Peer {
        principal: id.as_deref().into(),
        ip: Some(ip),
        labels: labels.as_ref(),
    };
    let nobody = underseal_policy::Peer::default();
    let (source, destination) = match way {
        Way::In => (peer, nobody),
        Way::Out => (nobody, peer),
    };
    let connection = Connection {
        source,
        destination,
        port: sent.port,
        transport: match sent.is_udp {
            true => Transport::Udp,
            false => Transport::Tcp,
        },
        sni: Fact::Absent,
        ..Connection::default()
    };
    let Some(http) = &sent.http else {
        return Some(matcher.decide(&connection, None).verdict);
    };
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\n",
        http.method, http.target, http.host
    );
    for (name, value) in &http.fields {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut scratch = Scratch::default();
    let head = http1::read(head.as_bytes(), &ReadOptions::default(), &mut scratch).ok()?;
    let request = head.expect("a whole head").request();
    let path = http.target.split('?').next();
    let is_same =
        request.path() == path.map(str::as_bytes) && request.authority() == http.host.as_bytes();
    is_same.then(|| matcher.decide(&connection, Some(&request)).verdict)
}

fn known_of(peer: &Peer, known: Known) -> (Option<String>, IpAddr, Option<Labels>) {
    let pod = match peer {
        Peer::World(ip) => return (None, *ip, None),
        Peer::Host => return (None, [192, 0, 2, 1].into(), None),
        Peer::Pod(pod) => pod,
    };
    let domain = if known == Known::Alias { "old" } else { "corp" };
    let id = format!("spiffe://{domain}/ns/{}/sa/{}", pod.namespace, pod.account);
    let labels = pod.labels.iter().cloned().collect();
    (
        (known != Known::NoIdentity).then_some(id),
        [10, 0, 0, 7].into(),
        (known != Known::NoLabels).then_some(labels),
    )
}

fn known() -> impl Strategy<Value = Known> {
    prop::sample::select(vec![
        Known::All,
        Known::All,
        Known::Alias,
        Known::NoLabels,
        Known::NoIdentity,
    ])
}

fn http() -> impl Strategy<Value = Http> {
    let select = |values: &[&str]| {
        let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
        prop::sample::select(values)
    };
    let fields = [
        &[][..],
        &[("X-Token", "a")],
        &[("X-Token", "a b")],
        &[("X-Token", "")],
        &[("X-Other", "*"), ("X-Token", "*")],
    ];
    let fields: Vec<Vec<_>> = fields
        .iter()
        .map(|fields| {
            let fields = fields.iter();
            fields
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        })
        .collect();
    (
        select(&["GET", "PUT", "GE", "GETT", "G.T"]),
        select(&[
            "/",
            "/a",
            "/a/",
            "/a/b",
            "/a|b",
            "/b",
            "/ab",
            "/a/x=y/b",
            "/a/b/c",
            "/a?b",
            "/a/b?c=/a",
            "/a]",
            "/A",
            "/a.b",
            "/axb",
            "/a/b/",
            "/{a}",
            "/a*b",
            "/a.html?x",
            "/x?y=.html",
        ]),
        select(&["a.test", "x.a.test", "a.test:80", "axtest", "b"]),
        prop::sample::select(fields),
    )
        .prop_map(|(method, target, host, fields)| Http {
            method,
            target,
            host,
            fields,
        })
}

fn sent() -> impl Strategy<Value = Sent> {
    let labels: Vec<Vec<(String, String)>> = [
        &[][..],
        &[("app", "web")],
        &[("app", "db"), ("tier", "back")],
        &[("io.cilium.k8s.namespace.labels.team", "x"), ("app", "a")],
    ]
    .iter()
    .map(|labels| {
        labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    })
    .collect();
    let pod = (
        prop::sample::select(vec!["shop", "other", "a", "evil"]),
        prop::sample::select(vec!["web", "own", "w"]),
        prop::sample::select(labels),
    );
    let pod = pod.prop_map(|(namespace, account, labels)| {
        Peer::Pod(Pod {
            namespace: namespace.to_owned(),
            account: account.to_owned(),
            labels,
        })
    });
    let world = prop::sample::select(vec!["198.51.100.7", "198.51.7.7", "2001:db8::1"]);
    let world = world.prop_map(|ip| Peer::World(ip.parse().expect("an address")));
    (
        prop_oneof![4 => pod, 2 => world, 1 => Just(Peer::Host)],
        prop::sample::select(vec![80_u16, 8, 81, 443, 1000, cluster::HTTP]),
        prop::bool::weighted(0.3),
        prop::option::weighted(0.8, http()),
    )
        .prop_map(|(peer, port, is_udp, http)| Sent {
            peer,
            port,
            is_udp,
            http: http.filter(|_| !is_udp),
        })
}

fn way() -> impl Strategy<Value = Way> {
    prop::sample::select(vec![Way::In, Way::In, Way::Out])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_cilium_denies_is_denied_and_what_it_allows_is_allowed_or_told(
        policy in documents::policy(),
        requests in prop::collection::vec((way(), sent(), known()), 40),
    ) {
        if let Some(judge) = Judge::new(&policy, own()) {
            for (way, sent, known) in &requests {
                judge.judge(*way, sent, *known)?;
            }
        }
    }
}

/// What Cilium asks a proof for, it asks for however else the peer is allowed.
#[test]
fn a_proof_is_asked_of_a_peer_that_another_item_allows_without_one() {
    let required = json!({ "fromEndpoints": [{}], "authentication": { "mode": "required" } });
    let peer = Peer::Pod(own());
    let pod = |port| Sent {
        peer: peer.clone(),
        port,
        is_udp: false,
        http: None,
    };
    let on = |port: &str| json!([{ "ports": [{ "port": port, "protocol": "TCP" }] }]);
    let with = |item: &Value, key: &str, value: Value| {
        let mut item = item.clone();
        item[key] = value;
        item
    };
    let all = json!({ "fromEntities": ["all"] });
    let disabled = json!({ "mode": "disabled" });
    for (one, other, is_asked, converts) in [
        (required.clone(), all.clone(), true, false),
        (
            required.clone(),
            json!({ "toPorts": on("80") }),
            true,
            false,
        ),
        (
            with(&required, "toPorts", on("80")),
            all.clone(),
            true,
            false,
        ),
        (
            with(&required, "toPorts", on("81")),
            all.clone(),
            false,
            false,
        ),
        (
            with(&required, "toPorts", on("81")),
            with(&all, "toPorts", on("80")),
            false,
            true,
        ),
        (
            required.clone(),
            with(&all, "authentication", disabled.clone()),
            true,
            false,
        ),
        (
            required.clone(),
            with(&with(&all, "toPorts", on("80")), "authentication", disabled),
            false,
            false,
        ),
        (required, json!({ "fromEntities": ["host"] }), true, true),
    ] {
        let policy = json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": { "name": "p", "namespace": "shop" },
            "spec": { "endpointSelector": {}, "ingress": [one, other] },
        });
        assert!(cluster::allows(&policy, &own(), Way::In, &pod(80), true));
        let is_allowed = cluster::allows(&policy, &own(), Way::In, &pod(80), false);
        assert_eq!(is_allowed, !is_asked, "{policy}");
        let judge = Judge::new(&policy, own());
        assert_eq!(judge.is_some(), converts, "{policy}");
        if let Some(judge) = judge {
            for known in [Known::All, Known::NoIdentity] {
                judge
                    .judge(Way::In, &pod(80), known)
                    .unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }
}

#[test]
fn what_cilium_denies_to_documents_of_the_corpus_is_denied_and_what_it_allows_is_told() {
    let (mut documents, mut requests, mut fewest) = (0, 0, usize::MAX);
    for policy in corpus::files()
        .iter()
        .flat_map(|path| corpus::policies(path))
    {
        if document(&policy).outcome == Outcome::Refused {
            continue;
        }
        let mut decided = 0;
        for spec in corpus::specs(&policy) {
            let own = corpus::own(&policy, spec);
            let judge = Judge::new(&policy, own).expect("it converts");
            for way in [Way::In, Way::Out] {
                for sent in corpus::asked(&policy, spec, way) {
                    for known in [Known::All, Known::Alias, Known::NoLabels, Known::NoIdentity] {
                        let is_decided = judge.judge(way, &sent, known);
                        decided +=
                            usize::from(is_decided.unwrap_or_else(|error| panic!("{error}")));
                    }
                }
            }
        }
        documents += 1;
        requests += decided;
        fewest = fewest.min(decided);
    }
    println!("{documents} documents, {requests} requests, {fewest} at least of one");
    assert!(documents >= 10 && fewest >= 40, "{documents} {fewest}");
}

/// Most of what is put together has to be judged, or the test above says little.
#[test]
fn enough_of_what_is_put_together_converts() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut kept = 0;
    for _ in 0..500 {
        let policy = documents::policy()
            .new_tree(&mut runner)
            .expect("a policy")
            .current();
        kept += usize::from(document(&policy).outcome != Outcome::Refused);
    }
    println!("{kept} of 500 convert");
    assert!(kept > 100, "{kept} of 500");
}
