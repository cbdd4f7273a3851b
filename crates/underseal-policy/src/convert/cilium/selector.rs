//! What a selector asks of labels.

use crate::convert::Conversion;
use crate::load::Value;

/// How long the value of a label may be (Kubernetes, labels and selectors).
const MAX_VALUE: usize = 63;

/// A label, and what is asked of it.
pub(super) struct Requirement<'n> {
    /// Without the source that Cilium writes before it.
    pub(super) label: String,
    pub(super) place: Value<'n>,
    pub(super) asks: Asks,
}

/// What is asked of a label.
pub(super) enum Asks {
    /// That it is one of these.
    OneOf(Vec<String>),
    /// That it is none of these, or not there.
    NoneOf(Vec<String>),
    Present,
    Absent,
}

impl Conversion<'_> {
    /// What a selector asks for: all of it has to hold.
    pub(super) fn requirements<'n>(&mut self, selector: &Value<'n>) -> Vec<Requirement<'n>> {
        let known = ["matchLabels", "matchExpressions"];
        let mut fields = self.reader.mapping(selector, &known);
        let mut read = Vec::new();
        if let Some(labels) = fields.take("matchLabels") {
            for (label, place) in self.reader.entries(&labels) {
                let value = self.label_value(&place);
                read.extend(self.requirement(label, place, Asks::OneOf(vec![value])));
            }
        }
        if let Some(expressions) = fields.take("matchExpressions") {
            for expression in self.reader.items(&expressions) {
                read.extend(self.expression(&expression));
            }
        }
        read
    }

    fn expression<'n>(&mut self, value: &Value<'n>) -> Option<Requirement<'n>> {
        let mut fields = self.reader.mapping(value, &["key", "operator", "values"]);
        let key = self.reader.required(value, &mut fields, "key")?;
        let operator = self.reader.required(value, &mut fields, "operator")?;
        let label = self.reader.text(&key);
        let listed = self.reader.list(fields.take("values"));
        let values: Vec<_> = listed.iter().map(|item| self.label_value(item)).collect();
        let is_list = !values.is_empty();
        let operators = [("In", 0), ("NotIn", 1), ("Exists", 2), ("DoesNotExist", 3)];
        let (wants_list, asks) = match self.reader.word(&operator, &operators)? {
            0 => (true, Asks::OneOf(values)),
            1 => (true, Asks::NoneOf(values)),
            2 => (false, Asks::Present),
            _ => (false, Asks::Absent),
        };
        if is_list != wants_list {
            let message = if wants_list {
                "has no values"
            } else {
                "has values, and asks for none"
            };
            self.reader.fault(value, message);
            return None;
        }
        self.requirement(&label, value.clone(), asks)
    }

    /// The value of a label. No label has a `*` in it, which here would be a pattern.
    fn label_value(&mut self, value: &Value<'_>) -> String {
        let text = self.reader.text(value);
        let in_value = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if text.len() > MAX_VALUE || !text.bytes().all(in_value) {
            let message = format!("is no value of a label: `{text}`");
            self.reader.fault(value, message);
        }
        text
    }

    fn requirement<'n>(
        &mut self,
        label: &str,
        place: Value<'n>,
        asks: Asks,
    ) -> Option<Requirement<'n>> {
        let label = match label.split_once(':') {
            None => label,
            Some(("k8s" | "any", label)) => label,
            Some((source, _)) => {
                let message = format!("labels of `{source}` cannot be told here");
                self.reader.fault(&place, message);
                return None;
            }
        };
        Some(Requirement {
            label: label.to_owned(),
            place,
            asks,
        })
    }
}
