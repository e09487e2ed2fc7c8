//! Reads the files of a project as trees with places, and lays one tree over the other.

use super::place::{Sources, Span};
use super::problem::{Problem, Problems};
use serde_spanned::Spanned;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// A file's content: a table whose keys and values know their place.
pub type Tree<'text> = DeTable<'text>;

/// Reads one file. `offset` is what `Sources::add` gave for it. `None`: it has slips of syntax, now in `problems`.
pub fn parse<'text>(text: &'text str, offset: usize, problems: &mut Problems) -> Option<Tree<'text>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut told_line = None;
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        // One slip makes several errors on its line: the first one tells it.
        let line = text.bytes().take(span.start).filter(|&byte| byte == b'\n').count();
        if told_line.replace(line) == Some(line) {
            continue;
        }
        let message = error.message().trim_end();
        let message = message.split_once('\n').map_or(message, |(first, _)| first);
        problems.add(Problem::at(span.start + offset..span.end + offset, format!("not valid TOML: {message}")));
    }
    errors.is_empty().then(|| shift_table(table.into_inner(), offset))
}

/// Tables merge key by key; everything else is replaced by what lies above.
pub fn lay_over<'text>(below: &mut Tree<'text>, above: Tree<'text>) {
    for (key, value) in above {
        let merged = match (below.remove(key.get_ref().as_ref()), value) {
            (Some(mut old), new) if old.get_ref().is_table() && new.get_ref().is_table() => {
                if let (DeValue::Table(old), DeValue::Table(new)) = (old.get_mut(), new.into_inner()) {
                    lay_over(old, new);
                }
                old
            }
            (_, new) => new,
        };
        below.insert(key, merged);
    }
}

/// Where each key of a tree is written, by its path (`services.db.image` as three words).
pub fn key_places(tree: &Tree<'_>) -> BTreeMap<Vec<String>, Span> {
    let mut places = BTreeMap::new();
    collect_places(tree, &[], &mut places);
    places
}

fn collect_places(tree: &Tree<'_>, above: &[String], places: &mut BTreeMap<Vec<String>, Span>) {
    for (key, value) in tree {
        let path: Vec<String> = above.iter().cloned().chain([key.get_ref().to_string()]).collect();
        if let DeValue::Table(inner) = value.get_ref() {
            collect_places(inner, &path, places);
        }
        places.insert(path, key.span());
    }
}

fn shift_table(table: Tree<'_>, offset: usize) -> Tree<'_> {
    let shifted = table.into_iter().map(|(key, value)| {
        let span = key.span().start + offset..key.span().end + offset;
        let key = Spanned::new(span, key.into_inner());
        (key, shift_value(value, offset))
    });
    shifted.collect()
}

fn shift_value(value: Spanned<DeValue<'_>>, offset: usize) -> Spanned<DeValue<'_>> {
    let span = value.span().start + offset..value.span().end + offset;
    let shifted = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shift_table(table, offset)),
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|item| shift_value(item, offset)).collect()),
        other => other,
    };
    Spanned::new(span, shifted)
}

/// Reads `texts` (name and content, the lowest first) and lays them over each other. `None`: one of them is not TOML.
pub fn read<'text>(
    texts: &'text [(String, String)],
    sources: &mut Sources,
    problems: &mut Problems,
) -> Option<Tree<'text>> {
    let mut whole = Some(Tree::new());
    for (name, text) in texts {
        let offset = sources.add(name.as_str(), text.clone());
        match (parse(text, offset, problems), &mut whole) {
            (Some(tree), Some(below)) => lay_over(below, tree),
            _ => whole = None,
        }
    }
    whole
}
