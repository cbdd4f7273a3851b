//! The sums over all workers, as OpenMetrics text.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelValue, LabelValueEncoder, NoLabelSet, text as openmetrics,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use underseal::{Direction, Engine};
use underseal_policy::model::Action;

use super::decisions::RuleKey;
use super::tally::{BOUNDS, Cells, Counter};
use super::{Handshake, Metrics, Side, VERSIONS};

/// `metrics` as of now.
pub(super) fn text(metrics: &Arc<Metrics>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Arc::clone(metrics)));
    let mut text = String::new();
    openmetrics::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.encode_requests(encoder)?;
        self.encode_decisions(encoder)?;
        self.encode_connections(encoder)?;
        self.encode_datagrams(encoder)?;
        self.encode_failures(encoder)
    }
}

impl Metrics {
    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = Family::new(
            "underseal_requests",
            "Requests of HTTP that came to an end; the code is 0 where the client got no answer",
        );
        for (version, protocol) in VERSIONS {
            let mut codes = BTreeMap::<u16, u64>::new();
            let tallies = self.tallies.iter();
            for (code, count) in tallies.flat_map(|cells| cells.requests(version)) {
                *codes.entry(code).or_default() += count;
            }
            for (code, count) in codes.into_iter().filter(|(_, count)| *count > 0) {
                let labels = [("protocol", protocol.into()), ("code", code.into())];
                family.add(labels, count);
            }
        }
        family.encode(encoder)?;
        self.encode_durations(encoder)
    }

    fn encode_durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::MAX]);
        let buckets: Vec<_> = bounds
            .enumerate()
            .map(|(index, bound)| (bound, self.sum(|cells| &cells.durations[index])))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.sum(|cells| &cells.duration_sum_us));
        let help = "Time from the head of a request to the end of its answer";
        encoder
            .encode_descriptor(
                "underseal_request_duration",
                help,
                Some(&Unit::Seconds),
                MetricType::Histogram,
            )?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn encode_decisions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut decisions = Family::new(
            "underseal_policy_decisions",
            "Requests, connections and clients of datagrams that were judged, by the rule that \
             decided; without one, the default did",
        );
        let mut audits = Family::new(
            "underseal_policy_audits",
            "Requests, connections and clients of datagrams that a rule of an AUDIT policy \
             matched first",
        );
        let default = |verdict: &str| {
            let none = || Value::from("");
            let verdict = ("verdict", verdict.into());
            [
                verdict,
                ("policy", none()),
                ("rule", none()),
                ("action", none()),
            ]
        };
        let denied = self.sum(|cells| &cells.decisions.default_deny);
        decisions.add(default("deny"), denied);
        let allowed = self.sum(|cells| &cells.decisions.no_policy);
        decisions.add(default("allow"), allowed);
        for (key, count) in self.rules() {
            let (policy, rule) = (("policy", (*key.policy).into()), ("rule", key.rule.into()));
            let verdict = match key.action {
                Action::Allow => "allow",
                Action::Deny => "deny",
                Action::Audit => {
                    audits.add([policy, rule], count);
                    continue;
                }
            };
            let action = ("action", key.action.as_str().into());
            decisions.add([("verdict", verdict.into()), policy, rule, action], count);
        }
        decisions.encode(encoder)?;
        audits.encode(encoder)
    }

    fn rules(&self) -> BTreeMap<RuleKey, u64> {
        let mut rules = BTreeMap::new();
        for cells in &self.tallies {
            for (key, counter) in &*cells.decisions.rules(&self.loaded) {
                *rules.entry(key.clone()).or_default() += counter.get();
            }
        }
        rules
    }

    fn encode_connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        const DIRECTIONS: [(Direction, &str); 2] = [(Direction::Rx, "rx"), (Direction::Tx, "tx")];
        let mut bytes = Family::new(
            "underseal_bytes",
            "Bytes of bodies, tunnels and datagrams that passed, in plaintext",
        );
        let mut spliced = Family::new(
            "underseal_spliced_bytes",
            "Bytes of underseal_bytes that the kernel moved without a copy into this process",
        );
        let mut handshakes = Family::new("underseal_handshakes", "Handshakes of TLS and DTLS");
        let mut engines = Family::new(
            "underseal_connections_by_engine",
            "Connections of TLS over TCP, by what seals or opens their records after the handshake",
        );
        let mut open = Vec::new();
        for side in Side::ALL {
            let side_label = || ("side", side.as_str().into());
            for (direction, name) in DIRECTIONS {
                let direction_label = || ("direction", name.into());
                let count = self.sum(|cells| cells.bytes(side, direction));
                bytes.add([side_label(), direction_label()], count);
                let count = self.sum(|cells| cells.spliced(side, direction));
                spliced.add([side_label(), direction_label()], count);
                for engine in [Engine::User, Engine::Kernel] {
                    let count = self.sum(|cells| cells.engines(side, direction, engine));
                    let engine = ("engine", engine.to_string().as_str().into());
                    engines.add([side_label(), direction_label(), engine], count);
                }
            }
            for result in Handshake::ALL {
                let count = self.sum(|cells| cells.handshakes(side, result));
                handshakes.add([side_label(), ("result", result.as_str().into())], count);
            }
            // Closed first: a connection that comes and goes in between is not counted twice.
            let closed = self.sum(|cells| &cells.connections(side)[1]);
            let opened = self.sum(|cells| &cells.connections(side)[0]);
            open.push(([side_label()], opened.saturating_sub(closed)));
        }
        bytes.encode(encoder)?;
        spliced.encode(encoder)?;
        handshakes.encode(encoder)?;
        engines.encode(encoder)?;
        let help =
            "Open connections; a client of datagrams, and its socket to a backend, is one, too";
        encode_gauge(encoder, "underseal_connections", help, &open)
    }

    fn encode_datagrams(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut requests = Family::new(
            "underseal_hello_verify_requests",
            "Clients of DTLS that were asked to show that they receive at their address",
        );
        let count = self.sum(|cells| &cells.verify_requests);
        requests.add([("side", Side::Client.as_str().into())], count);
        let mut dropped = Family::new(
            "underseal_dropped_datagrams",
            "Datagrams that are nobody's, did not open, found no room, or came of a client that was \
             refused",
        );
        let mut reasons = BTreeMap::new();
        for cells in &self.tallies {
            for (reason, count) in &*cells.dropped() {
                *reasons.entry(*reason).or_default() += count;
            }
        }
        for (reason, count) in reasons {
            dropped.add([("reason", reason.into())], count);
        }
        requests.encode(encoder)?;
        dropped.encode(encoder)
    }

    fn encode_failures(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut refused = Family::new(
            "underseal_refused_requests",
            "Requests of HTTP that could be read in two ways, or not at all, or had a bad token",
        );
        let mut errors = Family::new(
            "underseal_backend_errors",
            "Failures of backends, by what the command line calls them",
        );
        let (mut reasons, mut kinds) = (BTreeMap::new(), BTreeMap::new());
        for cells in &self.tallies {
            for (reason, count) in &*cells.refused() {
                *reasons.entry(*reason).or_default() += count;
            }
            for (key, count) in &*cells.backend_errors() {
                *kinds.entry(key.clone()).or_default() += count;
            }
        }
        for (reason, count) in reasons {
            refused.add([("reason", reason.into())], count);
        }
        for ((backend, kind), count) in kinds {
            let labels = [("backend", (*backend).into()), ("kind", kind.into())];
            errors.add(labels, count);
        }
        refused.encode(encoder)?;
        errors.encode(encoder)?;
        self.encode_reloads(encoder)
    }

    fn encode_reloads(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Files that were loaded again, or kept as they were because they are invalid";
        let mut family = Family::new("underseal_reloads", help);
        let reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        for ((what, result), count) in &*reloads {
            let labels = [("what", (*what).into()), ("result", result.as_str().into())];
            family.add(labels, *count);
        }
        family.encode(encoder)
    }

    fn sum(&self, counter: impl Fn(&Cells) -> &Counter) -> u64 {
        let counts = self.tallies.iter().map(|cells| counter(cells).get());
        counts.fold(0, u64::wrapping_add)
    }
}

/// Counters of one name.
struct Family<const N: usize> {
    name: &'static str,
    help: &'static str,
    counts: Vec<([(&'static str, Value); N], u64)>,
}

impl<const N: usize> Family<N> {
    fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            counts: Vec::new(),
        }
    }

    fn add(&mut self, labels: [(&'static str, Value); N], count: u64) {
        self.counts.push((labels, count));
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut encoder = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for (labels, count) in &self.counts {
            encoder
                .encode_family(labels)?
                .encode_counter::<NoLabelSet, u64, f64>(count, None)?;
        }
        Ok(())
    }
}

fn encode_gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[([(&'static str, Value); 1], u64)],
) -> fmt::Result {
    let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        let value = i64::try_from(*value).unwrap_or(i64::MAX);
        encoder.encode_family(labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

/// A label's value, escaped as the format wants it, which `prometheus_client` leaves undone.
#[derive(Debug)]
struct Value(String);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        let escaped = text.replace('\\', r"\\").replace('"', "\\\"");
        Self(escaped.replace('\n', r"\n"))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self(number.to_string())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self(number.to_string())
    }
}

impl EncodeLabelValue for Value {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(&self.0)
    }
}
