//! The shape of a file: unknown keys, missing keys, wrong types and words, all of them. What is wrong is cut out of the
//! tree, so that the rest can be read and checked for its meaning.

use super::overlay::Tree;
use super::problem::{Problem, Problems};
use super::schema::{Shape, allowed_words, shapes, type_word};
use serde_json::Value;
use serde_spanned::Spanned;
use toml::de::{DeArray, DeInteger, DeValue};

/// Checks `tree` against a schema and removes what does not fit.
pub fn check_shape(tree: &mut Tree<'_>, schema: &Value, problems: &mut Problems) {
    let mut check = Check { root: schema, problems };
    for shape in shapes(schema, schema) {
        check.table(tree, shape, "");
    }
}

struct Check<'a> {
    root: &'a Value,
    problems: &'a mut Problems,
}

impl Check<'_> {
    /// Whether `value`, found under `path`, fits and may stay.
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &Value, path: &str) -> bool {
        let root = self.root;
        let span = value.span();
        let all = shapes(root, schema);
        let fitting: Vec<Shape<'_>> =
            all.iter().copied().filter(|shape| fits(type_word(shape), value.get_ref())).collect();
        let Some(&shape) = fitting.first() else {
            let what = format!("{} must be {}, not {}", told(path), expected(&all), given(value.get_ref()));
            self.problems.add(Problem::at(span, what).label(format!("expected {}", expected(&all))));
            return false;
        };
        match value.get_mut() {
            DeValue::Table(table) => {
                let complete = self.required(table, shape, path, &span);
                self.table(table, shape, path);
                complete
            }
            DeValue::Array(array) => {
                self.array(array, shape, path);
                true
            }
            DeValue::String(text) => self.word(text, &fitting, path, &span),
            DeValue::Integer(number) => self.range(number, shape, path, &span),
            _ => true,
        }
    }

    fn table(&mut self, table: &mut Tree<'_>, shape: Shape<'_>, path: &str) {
        let known = shape.get("properties").and_then(Value::as_object);
        let other = shape.get("additionalProperties").filter(|other| other.is_object());
        for (key, mut value) in std::mem::take(table) {
            let word: &str = key.get_ref();
            let inner = if path.is_empty() { word.to_owned() } else { format!("{path}.{word}") };
            match known.and_then(|known| known.get(word)).or(other) {
                Some(schema) => {
                    if self.value(&mut value, schema, &inner) {
                        table.insert(key, value);
                    }
                }
                None => {
                    let valid = known.into_iter().flatten().map(|(name, _)| name.as_str());
                    let list =
                        if path.is_empty() { "valid keys".to_owned() } else { format!("valid keys in `{path}`") };
                    let problem = Problem::at(key.span(), format!("unknown key `{word}`"));
                    self.problems.add(problem.suggest(word, valid, &list));
                }
            }
        }
    }

    fn required(&mut self, table: &Tree<'_>, shape: Shape<'_>, path: &str, span: &std::ops::Range<usize>) -> bool {
        let required = shape.get("required").and_then(Value::as_array).into_iter().flatten();
        let missing: Vec<&str> = required.filter_map(Value::as_str).filter(|word| !table.contains_key(*word)).collect();
        for word in &missing {
            let what = format!("{} has no `{word}`", told(path));
            self.problems.add(Problem::at(span.clone(), what).help(format!("add `{word} = …`")));
        }
        missing.is_empty()
    }

    fn array(&mut self, array: &mut DeArray<'_>, shape: Shape<'_>, path: &str) {
        let Some(schema) = shape.get("items") else { return };
        let items = std::mem::replace(array, DeArray::new());
        let inner = format!("each of `{path}`");
        *array =
            items.into_iter().filter_map(|mut item| self.value(&mut item, schema, &inner).then_some(item)).collect();
    }

    fn word(&mut self, text: &str, fitting: &[Shape<'_>], path: &str, span: &std::ops::Range<usize>) -> bool {
        let any = fitting.iter().any(|shape| allowed_words(shape).is_empty());
        let words: Vec<&str> = fitting.iter().flat_map(|shape| allowed_words(shape)).collect();
        if text.contains('\0') {
            self.problems.add(Problem::at(span.clone(), format!("{} holds a NUL character", told(path))));
            return false;
        }
        if any || words.contains(&text) {
            return true;
        }
        let problem = Problem::at(span.clone(), format!("{} cannot be \"{text}\"", told(path)));
        self.problems.add(problem.suggest(text, words.into_iter(), "valid words"));
        false
    }

    fn range(&mut self, number: &DeInteger<'_>, shape: Shape<'_>, path: &str, span: &std::ops::Range<usize>) -> bool {
        let value = i64::from_str_radix(number.as_str(), number.radix()).ok();
        let least = shape.get("minimum").and_then(Value::as_i64).unwrap_or(i64::MIN);
        let most = shape.get("maximum").and_then(Value::as_i64).unwrap_or(i64::MAX);
        if value.is_some_and(|value| (least..=most).contains(&value)) {
            return true;
        }
        let limits = match (least, most) {
            (i64::MIN, _) => "a whole number of 64 bits".to_owned(),
            (least, i64::MAX) => format!("at least {least}"),
            (least, most) => format!("between {least} and {most}"),
        };
        self.problems.add(Problem::at(span.clone(), format!("{} must be {limits}", told(path))));
        false
    }
}

/// A path as people read it.
fn told(path: &str) -> String {
    if path.starts_with("each of") { path.to_owned() } else { format!("`{path}`") }
}

fn fits(word: &str, value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(_) => word == "string",
        DeValue::Integer(_) => matches!(word, "integer" | "number"),
        DeValue::Float(_) => word == "number",
        DeValue::Boolean(_) => word == "boolean",
        DeValue::Datetime(_) => false,
        DeValue::Array(_) => word == "array",
        DeValue::Table(_) => word == "object",
    }
}

fn given(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn expected(all: &[Shape<'_>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for shape in all {
        let name = match type_word(shape) {
            "string" => "a string",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            _ => "a table",
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" or ")
}
