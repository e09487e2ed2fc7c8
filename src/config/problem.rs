//! What is wrong in a file, where, and what to do: collected, then shown together.

use super::place::{Sources, Span};
use crate::model::{Failure, Kind};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Width of the longest line of a list of keys, in characters.
const LIST_WIDTH: usize = 88;

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    what: String,
    /// `None`: in the project's file as a whole.
    span: Option<Span>,
    label: Option<String>,
    help: Vec<String>,
}

impl Problem {
    pub fn at(span: Span, what: impl Into<String>) -> Problem {
        Problem { what: what.into(), span: Some(span), label: None, help: Vec::new() }
    }

    /// Something the file lacks.
    pub fn of_file(what: impl Into<String>) -> Problem {
        Problem { what: what.into(), span: None, label: None, help: Vec::new() }
    }

    /// Words beside the underlined text.
    pub fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = Some(label.into());
        self
    }

    /// What to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help.push(help.into());
        self
    }

    /// "did you mean" beside the text if one of `valid` is near, and the whole list below it.
    pub fn suggest<'a>(self, given: &str, valid: impl Iterator<Item = &'a str>, list_title: &str) -> Problem {
        let valid: Vec<&str> = valid.collect();
        let problem = match nearest(given, &valid) {
            Some(near) => self.label(format!("did you mean `{near}`?")),
            None => self,
        };
        if valid.is_empty() { problem } else { problem.help(wrapped_list(list_title, &valid)) }
    }
}

/// The word of `valid` nearest to `given`, if it is near enough to be a slip of the fingers.
pub fn nearest<'a>(given: &str, valid: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase().replace('-', "_");
    let distance = |word: &str| strsim::damerau_levenshtein(&given, &word.to_lowercase().replace('-', "_"));
    let (near, slips) = valid.iter().map(|word| (*word, distance(word))).min_by_key(|(_, slips)| *slips)?;
    (slips <= given.chars().count().div_ceil(3)).then_some(near)
}

fn wrapped_list(title: &str, words: &[&str]) -> String {
    let mut lines = vec![format!("{title}:")];
    for (index, word) in words.iter().enumerate() {
        let comma = if index + 1 < words.len() { "," } else { "" };
        let last = lines.last_mut().expect("one line is there from the start");
        if last.len() + word.len() + 2 > LIST_WIDTH {
            lines.push(format!("{word}{comma}"));
        } else {
            last.push_str(&format!(" {word}{comma}"));
        }
    }
    lines.join("\n")
}

/// All that was found so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the value of a check, or its problem.
    pub fn keep<T>(&mut self, checked: Result<T, Problem>) -> Option<T> {
        checked.map_err(|problem| self.add(problem)).ok()
    }

    /// The report as a failure, whose text reads well behind "error: ".
    pub fn into_failure(self, sources: &Sources) -> Failure {
        let report = self.render(sources);
        Failure::new(report.strip_prefix("error: ").unwrap_or(&report)).kind(Kind::Usage)
    }

    /// The report: every problem in the order of the text, then a line that counts them. Plain, without colour.
    pub fn render(mut self, sources: &Sources) -> String {
        self.0.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        let renderer = Renderer::plain();
        let mut report = String::new();
        for problem in &self.0 {
            report.push_str(&renderer.render(&[group(problem, sources)]));
            report.push_str("\n\n");
        }
        let count = match self.0.len() {
            1 => "1 problem".to_owned(),
            number => format!("{number} problems"),
        };
        report.push_str(&format!("{count} in {}", self.files(sources).join(" and ")));
        report
    }

    /// The files that have problems.
    fn files<'a>(&self, sources: &'a Sources) -> Vec<&'a str> {
        let file = |problem: &Problem| match &problem.span {
            Some(span) => sources.locate(span).map_or("", |(source, _)| &source.name),
            None => sources.main_name(),
        };
        let mut files: Vec<&str> = self.0.iter().map(file).collect();
        files.dedup();
        files
    }
}

fn group<'a>(problem: &'a Problem, sources: &'a Sources) -> Group<'a> {
    let title = Level::ERROR.primary_title(problem.what.as_str());
    let mut group = Group::with_title(title);
    group = match problem.span.as_ref().and_then(|span| sources.locate(span)) {
        Some((source, span)) => {
            let place = AnnotationKind::Primary.span(visible(&source.text, span)).label(problem.label.as_deref());
            group.element(Snippet::source(source.text.as_str()).path(source.name.as_str()).annotation(place))
        }
        None => group.element(Origin::path(sources.main_name()).line(1).char_column(1)),
    };
    for help in &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// The part of a span on its first line, so that a long table is underlined once, at its beginning.
fn visible(text: &str, span: Span) -> Span {
    let line_end = text[span.start..].find(['\n', '\r']).map_or(text.len(), |length| span.start + length);
    span.start..span.end.min(line_end).max(span.start)
}
