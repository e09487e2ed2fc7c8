//! `docs/config.md`: the reference, from the same types as everything else.

use super::schema::{Shape, allowed_words, project_schema, schema_of, shapes, type_word};
use super::user::SettingsFile;
use serde_json::Value;

const HEAD: &str = "\
# devenv.toml

<!-- Generated from src/config/file.rs and src/config/user.rs: `UPDATE_DOCS=1 cargo test --test docs_config`. -->

Keys at the top level describe the project and its main box, `dev`. `[services.NAME]` takes the keys of a box for one more
box. `devenv.local.toml` beside the file, kept out of git, is laid over it: tables merge key by key, everything else is replaced.

`devenv config check` tells all that is wrong in the files, `devenv config show` the effective values and where each comes from.

Editors complete and check the file with its JSON schema: `devenv config schema > devenv.schema.json`, and as the first line of
`devenv.toml`

```toml
#:schema ./devenv.schema.json
```

(Even Better TOML in VS Code, taplo and tombi elsewhere.)
";

/// The whole page.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let project = project_schema();
    page.push_str("\n## Keys\n\n");
    for shape in shapes(&project, &project) {
        keys(&project, shape, "", &mut page);
    }
    page.push_str("\n# ~/.config/devenv/config.toml\n\n");
    page.push_str("What belongs to a person or a computer, never to a project.\n\n");
    let settings = schema_of::<SettingsFile>();
    for shape in shapes(&settings, &settings) {
        keys(&settings, shape, "", &mut page);
    }
    page
}

fn keys(root: &Value, shape: Shape<'_>, above: &str, page: &mut String) {
    for (key, schema) in shape.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        let all = shapes(root, schema);
        let types: Vec<String> = all.iter().map(|shape| type_text(root, shape)).collect();
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let flat = description.split_whitespace().collect::<Vec<_>>().join(" ");
        page.push_str(&format!("- **`{path}`** ({}): {flat}\n", types.join(" or ")));
        for inner in all {
            inner_keys(root, inner, key, &path, page);
        }
    }
}

/// Keys of a table, or of the tables in a list; the keys of a service are those of `dev`, listed above it already.
fn inner_keys(root: &Value, shape: Shape<'_>, key: &str, path: &str, page: &mut String) {
    if shape.contains_key("properties") {
        keys(root, shape, path, page);
    }
    if let Some(items) = shape.get("items") {
        for item in shapes(root, items) {
            if item.contains_key("properties") {
                keys(root, item, &format!("{path}[]"), page);
            }
        }
    }
    if key != "services"
        && let Some(values) = shape.get("additionalProperties").filter(|values| values.is_object())
    {
        for value in shapes(root, values) {
            if value.contains_key("properties") {
                keys(root, value, &format!("{path}.NAME"), page);
            }
        }
    }
}

fn type_text(root: &Value, shape: Shape<'_>) -> String {
    let words = allowed_words(shape);
    if !words.is_empty() {
        return words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
    }
    let of = |schema: Option<&Value>| {
        let inner: Vec<String> =
            schema.map(|schema| shapes(root, schema)).unwrap_or_default().iter().map(|s| type_text(root, s)).collect();
        inner.join(" or ")
    };
    match type_word(shape) {
        "array" => format!("list of {}", of(shape.get("items"))),
        "object" => "table".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        other => other.to_owned(),
    }
}
