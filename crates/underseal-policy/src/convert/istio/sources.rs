//! Who sends a request.

use super::super::Conversion;
use super::super::metadata::Metadata;
use super::block;
use super::identities::{namespace, of_account};
use crate::load::Value;
use crate::model::{Condition, From, Source};
use crate::validate::check_value;

const KEYS: [&str; 12] = [
    "principals",
    "notPrincipals",
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

impl Conversion<'_> {
    /// The sender, and what no key of it says.
    pub(super) fn istio_from(
        &mut self,
        value: &Value<'_>,
        metadata: &Metadata,
    ) -> (From, Vec<Condition>) {
        let mut fields = self.reader.mapping(value, &["source"]);
        let Some(value) = self.reader.required(value, &mut fields, "source") else {
            return (From::default(), Vec::new());
        };
        self.reader.check_not_empty(&value);
        let mut fields = self.reader.mapping(&value, &KEYS);
        let lists = KEYS.map(|key| {
            let list = fields.take(key);
            self.source_values(key, list, metadata)
        });
        let [
            principals,
            mut not_principals,
            namespaces,
            not_namespaces,
            ip_blocks,
            mut not_ip_blocks,
            remote_blocks,
            not_remote_blocks,
            accounts,
            not_accounts,
            domains,
            not_domains,
        ] = lists;
        not_principals.extend(not_accounts.into_iter().chain(not_domains));
        not_ip_blocks.extend(not_remote_blocks);
        let (principals, mut more) = all_of("source.principal", [principals, accounts, domains]);
        let (ip_blocks, more_blocks) = all_of("source.ip", [ip_blocks, remote_blocks, Vec::new()]);
        more.extend(more_blocks);
        let source = Source {
            principals,
            not_principals,
            namespaces,
            not_namespaces,
            ip_blocks,
            not_ip_blocks,
        };
        (From { source }, more)
    }

    fn source_values(
        &mut self,
        key: &str,
        list: Option<Value<'_>>,
        metadata: &Metadata,
    ) -> Vec<String> {
        if let (Some(value), false) = (&list, self.knows_remote(key)) {
            let message = format!("not supported: {key}: {REMOTE}");
            self.reader.fault(value, message);
            return Vec::new();
        }
        let (called, as_key) = match key {
            "namespaces" | "notNamespaces" => (key, "namespaces"),
            "ipBlocks" | "notIpBlocks" | "remoteIpBlocks" | "notRemoteIpBlocks" => {
                (key, "ipBlocks")
            }
            _ => (key, "principals"),
        };
        self.values(
            list,
            |conversion, text| match called {
                "namespaces" | "notNamespaces" => namespace(text),
                "serviceAccounts" | "notServiceAccounts" => of_account(metadata, text),
                "trustDomains" | "notTrustDomains" => conversion.options.of_domain(text),
                "principals" | "notPrincipals" => conversion.options.principals(text),
                _ => block(text),
            },
            |text| check_value(as_key, text),
        )
    }

    /// Whether `key` is not about an address that other proxies told, or that is whoever connects.
    pub(super) fn knows_remote(&self, key: &str) -> bool {
        let is_remote = key.contains("emoteIp") || key == "remote.ip";
        !is_remote || self.options.no_trusted_proxies
    }
}

/// What it takes to know the address behind a proxy.
pub(super) const REMOTE: &str = "who is behind a proxy is not known; where none stands in front, \
                                 give `--no-trusted-proxies`";

/// The lists that must hold all: one for the key itself, and conditions on `key` for the others.
fn all_of(key: &str, lists: [Vec<String>; 3]) -> (Vec<String>, Vec<Condition>) {
    let mut lists = lists.into_iter().filter(|list| !list.is_empty());
    let first = lists.next().unwrap_or_default();
    let more = lists.map(|values| Condition {
        key: key.to_owned(),
        values,
        ..Condition::default()
    });
    (first, more.collect())
}
