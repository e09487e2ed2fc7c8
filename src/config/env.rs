//! `env` and `env_file`: variables of the host put in, and files of `KEY=VALUE` lines.

use std::collections::BTreeSet;

/// The host's environment as a file may see it, and which variables it asked for.
pub struct HostEnvironment<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    pub asked: BTreeSet<String>,
}

impl<'a> HostEnvironment<'a> {
    pub fn new(read: &'a dyn Fn(&str) -> Option<String>) -> HostEnvironment<'a> {
        HostEnvironment { read, asked: BTreeSet::new() }
    }

    fn get(&mut self, name: &str) -> Option<String> {
        self.asked.insert(name.to_owned());
        (self.read)(name)
    }

    /// The home folder of whoever runs devenv; not counted as asked for.
    pub fn home(&self) -> Option<String> {
        (self.read)("HOME").filter(|home| home.starts_with('/'))
    }
}

/// Why a value cannot be put together.
#[derive(Debug, PartialEq)]
pub struct Unfit {
    pub what: String,
    pub help: &'static str,
}

/// `text` with `${VAR}` and `${VAR:-default}` replaced and `$$` as one dollar. As in a shell, the default is taken when
/// the variable is unset or empty. A dollar before anything else stays as it is.
///
/// # Errors
/// A variable without default is not set, or a `${` is not closed.
pub fn interpolate(text: &str, host: &mut HostEnvironment<'_>) -> Result<String, Unfit> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after_dollar) = after.strip_prefix('$') {
            result.push('$');
            rest = after_dollar;
        } else if let Some(inside) = after.strip_prefix('{') {
            let help = "`$$` is a dollar, `${VAR}` a variable, `${VAR:-default}` one with a default";
            let Some(end) = inside.find('}') else {
                return Err(Unfit { what: "`${` is not closed".into(), help });
            };
            result.push_str(&variable(&inside[..end], host)?);
            rest = &inside[end + 1..];
        } else {
            result.push('$');
            rest = after;
        }
    }
    result.push_str(rest);
    Ok(result)
}

fn variable(expression: &str, host: &mut HostEnvironment<'_>) -> Result<String, Unfit> {
    let (name, default) = match expression.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (expression, None),
    };
    if !is_variable_name(name) {
        let help = "only `${VAR}` and `${VAR:-default}` are known; `$$` is a dollar";
        return Err(Unfit { what: format!("`${{{expression}}}` is not a variable"), help });
    }
    match (host.get(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Unfit {
            what: format!("the variable `{name}` is not set"),
            help: "set it where devenv runs, or write a default: `${VAR:-default}`",
        }),
    }
}

/// Whether a shell can name it: letters, digits and `_`, not starting with a digit (POSIX, section 3.216).
pub fn is_variable_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// One line of an env file: its number (from 1), key and value.
#[derive(Debug, PartialEq)]
pub struct EnvLine {
    pub number: usize,
    pub key: String,
    pub value: String,
}

/// The lines of an env file: `KEY=VALUE`, with `export ` before it or not; empty lines and lines with `#` are skipped. A
/// value may stand in `'…'` (as it is) or `"…"` (with `\n`, `\t`, `\"`, `\\`, `\$`); outside quotes ` #` begins a comment.
///
/// # Errors
/// The number of each wrong line and what is wrong in it.
pub fn parse_env_file(text: &str) -> Result<Vec<EnvLine>, Vec<(usize, String)>> {
    let mut lines = Vec::new();
    let mut wrong = Vec::new();
    for (index, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let parsed = match line.split_once('=') {
            Some((key, value)) if is_variable_name(key.trim()) => {
                unquote(value.trim()).map(|value| (key.trim().to_owned(), value))
            }
            Some((key, _)) => Err(format!("`{}` cannot name a variable", key.trim())),
            None => Err("there is no `=`".to_owned()),
        };
        match parsed {
            Ok((key, value)) => lines.push(EnvLine { number: index + 1, key, value }),
            Err(what) => wrong.push((index + 1, what)),
        }
    }
    if wrong.is_empty() { Ok(lines) } else { Err(wrong) }
}

fn unquote(value: &str) -> Result<String, String> {
    let (quoted, rest) = match value.chars().next() {
        Some('\'') => match value[1..].split_once('\'') {
            Some((inside, rest)) => (inside.to_owned(), rest),
            None => return Err("the quote is not closed".into()),
        },
        Some('"') => double_quoted(&value[1..])?,
        _ => {
            // Only a blank makes `#` a comment: `a#b` is a value.
            let end = value.find(" #").or_else(|| value.starts_with('#').then_some(0)).unwrap_or(value.len());
            return Ok(value[..end].trim_end().to_owned());
        }
    };
    match rest.trim_start() {
        "" => Ok(quoted),
        comment if comment.starts_with('#') => Ok(quoted),
        more => Err(format!("`{more}` stands behind the closing quote")),
    }
}

fn double_quoted(text: &str) -> Result<(String, &str), String> {
    let mut inside = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Ok((inside, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => inside.push('\n'),
                Some((_, 'r')) => inside.push('\r'),
                Some((_, 't')) => inside.push('\t'),
                Some((_, plain @ ('"' | '\\' | '$'))) => inside.push(plain),
                Some((_, other)) => inside.extend(['\\', other]),
                None => break,
            },
            plain => inside.push(plain),
        }
    }
    Err("the quote is not closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let read = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let mut host = HostEnvironment::new(&read);
        for (text, result) in [
            ("plain", "plain"),
            ("${A}-${A}", "one-one"),
            ("${B:-two}", "two"),
            ("${B:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("$$A $${A} $", "$A ${A} $"),
            ("$A costs 5$", "$A costs 5$"),
        ] {
            assert_eq!(interpolate(text, &mut host).map_err(|unfit| unfit.what), Ok(result.to_owned()), "{text}");
        }
        for (text, what) in [
            ("${B}", "the variable `B` is not set"),
            ("${B", "`${` is not closed"),
            ("${}", "`${}` is not a variable"),
            ("${A:?x}", "`${A:?x}` is not a variable"),
        ] {
            assert_eq!(interpolate(text, &mut host).map_err(|unfit| unfit.what), Err(what.to_owned()), "{text}");
        }
        assert_eq!(host.asked.iter().map(String::as_str).collect::<Vec<_>>(), ["A", "B", "EMPTY"]);
    }

    #[test]
    fn env_files_are_read_as_compose_does() {
        let text = "# all\n\nA=1\nexport B = two words # said\nC='as $is # x'\nD=\"a\\tb\\\"c\" # d\nE=\nF=a#b\n";
        let pairs: Vec<(String, String)> =
            parse_env_file(text).expect("valid").into_iter().map(|line| (line.key, line.value)).collect();
        let expected = [("A", "1"), ("B", "two words"), ("C", "as $is # x"), ("D", "a\tb\"c"), ("E", ""), ("F", "a#b")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let wrong = parse_env_file("A\n1B=2\nC='x\nD=\"x\" y\nE=1").unwrap_err();
        assert_eq!(wrong.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
