//! The JSON Schema in the repository. `UPDATE_SNAPSHOTS=1` writes it anew.

use std::path::Path;

use serde_json::Value;
use underseal_policy::json_schema;

#[test]
fn the_schema_in_the_repository_is_current() {
    let actual = format!("{:#}\n", json_schema());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &actual).expect("write the schema");
    }
    let kept = std::fs::read_to_string(&path).expect("schema.json");
    assert_eq!(actual, kept, "UPDATE_SNAPSHOTS=1 accepts the new schema");
}

#[test]
fn the_schema_knows_no_key_beside_those_that_load() {
    let schema = json_schema();
    let objects = schema["$defs"].as_object().expect("definitions");
    let mut closed = 0;
    for definition in objects.values().chain([&schema]) {
        if definition["properties"].is_object() {
            assert_eq!(
                definition["additionalProperties"],
                Value::Bool(false),
                "{definition:#}"
            );
            closed += 1;
        }
    }
    assert!(closed >= 9, "{closed} objects");
}
