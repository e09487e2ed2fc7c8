//! The JSON schema of a file, from the types of `file` and `user`: for editors, for the reference, and for `check`.

use super::file::ProjectFile;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value};

/// The schema of `devenv.toml` (JSON schema, draft 2020-12).
pub fn project_schema() -> Value {
    schema_of::<ProjectFile>()
}

/// The schema of any of the files.
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(WithoutNull);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// TOML has no null: an optional key is an absent one. Flattened structs close with another word than plain ones.
#[derive(Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if object.remove("unevaluatedProperties").is_some() {
            object.insert("additionalProperties".into(), false.into());
        }
        for word in ["default", "format"] {
            object.remove(word);
        }
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|word| word != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".into(), only);
            }
        }
        let is_null = |choice: &Value| choice.get("type").is_some_and(|word| word == "null");
        if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
            choices.retain(|choice| !is_null(choice));
            if choices.len() == 1
                && let Some(Value::Object(only)) = choices.pop()
            {
                object.remove("anyOf");
                merge_missing(object, only);
            }
        }
    }
}

fn merge_missing(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        into.entry(key).or_insert(value);
    }
}

/// One shape a value may have, with references followed.
pub type Shape<'a> = &'a Map<String, Value>;

/// The shapes that `schema` allows: one, or each of a choice.
pub fn shapes<'a>(root: &'a Value, schema: &'a Value) -> Vec<Shape<'a>> {
    let Some(object) = schema.as_object() else { return Vec::new() };
    if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
        let pointer = reference.trim_start_matches('#');
        return root.pointer(pointer).map(|target| shapes(root, target)).unwrap_or_default();
    }
    let choice = object.get("anyOf").or_else(|| object.get("oneOf")).and_then(Value::as_array);
    match choice {
        Some(choices) => choices.iter().flat_map(|choice| shapes(root, choice)).collect(),
        None => vec![object],
    }
}

/// The type word of a shape: `string`, `integer`, `number`, `boolean`, `array`, `object`.
pub fn type_word<'a>(shape: Shape<'a>) -> &'a str {
    shape.get("type").and_then(Value::as_str).unwrap_or("object")
}

/// The words a string of that shape is limited to; empty: any.
pub fn allowed_words<'a>(shape: Shape<'a>) -> Vec<&'a str> {
    let listed = shape.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(shape.get("const")).filter_map(Value::as_str).collect()
}
