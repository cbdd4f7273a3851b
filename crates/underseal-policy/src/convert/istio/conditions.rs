//! What else must hold.

use super::super::Conversion;
use super::super::block::block;
use super::super::metadata::Metadata;
use super::identities::{has_dot, is_end_with_dot, namespace, of_account, request_principal};
use super::sources::REMOTE;
use crate::condition::Key;
use crate::load::Value;
use crate::model::{Action, Condition};
use crate::pattern::Pattern;

impl Conversion<'_> {
    pub(super) fn istio_condition(
        &mut self,
        value: &Value<'_>,
        action: Action,
        metadata: &Metadata,
    ) -> Condition {
        let mut fields = self.reader.mapping(value, &["key", "values", "notValues"]);
        let Some(key_value) = self.reader.required(value, &mut fields, "key") else {
            return Condition::default();
        };
        if fields.is_empty() {
            self.reader
                .fault(value, "has neither `values` nor `notValues`");
        }
        let written = self.reader.text(&key_value);
        let called = match &*written {
            "remote.ip" => self.options.remote_ip.key().unwrap_or(&written),
            written => written,
        };
        let key = match self.check_key(&written).and_then(|()| Key::parse(called)) {
            Ok(key) => key,
            Err(message) => {
                self.reader.fault(&key_value, message);
                return Condition::default();
            }
        };
        let [values, not_values] = ["values", "notValues"].map(|name| {
            let opens = (action == Action::Allow) == (name == "notValues");
            let list = fields.take(name);
            match key {
                Key::SourceNamespace | Key::SourceServiceAccount => {
                    self.note_dots(list.as_ref(), has_dot);
                }
                Key::SourcePrincipal => self.note_dots(list.as_ref(), is_end_with_dot),
                _ => {}
            }
            self.values(
                list,
                |conversion, text| match &*written {
                    "source.principal" => conversion.options.principals(text, opens),
                    "source.serviceAccount" => of_account(metadata, text, opens),
                    "source.trustDomain" => Ok(conversion.options.trust_domains(text)),
                    "source.namespace" => namespace(text, opens),
                    "request.auth.principal" => Ok(request_principal(text)),
                    "source.ip" | "destination.ip" | "remote.ip" => block(text),
                    "connection.sni" => server_name(text),
                    _ => Ok(vec![text.to_owned()]),
                },
                |text| key.check(text),
            )
        });
        Condition {
            key: called.to_owned(),
            values,
            not_values,
        }
    }

    fn check_key(&self, key: &str) -> Result<(), String> {
        if key.starts_with("experimental.") {
            return Err(format!(
                "not supported: {key}: there are no filters of Envoy"
            ));
        }
        if !self.knows_remote(key) {
            return Err(format!("not supported: {key}: {REMOTE}"));
        }
        let own = [
            "destination.principal",
            "request.query",
            "source.remoteIp",
            "source.labels",
            "destination.labels",
        ];
        let start = key.split('[').next().unwrap_or_default();
        if own.contains(&start) {
            return Err(format!("Istio has no such key: `{key}`"));
        }
        Ok(())
    }
}

/// Server names arrive there in lower case, and are compared as they are written.
fn server_name(text: &str) -> Result<Vec<String>, String> {
    if Pattern::server_name(text)?.to_string() != text {
        return Err(format!("no server name is written so there: `{text}`"));
    }
    Ok(vec![text.to_owned()])
}
