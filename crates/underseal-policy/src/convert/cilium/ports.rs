//! The ports of `toPorts`.

use crate::convert::Conversion;
use crate::load::Value;
use crate::validate::check_value;

/// How many ports a range may hold: each of them is named.
const MAX_RANGE: u16 = 4096;

impl Conversion<'_> {
    /// A port, or all of a range.
    pub(super) fn ports(&mut self, value: &Value<'_>) -> Vec<String> {
        let mut fields = self.reader.mapping(value, &["port", "protocol", "endPort"]);
        if let Some(protocol) = fields.take("protocol") {
            self.reader.word(&protocol, &[("TCP", ()), ("ANY", ())]);
        }
        let Some(port) = self.reader.required(value, &mut fields, "port") else {
            return Vec::new();
        };
        let first = self.port(&port);
        let Some(end) = fields.take("endPort") else {
            return first.map(|port| port.to_string()).into_iter().collect();
        };
        let (Some(first), Some(last)) = (first, self.port(&end)) else {
            return Vec::new();
        };
        if last < first || last - first >= MAX_RANGE {
            let message = format!("a range of ports ends behind its start, and holds {MAX_RANGE}");
            self.reader.fault(&end, message);
            return Vec::new();
        }
        (first..=last).map(|port| port.to_string()).collect()
    }

    fn port(&mut self, value: &Value<'_>) -> Option<u16> {
        let text = self.reader.text(value);
        match check_value("ports", &text) {
            Ok(()) => text.parse().ok(),
            Err(message) => {
                if !text.is_empty() {
                    self.reader.fault(value, message);
                }
                None
            }
        }
    }
}
