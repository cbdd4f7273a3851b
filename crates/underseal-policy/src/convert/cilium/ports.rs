//! The ports of `toPorts`.

use crate::convert::Conversion;
use crate::load::Value;
use crate::model::Condition;
use crate::validate::check_value;

/// How many ports a range may hold: each of them is named.
const MAX_RANGE: u16 = 4096;

/// Ports that are asked for alike.
#[derive(Default)]
pub(super) struct Ports {
    /// What carries the connection, if that matters.
    transport: Option<&'static str>,
    pub(super) ports: Vec<String>,
}

impl Ports {
    pub(super) fn is_udp(&self) -> bool {
        self.transport == Some("udp")
    }

    /// What is asked of the connection beside its port.
    pub(super) fn condition(&self) -> Option<Condition> {
        self.transport.map(|transport| Condition {
            key: "connection.transport".to_owned(),
            values: vec![transport.to_owned()],
            ..Condition::default()
        })
    }
}

impl Conversion<'_> {
    /// The ports of a list, by what carries a connection to them.
    pub(super) fn ports(&mut self, list: Option<Value<'_>>) -> Vec<Ports> {
        let mut all: Vec<Ports> = Vec::new();
        for value in self.reader.list(list) {
            let Some(read) = self.port_or_range(&value) else {
                continue;
            };
            match all.iter_mut().find(|own| own.transport == read.transport) {
                Some(own) => own.ports.extend(read.ports),
                None => all.push(read),
            }
        }
        all
    }

    /// A port, or all of a range.
    fn port_or_range(&mut self, value: &Value<'_>) -> Option<Ports> {
        let mut fields = self.reader.mapping(value, &["port", "protocol", "endPort"]);
        let transport = match fields.take("protocol") {
            Some(protocol) => self.protocol(&protocol)?,
            None => None,
        };
        let port = self.reader.required(value, &mut fields, "port")?;
        let end = fields.take("endPort");
        let text = self.reader.text(&port);
        if let Some(name) = name(&text) {
            return match &end {
                Some(_) => self.no_name_in_range(&port, &name),
                None => self.named_port(&port, &name, transport),
            };
        }
        let first = self.number(&port, &text)?;
        let last = match &end {
            Some(end) => self.end_port(end)?,
            None => first,
        };
        if last < first || last - first >= MAX_RANGE {
            let message = format!("a range of ports ends behind its start, and holds {MAX_RANGE}");
            self.reader.fault(end.as_ref().unwrap_or(&port), message);
            return None;
        }
        Some(Ports {
            transport,
            ports: (first..=last).map(|port| port.to_string()).collect(),
        })
    }

    /// What carries the connections of a protocol; `Some(None)` for any.
    fn protocol(&mut self, value: &Value<'_>) -> Option<Option<&'static str>> {
        let text = self.reader.text(value);
        match &*text.to_ascii_uppercase() {
            "TCP" => Some(Some("tcp")),
            "UDP" => Some(Some("udp")),
            "ANY" => Some(None),
            _ => {
                if !text.is_empty() {
                    let message = format!(
                        "not supported: the protocol `{text}`; there are `TCP`, `UDP` and `ANY`"
                    );
                    self.reader.fault(value, message);
                }
                None
            }
        }
    }

    fn end_port(&mut self, value: &Value<'_>) -> Option<u16> {
        let text = self.reader.text(value);
        match name(&text) {
            Some(name) => self.no_name_in_range(value, &name),
            None => self.number(value, &text),
        }
    }

    fn number(&mut self, value: &Value<'_>, text: &str) -> Option<u16> {
        match check_value("ports", text) {
            Ok(()) => text.parse().ok(),
            Err(message) => {
                if !text.is_empty() {
                    self.reader.fault(value, message);
                }
                None
            }
        }
    }

    fn no_name_in_range<T>(&mut self, value: &Value<'_>, name: &str) -> Option<T> {
        let message = format!("a range has no names of ports: `{name}`");
        self.reader.fault(value, message);
        None
    }

    /// The port of a name, which is that of one protocol: under another the cluster finds no port.
    fn named_port(
        &mut self,
        value: &Value<'_>,
        name: &str,
        asked_for: Option<&'static str>,
    ) -> Option<Ports> {
        let message = match self.options.named_ports.get(name).copied() {
            Some(port) if asked_for.is_none_or(|asked_for| asked_for == port.transport()) => {
                return Some(Ports {
                    transport: Some(port.transport()),
                    ports: vec![port.number().to_string()],
                });
            }
            Some(port) => format!(
                "matches nothing: `{name}` is a port of {}; if it is not, give `--named-port {name}=PORT/PROTOCOL`",
                port.transport()
            ),
            None => format!(
                "a port by name, whose number is not known: give `--named-port {name}=PORT/PROTOCOL`"
            ),
        };
        self.reader.fault(value, message);
        None
    }
}

/// The name of a port, in lower case, where it is none by number. As Cilium tells them: `0x50` is a name.
fn name(text: &str) -> Option<String> {
    let is_name = text.bytes().any(|b| b.is_ascii_alphabetic());
    is_name.then(|| text.to_ascii_lowercase())
}
