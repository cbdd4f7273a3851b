//! JSON Schema as far as the schema of policies uses it: a keyword that is not known fails the test.

use serde_json::{Map, Value};

/// Whether `value` is what `schema`, a part of `root`, says.
pub(crate) fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let Some(keywords) = schema.as_object() else {
        return schema.as_bool().expect("a schema");
    };
    let mut keywords_of = keywords.iter();
    keywords_of.all(|(keyword, wanted)| holds(root, keywords, keyword, wanted, value))
}

fn holds(
    root: &Value,
    schema: &Map<String, Value>,
    keyword: &str,
    wanted: &Value,
    value: &Value,
) -> bool {
    let one = |schema: &Value| is_valid(root, schema, value);
    let list = || wanted.as_array().expect("a list").iter();
    let at_least = |len: usize| len as u64 >= wanted.as_u64().expect("a number");
    match keyword {
        "$schema" | "$defs" | "title" | "description" | "default" => true,
        "$ref" => {
            let pointer = wanted.as_str().expect("text").trim_start_matches('#');
            one(root.pointer(pointer).expect("a definition"))
        }
        "const" => value == wanted,
        "enum" => list().any(|one| one == value),
        "anyOf" => list().any(one),
        "oneOf" => list().filter(|schema| one(schema)).count() == 1,
        "not" => !one(wanted),
        "type" if wanted.is_array() => list().any(|kind| is_a(value, kind)),
        "type" => is_a(value, wanted),
        "pattern" => value.as_str().is_none_or(|text| {
            let pattern = regex::Regex::new(wanted.as_str().expect("text"));
            pattern.expect("an expression").is_match(text)
        }),
        "minItems" => value.as_array().is_none_or(|items| at_least(items.len())),
        "minProperties" => value
            .as_object()
            .is_none_or(|object| at_least(object.len())),
        "items" => value.as_array().is_none_or(|items| {
            let mut items = items.iter();
            items.all(|item| is_valid(root, wanted, item))
        }),
        "required" => value.as_object().is_none_or(|object| {
            list().all(|key| object.contains_key(key.as_str().expect("text")))
        }),
        "properties" => value.as_object().is_none_or(|object| {
            let mut known = wanted.as_object().expect("schemas").iter();
            known.all(|(key, schema)| {
                let found = object.get(key);
                found.is_none_or(|found| is_valid(root, schema, found))
            })
        }),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let known = schema.get("properties").and_then(Value::as_object);
            let mut object = object.iter();
            object.all(|(key, found)| {
                let is_known = known.is_some_and(|known| known.contains_key(key));
                is_known || is_valid(root, wanted, found)
            })
        }),
        other => panic!("the validator does not know `{other}`"),
    }
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("text") {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the validator does not know the type `{other}`"),
    }
}
