//! The JSON Schema of a policy file's documents.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::json;

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
    /// Several documents
    List(List),
    /// An object of another kind, which is passed over
    Other(Other),
}

/// A list of objects, as Kubernetes has them
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "its fields are there to be described")]
struct List {
    /// Whatever the version is
    api_version: String,
    /// `List`, or something that ends so
    #[schemars(regex(pattern = "List$"))]
    kind: String,
    /// The objects
    items: Vec<Document>,
}

/// An object that is no policy
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("not" = another_kind()))]
#[expect(dead_code, reason = "its fields are there to be described")]
struct Other {
    /// Whatever the version is
    api_version: String,
    /// Whatever the kind is
    kind: String,
}

/// What is not passed over, as [`Kind::of`](crate::load::Kind::of) tells it.
fn another_kind() -> serde_json::Value {
    let policies = [
        "AuthorizationPolicy",
        "CiliumNetworkPolicy",
        "CiliumClusterwideNetworkPolicy",
    ];
    let tokens = "RequestAuthentication";
    json!({ "anyOf": [
        { "properties": { "apiVersion": { "pattern": "^underseal(/|$)" } } },
        { "properties": { "kind": { "enum": policies } } },
        { "properties": {
            "apiVersion": { "pattern": r"^security\.istio\.io(/|$)" },
            "kind": { "const": tokens },
        } },
        { "properties": { "kind": { "pattern": "List$" }, "items": { "type": "array" } }, "required": ["items"] },
    ] })
}

/// The JSON Schema (draft 2020-12) of one document, for editors and for CI. It says which keys
/// there are and what kind of value each has; [`load`](crate::load()) checks the values too.
pub fn json_schema() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<Document>().to_value()
}
