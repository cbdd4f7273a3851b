//! What a document says about itself: its name and namespace, and annotations and labels that change
//! what it means.

use super::{Conversion, Origin};
use crate::load::{Fields, Kind, Location, Value};

/// The metadata of a policy.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub(super) origin: Origin,
    /// Whether what the policy would do is only noted, as `istio.io/dry-run` says.
    pub(super) dry_run: bool,
}

const DRY_RUN: &str = "istio.io/dry-run";

/// What programs write about where an object came from.
const HARMLESS: [&str; 3] = [
    "operator.istio.io/",
    "install.operator.istio.io/",
    "policy.cilium.io/derived-from",
];

impl Conversion<'_> {
    pub(super) fn metadata<'n>(
        &mut self,
        document: &Value<'n>,
        fields: &mut Fields<'n>,
        kind: &Kind<'_>,
    ) -> Metadata {
        let mut read = Metadata::default();
        let Some(metadata) = self.reader.required(document, fields, "metadata") else {
            return read;
        };
        let mut fields = self.reader.any_mapping(&metadata);
        if let Some(name) = self.reader.required(&metadata, &mut fields, "name") {
            read.origin.name = self.reader.text(&name);
            self.name.1 = Location::of(name.node.referenced);
        }
        let namespace = fields.take("namespace");
        let namespace = namespace.map(|namespace| self.reader.text(&namespace));
        if !matches!(kind, Kind::Cilium { clusterwide: true }) {
            read.origin.namespace = namespace.or_else(|| self.options.namespace.clone());
            if read.origin.namespace.is_none() {
                let message = "names no namespace, and is for the one that it is applied in: give \
                               `--namespace`";
                self.reader.fault(&metadata, message);
            }
        }
        for key in ["annotations", "labels"] {
            if let Some(marks) = fields.take(key) {
                self.marks(&marks, key, &mut read.dry_run);
            }
        }
        self.name.0 = read.origin.full_name();
        read
    }

    fn marks(&mut self, marks: &Value<'_>, kind: &str, dry_run: &mut bool) {
        for (key, value) in self.reader.entries(marks) {
            if key == DRY_RUN && kind == "annotations" {
                // As Go reads a boolean; what is none is taken for false there.
                let text = self.reader.text(&value);
                *dry_run = ["1", "t", "T", "true", "TRUE", "True"].contains(&&*text);
                continue;
            }
            let domain = key.split_once('/').map_or("", |(domain, _)| domain);
            let concerns = ["istio.io", "cilium.io"].iter().any(|own| {
                let sub = domain.strip_suffix(own);
                sub.is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
            });
            let harmless = HARMLESS.iter().any(|start| key.starts_with(start));
            if concerns && !harmless {
                let message = format!("not supported: `{key}` may change what the policy means");
                self.reader.fault(&value, message);
            }
        }
    }
}
