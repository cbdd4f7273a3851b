//! Whom the labels of a peer stand for: the namespace and the service account are in its SPIFFE ID,
//! the others are known where a mesh tells them.

use super::selector::{Asks, Requirement};
use super::{Section, TrafficDirection};
use crate::condition::Key;
use crate::convert::{Conversion, NAMESPACE_LABEL, Origin};
use crate::load::Value;
use crate::model::Condition;
use crate::validate::check_value;

/// The label of a peer's service account.
const SERVICE_ACCOUNT_LABEL: &str = "io.cilium.k8s.policy.serviceaccount";

/// What labels of a peer's namespace begin with.
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";

/// Who a peer is.
pub(super) struct Identity {
    /// Patterns of its SPIFFE ID.
    pub(super) principals: Vec<String>,
    /// Patterns of the SPIFFE IDs that tell a namespace of the cluster.
    pub(super) told: Vec<String>,
    /// What its labels must be.
    pub(super) labels: Vec<Condition>,
}

/// The names that a peer may have, after all that is asked of them.
#[derive(Default)]
struct Names {
    is_asked: bool,
    /// `None` for any.
    among: Option<Vec<String>>,
}

impl Conversion<'_> {
    /// The peers that a selector stands for.
    pub(super) fn identity(
        &mut self,
        endpoint: &Value<'_>,
        section: &Section,
        origin: &Origin,
    ) -> Option<Identity> {
        let before = self.reader.faults.len();
        let (mut namespaces, mut accounts) = (Names::default(), Names::default());
        let mut labels = Vec::new();
        for requirement in self.requirements(endpoint) {
            match &*requirement.label {
                NAMESPACE_LABEL => self.ask(&mut namespaces, &requirement),
                SERVICE_ACCOUNT_LABEL => self.ask(&mut accounts, &requirement),
                label => {
                    namespaces.is_asked |= label.starts_with(NAMESPACE_LABELS);
                    labels.extend(self.label(&requirement, section));
                }
            }
        }
        if !namespaces.is_asked {
            namespaces.among = origin.namespace.clone().map(|own| vec![own]);
        }
        if !labels.is_empty() {
            let message = "is allowed only where the labels of the peer are known, and denied where \
                           they are not";
            self.narrow(endpoint, message);
        }
        let Some(domains) = self.options.domains() else {
            let message = "a peer has the trust domain of the cluster: give `--trust-domain`";
            self.reader.fault(endpoint, message);
            return None;
        };
        let principals = self.principals_of(endpoint, &domains, &namespaces, &accounts);
        let told = domains
            .iter()
            .map(|domain| format!("spiffe://{domain}/ns/*"));
        let told = told.collect();
        (self.reader.faults.len() == before).then_some(Identity {
            principals,
            told,
            labels,
        })
    }

    /// Takes those names away that a requirement does not have.
    fn ask(&mut self, names: &mut Names, requirement: &Requirement<'_>) {
        names.is_asked = true;
        match &requirement.asks {
            Asks::Present => {}
            Asks::OneOf(values) => {
                for value in values {
                    if let Err(message) = check_value("namespaces", value) {
                        self.reader.fault(&requirement.place, message);
                    }
                }
                match &mut names.among {
                    Some(among) => among.retain(|name| values.contains(name)),
                    None => names.among = Some(values.clone()),
                }
            }
            Asks::NoneOf(_) | Asks::Absent => {
                let message = "not supported: a SPIFFE ID that does not tell this";
                self.reader.fault(&requirement.place, message);
            }
        }
    }

    fn label(&mut self, requirement: &Requirement<'_>, section: &Section) -> Option<Condition> {
        let whose = match section.direction {
            TrafficDirection::Ingress => "source",
            TrafficDirection::Egress => "destination",
        };
        let key = format!("{whose}.labels[{}]", requirement.label);
        if let Err(message) = Key::parse(&key) {
            self.reader.fault(&requirement.place, message);
            return None;
        }
        let any = || vec!["*".to_owned()];
        let (values, not_values) = match &requirement.asks {
            Asks::OneOf(values) => (values.clone(), Vec::new()),
            Asks::NoneOf(values) => (Vec::new(), values.clone()),
            Asks::Present => (any(), Vec::new()),
            Asks::Absent => (Vec::new(), any()),
        };
        Some(Condition {
            key,
            values,
            not_values,
        })
    }

    /// Patterns of the SPIFFE IDs of these accounts in these namespaces.
    fn principals_of(
        &mut self,
        endpoint: &Value<'_>,
        domains: &[&str],
        namespaces: &Names,
        accounts: &Names,
    ) -> Vec<String> {
        let paths = match (&namespaces.among, &accounts.among) {
            (None, None) => vec!["*".to_owned()],
            (None, Some(_)) => {
                let message = "names a service account of no namespace";
                self.reader.fault(endpoint, message);
                return Vec::new();
            }
            (Some(namespaces), None) => namespaces.iter().map(|name| format!("{name}/*")).collect(),
            (Some(namespaces), Some(accounts)) => {
                let each = namespaces.iter().flat_map(|namespace| {
                    let each = accounts.iter();
                    each.map(move |account| format!("{namespace}/sa/{account}"))
                });
                each.collect()
            }
        };
        if paths.is_empty() {
            self.reader.fault(endpoint, "asks for what nobody is");
        }
        let each = domains.iter().flat_map(|domain| {
            let paths = paths.iter();
            paths.map(move |path| format!("spiffe://{domain}/ns/{path}"))
        });
        let principals: Vec<_> = each.collect();
        for principal in &principals {
            if let Err(message) = check_value("principals", principal) {
                self.reader.fault(endpoint, message);
            }
        }
        principals
    }
}
