//! The JSON Schema of a policy file's documents.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use crate::model::{AuthorizationPolicy, RequestAuthentication};

/// A document of a policy file
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its variants are there to be described")]
enum Document {
    /// Who may do what with a workload
    Policy(AuthorizationPolicy),
    /// Which tokens are believed
    Authentication(RequestAuthentication),
}

/// The JSON Schema (draft 2020-12) of one document, for editors and for CI. It says which keys
/// there are and what kind of value each has; [`load`](crate::load()) checks the values too.
pub fn json_schema() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<Document>().to_value()
}
