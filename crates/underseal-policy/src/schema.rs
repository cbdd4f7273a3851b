//! The JSON Schema of a policy file's documents.

use schemars::generate::SchemaSettings;

use crate::model::AuthorizationPolicy;

/// The JSON Schema (draft 2020-12) of one document, for editors and for CI. It says which keys
/// there are and what kind of value each has; [`load`](crate::load()) checks the values too.
pub fn json_schema() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator
        .into_root_schema_for::<AuthorizationPolicy>()
        .to_value()
}
