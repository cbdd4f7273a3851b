//! Who sends a request.

use super::super::Conversion;
use super::super::block::block;
use super::super::metadata::Metadata;
use super::identities::{has_dot, is_end_with_dot, namespace, of_account, request_principal};
use crate::condition::Key;
use crate::load::Value;
use crate::model::{Action, Condition, Source};
use crate::validate::check_value;

const KEYS: [&str; 14] = [
    "principals",
    "notPrincipals",
    "requestPrincipals",
    "notRequestPrincipals",
    "namespaces",
    "notNamespaces",
    "ipBlocks",
    "notIpBlocks",
    "remoteIpBlocks",
    "notRemoteIpBlocks",
    "serviceAccounts",
    "notServiceAccounts",
    "trustDomains",
    "notTrustDomains",
];

/// An alternative of `from`: what its keys say, and what no key of it says.
#[derive(Debug, Default)]
pub(super) struct Sender {
    pub(super) source: Source,
    pub(super) when: Vec<Condition>,
}

impl Conversion<'_> {
    /// The sender, and what no key of it says.
    pub(super) fn istio_from(
        &mut self,
        value: &Value<'_>,
        action: Action,
        metadata: &Metadata,
    ) -> Sender {
        let mut fields = self.reader.mapping(value, &["source"]);
        let Some(value) = self.reader.required(value, &mut fields, "source") else {
            return Sender::default();
        };
        self.reader.check_not_empty(&value);
        let mut fields = self.reader.mapping(&value, &KEYS);
        let lists = KEYS.map(|key| {
            let list = fields.take(key);
            self.source_values(key, list, action, metadata)
        });
        let [
            principals,
            not_principals,
            request_principals,
            not_request_principals,
            namespaces,
            not_namespaces,
            ip_blocks,
            not_ip_blocks,
            remote_blocks,
            not_remote_blocks,
            accounts,
            not_accounts,
            domains,
            not_domains,
        ] = lists;
        let remote = self.options.remote_ip.key().unwrap_or_default();
        let more = [
            ("source.serviceAccount", accounts, not_accounts),
            ("source.trustDomain", domains, not_domains),
            (remote, remote_blocks, not_remote_blocks),
        ];
        let when = more.into_iter().map(|(key, values, not_values)| Condition {
            key: key.to_owned(),
            values,
            not_values,
        });
        let asks = |when: &Condition| !when.values.is_empty() || !when.not_values.is_empty();
        Sender {
            when: when.filter(asks).collect(),
            source: Source {
                principals,
                not_principals,
                request_principals,
                not_request_principals,
                namespaces,
                not_namespaces,
                ip_blocks,
                not_ip_blocks,
            },
        }
    }

    fn source_values(
        &mut self,
        key: &str,
        list: Option<Value<'_>>,
        action: Action,
        metadata: &Metadata,
    ) -> Vec<String> {
        if let (Some(value), false) = (&list, self.knows_remote(key)) {
            let message = format!("not supported: {key}: {REMOTE}");
            self.reader.fault(value, message);
            return Vec::new();
        }
        let called = key.strip_prefix("not").unwrap_or(key);
        let opens = (action == Action::Allow) == (called != key);
        match &*called.to_lowercase() {
            "namespaces" | "serviceaccounts" => self.note_dots(list.as_ref(), has_dot),
            "principals" => self.note_dots(list.as_ref(), is_end_with_dot),
            _ => {}
        }
        let account = Key::SourceServiceAccount;
        let domain = Key::SourceTrustDomain;
        self.values(
            list,
            |conversion, text| match called {
                "namespaces" | "Namespaces" => namespace(text, opens),
                "serviceAccounts" | "ServiceAccounts" => of_account(metadata, text, opens),
                "trustDomains" | "TrustDomains" => Ok(conversion.options.trust_domains(text)),
                "principals" | "Principals" => conversion.options.principals(text, opens),
                "requestPrincipals" | "RequestPrincipals" => Ok(request_principal(text)),
                _ => block(text),
            },
            |text| match called {
                "serviceAccounts" | "ServiceAccounts" => account.check(text),
                "trustDomains" | "TrustDomains" => domain.check(text),
                "remoteIpBlocks" | "RemoteIpBlocks" => check_value("ipBlocks", text),
                _ => check_value(key, text),
            },
        )
    }

    /// Whether `key` is not about an address that other proxies told, or that is whoever connects.
    pub(super) fn knows_remote(&self, key: &str) -> bool {
        let is_remote = key.contains("emoteIp") || key == "remote.ip";
        !is_remote || self.options.remote_ip.key().is_some()
    }
}

/// What it takes to know the address behind a proxy.
pub(super) const REMOTE: &str = "who is behind a proxy is not known; where none stands in front, \
                                 give `--no-trusted-proxies`, and where this proxy trusts the same \
                                 ones, `--trusted-proxies`";
