//! Where in which file something was written.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_spanned::Spanned;
use std::borrow::Cow;
use std::ops::Range;

/// Bytes in the texts of all files of a project, laid end to end (`Sources`).
pub type Span = Range<usize>;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent, bound(deserialize = "T: Deserialize<'de>"))]
pub struct Placed<T>(Spanned<T>);

impl<T> Placed<T> {
    pub fn span(&self) -> Span {
        self.0.span()
    }

    pub fn value(&self) -> &T {
        self.0.get_ref()
    }
}

/// In the schema, a placed value is just the value.
impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// One file that was read.
#[derive(Debug)]
pub struct Source {
    /// As people are told it.
    pub name: String,
    pub text: String,
    /// Where its text begins when all texts are laid end to end.
    pub offset: usize,
}

/// The files that were read, in that order; a span in them says which file it is in.
#[derive(Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a file; the result is the offset of its spans.
    pub fn add(&mut self, name: impl Into<String>, text: String) -> usize {
        // One more than the text, so that a span at the very end is still inside.
        let offset = self.0.last().map_or(0, |last| last.offset + last.text.len() + 1);
        self.0.push(Source { name: name.into(), text, offset });
        offset
    }

    /// The file a span lies in, and the span within that file's text (on character boundaries).
    pub fn locate(&self, span: &Span) -> Option<(&Source, Span)> {
        let source = self.0.iter().rev().find(|source| source.offset <= span.start)?;
        let inside = |at: usize| floor_to_character(&source.text, at.saturating_sub(source.offset));
        let start = inside(span.start);
        Some((source, start..inside(span.end).max(start)))
    }

    /// `devenv.toml:12` for a span.
    pub fn file_and_line(&self, span: &Span) -> String {
        let Some((source, span)) = self.locate(span) else { return String::new() };
        let line = source.text[..span.start].bytes().filter(|&byte| byte == b'\n').count() + 1;
        format!("{}:{line}", source.name)
    }

    /// The first file's name.
    pub fn main_name(&self) -> &str {
        self.0.first().map_or("", |source| &source.name)
    }
}

fn floor_to_character(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
