use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use underseal::{Direction, Engine};
use underseal_http::{Refusal, Version};
use underseal_policy::model::TrafficDirection;
use underseal_policy::{Connection, Labels, Matcher, PolicyFile, load};

use super::exposition_check::{Exposition, check};
use super::*;

/// An ALLOW policy for one port, and where it is `audited`, an AUDIT policy for all of them.
fn policies(name: &str, port: u16, audited: bool) -> Vec<AuthorizationPolicy> {
    let policy = |name: &str, action: &str, rules: &str| {
        format!(
            "apiVersion: underseal/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {{ name: {name} }}\n\
             spec: {{ action: {action}, rules: {rules} }}\n"
        )
    };
    let ports = format!("[{{ to: [{{ operation: {{ ports: ['{port}'] }} }}] }}]");
    let mut text = policy(name, "ALLOW", &ports);
    if audited {
        text = format!("{text}---\n{}", policy("every", "AUDIT", "[{}]"));
    }
    load(
        &[PolicyFile {
            name: "p",
            text: &text,
        }],
        &[],
    )
    .expect("policies")
}

fn judge(tally: &Tally, policies: &[AuthorizationPolicy], port: u16) {
    let matcher = Matcher::new(policies, &Labels::new(), TrafficDirection::Ingress).expect("valid");
    let connection = Connection {
        port,
        ..Connection::default()
    };
    tally.decision(&matcher.decide(&connection, None));
}

fn exposed(metrics: &Arc<Metrics>) -> Exposition {
    check(&Arc::clone(metrics).expose().expect("text")).expect("OpenMetrics")
}

#[test]
fn what_workers_count_is_told_as_sums() {
    let metrics = Metrics::new(2);
    let tallies = [metrics.tally(0), metrics.tally(1)];
    for tally in &tallies {
        tally.request(Version::Http11, 200, Duration::from_micros(90));
        tally.request(Version::Http2, 403, Duration::from_millis(3));
        tally.request(Version::Http2, 0, Duration::from_secs(60));
        tally.bytes(Side::Client, Direction::Rx, 10);
        tally.bytes(Side::Backend, Direction::Tx, 7);
        tally.handshake(Side::Client, Handshake::Complete);
        tally.handshake(Side::Backend, Handshake::TimedOut);
        tally.engine(Side::Client, Direction::Tx, Engine::Kernel);
        tally.refused(Refusal::BothLengths);
        tally.backend_error("127.0.0.1:80", "refused");
    }
    let told = exposed(&metrics);
    for (series, expected) in [
        (
            "underseal_requests_total{protocol=\"http1\",code=\"200\"}",
            2.0,
        ),
        (
            "underseal_requests_total{protocol=\"h2\",code=\"403\"}",
            2.0,
        ),
        ("underseal_requests_total{protocol=\"h2\",code=\"0\"}", 2.0),
        (
            "underseal_bytes_total{side=\"client\",direction=\"rx\"}",
            20.0,
        ),
        (
            "underseal_bytes_total{side=\"backend\",direction=\"tx\"}",
            14.0,
        ),
        (
            "underseal_handshakes_total{side=\"client\",result=\"complete\"}",
            2.0,
        ),
        (
            "underseal_handshakes_total{side=\"backend\",result=\"timed-out\"}",
            2.0,
        ),
        (
            "underseal_handshakes_total{side=\"backend\",result=\"failed\"}",
            0.0,
        ),
        (
            "underseal_connections_by_engine_total{side=\"client\",direction=\"tx\",engine=\"kernel\"}",
            2.0,
        ),
        (
            "underseal_refused_requests_total{reason=\"both-lengths\"}",
            2.0,
        ),
        (
            "underseal_backend_errors_total{backend=\"127.0.0.1:80\",kind=\"refused\"}",
            2.0,
        ),
        (
            "underseal_request_duration_seconds_bucket{le=\"0.0001\"}",
            2.0,
        ),
        (
            "underseal_request_duration_seconds_bucket{le=\"0.005\"}",
            4.0,
        ),
        (
            "underseal_request_duration_seconds_bucket{le=\"30.0\"}",
            4.0,
        ),
        (
            "underseal_request_duration_seconds_bucket{le=\"+Inf\"}",
            6.0,
        ),
        ("underseal_request_duration_seconds_count", 6.0),
        ("underseal_request_duration_seconds_sum", 120.00618),
    ] {
        assert_eq!(told.value(series), Some(expected), "{series}");
    }
}

#[test]
fn codes_that_are_none_are_not_a_series_each() {
    let metrics = Metrics::new(1);
    let tally = metrics.tally(0);
    for code in [0, 1, 99, 600, 999, u16::MAX] {
        tally.request(Version::Http11, code, Duration::ZERO);
    }
    tally.request(Version::Http11, 100, Duration::ZERO);
    tally.request(Version::Http11, 599, Duration::ZERO);
    let told = exposed(&metrics);
    let code = |code: &str| {
        told.value(&format!(
            "underseal_requests_total{{protocol=\"http1\",code=\"{code}\"}}"
        ))
    };
    assert_eq!(
        (code("0"), code("100"), code("599")),
        (Some(6.0), Some(1.0), Some(1.0))
    );
    assert_eq!((code("600"), code("99")), (None, None));
}

#[test]
fn open_connections_are_those_that_did_not_end() {
    let metrics = Metrics::new(1);
    let tally = metrics.tally(0);
    let first = tally.connection(Side::Client);
    let second = tally.connection(Side::Client);
    drop(first);
    let open = || exposed(&metrics).value("underseal_connections{side=\"client\"}");
    assert_eq!(open(), Some(1.0));
    drop(second);
    assert_eq!(open(), Some(0.0));
}

const DENIED: &str =
    "underseal_policy_decisions_total{verdict=\"deny\",policy=\"\",rule=\"\",action=\"\"}";

fn allowed(policy: &str) -> String {
    format!(
        "underseal_policy_decisions_total\
         {{verdict=\"allow\",policy=\"{policy}\",rule=\"0\",action=\"ALLOW\"}}"
    )
}

#[test]
fn decisions_are_counted_by_rule_and_audits_apart() {
    let metrics = Metrics::new(2);
    let policies = policies("web", 80, true);
    metrics.set_policies(&policies);
    let tallies = [metrics.tally(0), metrics.tally(1)];
    for tally in &tallies {
        judge(tally, &policies, 80);
        judge(tally, &policies, 80);
        judge(tally, &policies, 81);
        judge(tally, &[], 81);
    }
    let told = exposed(&metrics);
    assert_eq!(told.value(&allowed("web")), Some(4.0));
    assert_eq!(told.value(DENIED), Some(2.0));
    assert_eq!(told.value(&DENIED.replace("deny", "allow")), Some(2.0));
    let audits = "underseal_policy_audits_total{policy=\"every\",rule=\"0\"}";
    assert_eq!(told.value(audits), Some(6.0));
}

#[test]
fn a_reload_forgets_the_rules_that_are_no_more_and_keeps_the_others() {
    let metrics = Metrics::new(1);
    let tally = metrics.tally(0);
    let (old, new) = (policies("old", 80, true), policies("new", 80, true));
    metrics.set_policies(&old);
    judge(&tally, &old, 80);
    metrics.set_policies(&new);
    judge(&tally, &new, 80);
    // A request that was judged by the old ones while they were replaced.
    judge(&tally, &old, 80);
    let told = exposed(&metrics);
    assert_eq!(told.value(&allowed("old")), None);
    assert_eq!(told.value(&allowed("new")), Some(1.0));
    let audits = "underseal_policy_audits_total{policy=\"every\",rule=\"0\"}";
    assert_eq!(told.value(audits), Some(3.0));
    // Back again, and counted from zero.
    metrics.set_policies(&old);
    judge(&tally, &old, 80);
    assert_eq!(exposed(&metrics).value(&allowed("old")), Some(1.0));
}

#[test]
fn reloads_and_hostile_labels_are_told() {
    let metrics = Metrics::new(1);
    metrics.reloaded("policy", Reload::Done);
    metrics.reloaded("policy", Reload::Failed);
    metrics.reloaded("policy", Reload::Failed);
    metrics.tally(0).backend_error("a\"b\\c\nd", "refused");
    let told = exposed(&metrics);
    let reloads = |result| {
        told.value(&format!(
            "underseal_reloads_total{{what=\"policy\",result=\"{result}\"}}"
        ))
    };
    assert_eq!((reloads("done"), reloads("failed")), (Some(1.0), Some(2.0)));
    let series = r#"underseal_backend_errors_total{backend="a\"b\\c\nd",kind="refused"}"#;
    assert_eq!(told.value(series), Some(1.0));
}

type Names<'t> = BTreeSet<&'t str>;

/// What is quoted in each cell of the rows that the operators' page has of metrics.
fn documented() -> Vec<Vec<Vec<&'static str>>> {
    let page = include_str!("../../../../docs/proxy.md");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `underseal_"));
    let quoted = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect();
    rows.map(|row| row.split('|').skip(1).map(quoted).collect())
        .collect()
}

/// The labels of each metric that has a series, and those that have none.
fn labelled(text: &str) -> BTreeMap<String, Option<Names<'_>>> {
    let mut all = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').expect("a type");
            let suffix = if kind == "counter" { "_total" } else { "" };
            last = format!("{name}{suffix}");
            all.insert(last.clone(), None);
        } else if !line.starts_with('#') {
            let labels = line.split(['{', '}']).nth(1).unwrap_or_default();
            let names = labels
                .split(',')
                .filter_map(|label| Some(label.split_once('=')?.0));
            let names: Names<'_> = names.filter(|name| *name != "le").collect();
            all.insert(last.clone(), Some(names));
        }
    }
    all
}

#[test]
fn the_operators_page_knows_every_metric_and_its_labels() {
    let metrics = Metrics::new(1);
    let tally = metrics.tally(0);
    let policies = policies("web", 80, true);
    metrics.set_policies(&policies);
    judge(&tally, &policies, 80);
    tally.request(Version::Http11, 200, Duration::ZERO);
    tally.refused(Refusal::BothLengths);
    tally.backend_error("127.0.0.1:80", "refused");
    metrics.reloaded("policy", Reload::Done);
    #[cfg(feature = "dtls")]
    tally.datagram_dropped("queue");
    let text = Arc::clone(&metrics).expose().expect("text");
    let told = labelled(&text);
    let rows = documented();
    let known: BTreeMap<_, Names<'_>> = rows
        .iter()
        .map(|cells| (cells[0][0], cells[1].iter().copied().collect()))
        .collect();
    assert!(told.keys().eq(known.keys()), "{:?}", told.keys());
    for (name, labels) in told {
        let Some(labels) = labels else { continue };
        assert_eq!(labels, known[&*name], "{name}");
    }
}
