//! Istio's RequestAuthentication: which tokens are believed. Keys come from files that are named
//! with their address, as none are fetched.

use super::Conversion;
use crate::convert::metadata::Metadata;
use crate::load::{Fields, Value};
use crate::model::{AuthenticationSpec, JwtRule, RequestAuthentication};

impl Conversion<'_> {
    /// One for each target.
    pub(in crate::convert) fn authentications<'n>(
        &mut self,
        document: &Value<'n>,
        fields: &mut Fields<'n>,
        metadata: &Metadata,
    ) -> Vec<RequestAuthentication> {
        let Some(value) = self.reader.required(document, fields, "spec") else {
            return Vec::new();
        };
        let known = ["selector", "targetRef", "targetRefs", "jwtRules"];
        let mut fields = self.reader.mapping(&value, &known);
        let targets = self.targets(&value, &mut fields, metadata);
        let rules = self.reader.list(fields.take("jwtRules"));
        let jwt_rules: Vec<_> = rules.iter().map(|rule| self.token_rule(rule)).collect();
        if metadata.dry_run {
            self.reader
                .fault(document, "Istio tries no RequestAuthentication");
        }
        let authentication = |(suffix, selector)| {
            let name = format!("{}{suffix}", metadata.origin.full_name());
            let spec = AuthenticationSpec {
                selector,
                jwt_rules: jwt_rules.clone(),
            };
            RequestAuthentication::new(name, spec)
        };
        targets.into_iter().map(authentication).collect()
    }

    fn token_rule(&mut self, value: &Value<'_>) -> JwtRule {
        let known = [
            "issuer",
            "audiences",
            "jwks",
            "jwksUri",
            "jwks_uri",
            "fromHeaders",
            "fromParams",
            "fromCookies",
            "forwardOriginalToken",
            "timeout",
            "spaceDelimitedClaims",
        ];
        let mut fields = self.reader.mapping(value, &known);
        let issuer = fields
            .take("issuer")
            .map(|issuer| self.reader.text(&issuer));
        let audiences = fields.take("audiences");
        if let Some(list) = &audiences {
            let message = "an audience is compared letter by letter, and there without `https://`, \
                           `http://` and a slash at the end";
            self.narrow(list, message);
        }
        let address = fields.take("jwksUri").or_else(|| fields.take("jwks_uri"));
        let mut rule = JwtRule {
            audiences: self.reader.texts(audiences),
            jwks: fields.take("jwks").map(|keys| self.reader.key_set(&keys)),
            from_headers: self.reader.token_headers(fields.take("fromHeaders")),
            from_params: self.reader.texts(fields.take("fromParams")),
            from_cookies: self.reader.texts(fields.take("fromCookies")),
            space_delimited_claims: self.reader.texts(fields.take("spaceDelimitedClaims")),
            ..JwtRule::default()
        };
        if rule.jwks.is_none() {
            // Without an address Istio asks the issuer for it.
            let place = address.clone().unwrap_or_else(|| value.clone());
            let address = address.map(|address| self.reader.text(&address));
            let address = address.or_else(|| issuer.clone()).unwrap_or_default();
            rule.jwks_file = self.options.jwks.get(&address).cloned();
            if rule.jwks_file.is_none() && !address.is_empty() {
                let message = format!("keys are not fetched: give `--jwks {address}=FILE`");
                self.reader.fault(&place, message);
            }
        }
        rule.issuer = issuer;
        self.note_forwarding(value, fields.take("forwardOriginalToken"));
        rule
    }

    /// The token goes on to the workload here, and there where it is asked for.
    fn note_forwarding(&mut self, rule: &Value<'_>, asked: Option<Value<'_>>) {
        let goes_on = match &asked {
            Some(asked) => self.reader.boolean(asked),
            None => Some(false),
        };
        if goes_on == Some(false) {
            let message = "the token goes on to the workload, which it does not there";
            self.note(asked.as_ref().unwrap_or(rule), message);
        }
    }
}
