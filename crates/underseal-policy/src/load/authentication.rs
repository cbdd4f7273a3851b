//! From YAML values to which tokens are believed.

use super::values::{Reader, Value};
use crate::condition::Key;
use crate::model::{API_VERSION, AuthenticationSpec, JwtRule, RequestAuthentication, TokenHeader};

impl Reader {
    /// The RequestAuthentication that the document is. It is whole if there are no faults.
    pub(crate) fn authentication(&mut self, document: &Value<'_>) -> RequestAuthentication {
        let mut fields = self.mapping(document, &["apiVersion", "kind", "metadata", "spec"]);
        let kind = "RequestAuthentication";
        for (key, expected) in [("apiVersion", API_VERSION), ("kind", kind)] {
            if let Some(value) = self.required(document, &mut fields, key) {
                self.word(&value, &[(expected, ())]);
            }
        }
        let name = self.name(document, &mut fields);
        let mut spec = AuthenticationSpec::default();
        if let Some(value) = self.required(document, &mut fields, "spec") {
            let mut fields = self.mapping(&value, &["selector", "jwtRules"]);
            spec.selector = fields.take("selector").map(|value| self.selector(&value));
            let rules = self.list(fields.take("jwtRules"));
            spec.jwt_rules = rules.iter().map(|rule| self.jwt_rule(rule)).collect();
        }
        RequestAuthentication::new(name, spec)
    }

    fn jwt_rule(&mut self, value: &Value<'_>) -> JwtRule {
        let known = [
            "issuer",
            "audiences",
            "jwks",
            "jwksFile",
            "fromHeaders",
            "fromParams",
            "fromCookies",
            "spaceDelimitedClaims",
        ];
        let mut fields = self.mapping(value, &known);
        let rule = JwtRule {
            issuer: fields.take("issuer").map(|issuer| self.text(&issuer)),
            audiences: self.texts(fields.take("audiences")),
            jwks: fields.take("jwks").map(|keys| self.key_set(&keys)),
            jwks_file: fields.take("jwksFile").map(|file| self.text(&file)),
            from_headers: self.token_headers(fields.take("fromHeaders")),
            from_params: self.texts(fields.take("fromParams")),
            from_cookies: self.texts(fields.take("fromCookies")),
            space_delimited_claims: self.texts(fields.take("spaceDelimitedClaims")),
        };
        if rule.jwks.is_some() == rule.jwks_file.is_some() {
            self.fault(value, "has either `jwks` or `jwksFile`");
        }
        rule
    }

    /// A set of keys. Whether they can be used is for whoever verifies with them.
    pub(crate) fn key_set(&mut self, value: &Value<'_>) -> String {
        let text = self.text(value);
        let read: Result<serde_json::Value, _> = serde_json::from_str(&text);
        let has_keys =
            read.is_ok_and(|set| set["keys"].as_array().is_some_and(|keys| !keys.is_empty()));
        if !has_keys && !text.is_empty() {
            self.fault(value, "is not a JSON Web Key Set with a key");
        }
        text
    }

    pub(crate) fn token_headers(&mut self, value: Option<Value<'_>>) -> Vec<TokenHeader> {
        let mut headers = Vec::new();
        for item in self.list(value) {
            let mut fields = self.mapping(&item, &["name", "prefix"]);
            let Some(name) = self.required(&item, &mut fields, "name") else {
                continue;
            };
            let text = self.text(&name);
            // What policies may ask for can hold a token.
            let key = format!("request.headers[{text}]");
            if let (false, Err(message)) = (text.is_empty(), Key::parse(&key)) {
                self.fault(&name, message);
            }
            let prefix = fields.take("prefix");
            headers.push(TokenHeader {
                name: text.to_ascii_lowercase(),
                prefix: prefix.map_or_else(String::new, |prefix| self.text(&prefix)),
            });
        }
        headers
    }
}
