//! Policies of Istio decide here as they decide there: each document of the corpus is judged by what
//! it was converted to and by an interpreter of Istio's words, on requests at the edges of its values.

mod edges;
mod mesh;

use std::path::{Path, PathBuf};

use edges::Change;
use mesh::{Mesh, Sent, Workload};
use serde_json::Value;
use underseal_http::{ReadOptions, Scratch, http1};
use underseal_policy::model::TrafficDirection;
use underseal_policy::{
    Claims, Connection, ConvertOptions, Document, Fact, Labels, Matcher, Outcome, Peer, PolicyFile,
    RemoteIp, Token, Transport, Verdict, examine,
};

const NAMESPACE: &str = "given";

fn mesh() -> Mesh {
    Mesh {
        domains: vec!["corp".to_owned(), "old".to_owned()],
        root_namespace: "istio-system".to_owned(),
    }
}

fn options() -> ConvertOptions {
    ConvertOptions {
        namespace: Some(NAMESPACE.to_owned()),
        trust_domain: Some("corp".to_owned()),
        trust_domain_aliases: vec!["old".to_owned()],
        remote_ip: RemoteIp::Peer,
        ..ConvertOptions::default()
    }
}

/// A document of a file, read by itself.
struct Policy {
    value: Value,
    document: Document,
    matcher: Matcher,
}

/// What came of the requests of a file.
#[derive(Debug, Default)]
struct Tally {
    documents: usize,
    requests: usize,
    fewest: Option<usize>,
    /// Denied here and allowed there, which the report says.
    noted: usize,
    /// Refused before any policy is asked, or told in several ways.
    doubtful: usize,
}

/// The documents of the corpus, and of a directory that an operator names.
fn files() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/istio");
    let given = std::env::var_os("UNDERSEAL_ISTIO_CORPUS").map(PathBuf::from);
    let mut files: Vec<_> = [own]
        .into_iter()
        .chain(given)
        .flat_map(|directory| std::fs::read_dir(directory).expect("a directory"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}

fn policies(path: &Path) -> Vec<Policy> {
    let text = std::fs::read_to_string(path).expect("a file");
    let name = path.display().to_string();
    let file = PolicyFile {
        name: &name,
        text: &text,
    };
    let values: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_default();
    let documents = examine(&[file], &options()).into_iter();
    let both = values.into_iter().zip(documents);
    both.filter_map(|(mut value, document)| {
        if value["kind"] != "AuthorizationPolicy" || document.outcome == Outcome::Refused {
            return None;
        }
        if value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = NAMESPACE.into();
        }
        let matcher = matcher(&document, &workload(&value));
        Some(Policy {
            value,
            document,
            matcher,
        })
    })
    .collect()
}

/// A workload that the policy is for.
fn workload(policy: &Value) -> Workload {
    let spec = &policy["spec"];
    let mut labels: Vec<_> = spec["selector"]["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().expect("a label").to_owned()))
        .collect();
    if let Some(target) = spec["targetRefs"][0]["name"].as_str() {
        let label = "gateway.networking.k8s.io/gateway-name";
        labels.push((label.to_owned(), target.to_owned()));
    }
    let namespace = policy["metadata"]["namespace"].as_str();
    Workload {
        namespace: namespace.expect("a namespace").to_owned(),
        labels,
    }
}

fn matcher(document: &Document, workload: &Workload) -> Matcher {
    let mut labels: Labels = workload.labels.iter().cloned().collect();
    let namespace = workload.namespace.clone();
    labels.insert("io.kubernetes.pod.namespace".to_owned(), namespace);
    Matcher::new(&document.policies, &labels, TrafficDirection::Ingress).expect("valid")
}

/// All values of a policy, by their key: lists of texts, wherever they stand.
fn values(value: &Value) -> Vec<(String, String)> {
    let texts = |list: &Value| {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for rule in value["spec"]["rules"].as_array().into_iter().flatten() {
        for (part, item) in [("from", "source"), ("to", "operation")] {
            for one in rule[part].as_array().into_iter().flatten() {
                for (key, list) in one[item].as_object().into_iter().flatten() {
                    all.extend(texts(list).into_iter().map(|text| (key.clone(), text)));
                }
            }
        }
        for when in rule["when"].as_array().into_iter().flatten() {
            let key = when["key"].as_str().expect("a key");
            for list in [&when["values"], &when["notValues"]] {
                all.extend(texts(list).into_iter().map(|text| (key.to_owned(), text)));
            }
        }
    }
    all
}

/// For each rule and each pair of alternatives a request that should fulfil it.
fn fulfilling(mesh: &Mesh, value: &Value) -> Vec<Sent> {
    let namespace = value["metadata"]["namespace"]
        .as_str()
        .expect("a namespace");
    let none = [Value::Null];
    let alternatives = |rule: &Value, part: &str| match rule[part].as_array() {
        Some(list) if !list.is_empty() => list.clone(),
        _ => none.to_vec(),
    };
    let mut all = vec![edges::plain()];
    for rule in value["spec"]["rules"].as_array().into_iter().flatten() {
        for from in alternatives(rule, "from") {
            for to in alternatives(rule, "to") {
                let mut sent = edges::plain();
                let mut one = serde_json::json!({ "when": rule["when"] });
                if !from.is_null() {
                    one["from"] = Value::from(vec![from.clone()]);
                }
                if !to.is_null() {
                    one["to"] = Value::from(vec![to]);
                }
                let one = serde_json::json!({ "spec": { "rules": [one] } });
                // The first value of a key wins.
                let mut asked: Vec<_> = values(&one).into_iter().rev().collect();
                asked.retain(|(key, _)| !key.starts_with("not"));
                for (key, value) in asked {
                    if let Some(change) = edges::of(mesh, namespace, &key, &value).first() {
                        change.apply(&mut sent);
                    }
                }
                all.push(sent);
            }
        }
    }
    all
}

/// The requests that a policy is asked about: those that fulfil its rules, with each thing of them
/// changed alone, and some with several.
fn asked(mesh: &Mesh, value: &Value) -> Vec<Sent> {
    let namespace = value["metadata"]["namespace"]
        .as_str()
        .expect("a namespace");
    let mut changes = edges::always();
    for (key, value) in values(value) {
        changes.extend(edges::of(mesh, namespace, &key, &value));
    }
    let mut all = Vec::new();
    for sent in fulfilling(mesh, value) {
        all.push(sent.clone());
        for change in &changes {
            let mut sent = sent.clone();
            change.apply(&mut sent);
            all.push(sent);
        }
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for index in 0..200 {
        let mut sent = all[index % all.len()].clone();
        for _ in 0..3 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let place = usize::try_from(random % changes.len() as u64).expect("it fits");
            changes[place].apply(&mut sent);
        }
        all.push(sent);
    }
    all
}

/// What is decided here; `None` if the request is refused before, or goes on as another.
fn verdict(matcher: &Matcher, sent: &Sent, unknown: &[&str]) -> Option<Verdict> {
    let is_known = |fact: &str| !unknown.contains(&fact);
    let claims = sent.claims.clone().map(|claims| match claims {
        Value::Object(claims) => Claims::new(claims, &[]),
        other => panic!("no token says {other}"),
    });
    let connection = Connection {
        transport: Transport::Tcp,
        source: Peer {
            principal: match is_known("source") {
                true => sent.source.as_deref().into(),
                false => Fact::Unknown,
            },
            ip: is_known("ip").then_some(sent.source_ip),
            ..Peer::default()
        },
        destination: Peer {
            ip: is_known("destination").then_some(sent.destination_ip),
            ..Peer::default()
        },
        port: sent.port,
        sni: match is_known("sni") {
            true => sent.sni.as_deref().into(),
            false => Fact::Unknown,
        },
        remote_ip: None,
        token: Token::Unknown,
    };
    let Some(http) = &sent.http else {
        return Some(matcher.decide(&connection, None).verdict);
    };
    let connection = Connection {
        token: match &claims {
            _ if !is_known("token") => Token::Unknown,
            None => Token::Absent,
            Some(claims) => Token::Is(claims),
        },
        ..connection
    };
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\n",
        http.method, http.path, http.host
    );
    for (name, value) in &http.fields {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut scratch = Scratch::default();
    let head = http1::read(head.as_bytes(), &ReadOptions::default(), &mut scratch).ok()?;
    let request = head.expect("a whole head").request();
    let goes_on_as_it_is = request.path() == Some(http.path.as_bytes());
    goes_on_as_it_is.then(|| matcher.decide(&connection, Some(&request)).verdict)
}

/// Whether there is something about the request that others may read in another way: it may then be
/// denied here without a note, and never allowed where it is denied there.
fn is_doubtful(sent: &Sent) -> bool {
    let is_of_mesh = |id: &String| {
        let parts: Vec<_> = id.split('/').skip(2).collect();
        matches!(*parts, [_, "ns", _, "sa", _])
    };
    let fields = sent.http.iter().flat_map(|http| &http.fields);
    let names: Vec<_> = fields.map(|(name, _)| name).collect();
    let mut once = names.clone();
    once.dedup();
    !sent.source.iter().all(is_of_mesh) || once.len() != names.len()
}

impl Tally {
    fn judge(&mut self, mesh: &Mesh, policy: &Policy) {
        let workload = workload(&policy.value);
        let values = [policy.value.clone()];
        let mut requests = 0;
        for sent in asked(mesh, &policy.value) {
            let Some(here) = verdict(&policy.matcher, &sent, &[]) else {
                self.doubtful += 1;
                continue;
            };
            requests += 1;
            let there = mesh::allows(mesh, &values, &workload, &sent);
            match (there, here) {
                (true, Verdict::Allow) | (false, Verdict::Deny) => {}
                (true, Verdict::Deny) if policy.document.outcome == Outcome::Narrowed => {
                    self.noted += 1;
                }
                (true, Verdict::Deny) if is_doubtful(&sent) => self.doubtful += 1,
                _ => panic!(
                    "{}: {}: allowed there: {there}, here: {here:?}: {sent:#?}",
                    policy.document.file, policy.document.name
                ),
            }
        }
        self.documents += 1;
        self.requests += requests;
        self.fewest = Some(self.fewest.map_or(requests, |fewest| fewest.min(requests)));
    }
}

#[test]
fn what_istio_denies_is_denied_and_what_it_allows_is_allowed_or_noted() {
    let mesh = mesh();
    let mut tally = Tally::default();
    for path in files() {
        for policy in policies(&path) {
            tally.judge(&mesh, &policy);
        }
    }
    println!("{tally:?}");
    assert!(tally.fewest.is_some_and(|fewest| fewest >= 40), "{tally:?}");
}

/// A fact of a request, and whether a change is of it.
type Known = (&'static str, fn(&Change) -> bool);

/// The facts of a request that may not be known.
fn facts() -> [Known; 5] {
    [
        ("source", |change| matches!(change, Change::Source(_))),
        ("ip", |change| matches!(change, Change::Ip(_))),
        ("destination", |change| {
            matches!(change, Change::Destination(_))
        }),
        ("sni", |change| matches!(change, Change::Sni(_))),
        ("token", |change| {
            matches!(change, Change::Claim(..) | Change::NoToken)
        }),
    ]
}

#[test]
fn what_is_not_known_allows_nothing_that_istio_denies_were_it_known() {
    let mesh = mesh();
    for policy in files().iter().flat_map(|path| policies(path)) {
        let values = [policy.value.clone()];
        let workload = workload(&policy.value);
        let namespace = policy.value["metadata"]["namespace"].as_str();
        let mut changes = edges::always();
        for (key, value) in self::values(&policy.value) {
            let namespace = namespace.expect("a namespace");
            changes.extend(edges::of(&mesh, namespace, &key, &value));
        }
        for sent in fulfilling(&mesh, &policy.value) {
            for (fact, is_of) in facts() {
                if verdict(&policy.matcher, &sent, &[fact]) != Some(Verdict::Allow) {
                    continue;
                }
                for change in changes.iter().filter(|change| is_of(change)) {
                    let mut sent = sent.clone();
                    change.apply(&mut sent);
                    assert!(
                        mesh::allows(&mesh, &values, &workload, &sent),
                        "{}: {}: without {fact}: {sent:#?}",
                        policy.document.file,
                        policy.document.name
                    );
                }
            }
        }
    }
}

#[test]
fn the_policies_of_a_file_together_allow_nothing_that_istio_denies() {
    let mesh = mesh();
    for path in files() {
        let policies = policies(&path);
        let values: Vec<_> = policies.iter().map(|policy| policy.value.clone()).collect();
        for policy in &policies {
            let workload = workload(&policy.value);
            let mut all = policy.document.clone();
            let others = policies.iter().flat_map(|policy| &policy.document.policies);
            all.policies = others.cloned().collect();
            let matcher = matcher(&all, &workload);
            for sent in asked(&mesh, &policy.value) {
                let here = verdict(&matcher, &sent, &[]);
                let there = mesh::allows(&mesh, &values, &workload, &sent);
                assert!(
                    there || here != Some(Verdict::Allow),
                    "{}: allowed here alone: {sent:#?}",
                    path.display()
                );
            }
        }
    }
}
