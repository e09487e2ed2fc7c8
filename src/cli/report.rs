//! A failure as text, and as an exit code.

use crate::model::{Failure, Kind};
use console::Style;

/// What happened, why, and what to do. A report on a config file is already text and comes through as it is.
pub fn text(failure: &Failure, colour: bool) -> String {
    let style = |style: Style| style.force_styling(colour);
    let bold = style(Style::new().bold());
    let error = style(Style::new().red().bold()).apply_to("error:").to_string();
    let mut chain = failure.chain().into_iter();
    let what = chain.next().unwrap_or_default();
    let mut text = match what.split_once('\n') {
        None => format!("{error} {}\n", bold.apply_to(what)),
        Some(_) => paint_report(&format!("error: {what}\n"), colour),
    };
    let cause = style(Style::new().yellow()).apply_to("cause:").to_string();
    for line in chain {
        text.push_str(&format!("  {cause} {}\n", indented(&line)));
    }
    let hint = style(Style::new().cyan()).apply_to("hint:").to_string();
    if let Some(advice) = failure.get_hint() {
        text.push_str(&format!("  {hint} {}\n", indented(advice)));
    }
    text
}

/// Further lines stand below the first one's text.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n         ")
}

/// Colours a report on a config file, line by line: titles, gutters, underlines.
fn paint_report(report: &str, colour: bool) -> String {
    if !colour {
        return report.to_owned();
    }
    report.split_inclusive('\n').map(paint_line).collect()
}

fn paint_line(line: &str) -> String {
    let style = |style: Style| style.force_styling(true);
    let (red, blue) = (style(Style::new().red().bold()), style(Style::new().blue().bold()));
    let bold = style(Style::new().bold());
    let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    let painted = if let Some(title) = text.strip_prefix("error: ") {
        format!("{} {}", red.apply_to("error:"), bold.apply_to(title))
    } else if let Some((before, place)) = text.split_once("--> ").filter(|(before, _)| before.trim().is_empty()) {
        format!("{before}{} {place}", blue.apply_to("-->"))
    } else if let Some((number, source)) = gutter(text) {
        let underlined = source.trim_start().starts_with('^');
        let source = if underlined { red.apply_to(source).to_string() } else { source.to_owned() };
        format!("{}{source}", blue.apply_to(number))
    } else if let Some((before, help)) = text.split_once("= help: ").filter(|(before, _)| before.trim().is_empty()) {
        format!("{before}{} {} {help}", blue.apply_to("="), bold.apply_to("help:"))
    } else {
        text.to_owned()
    };
    painted + end
}

/// ` 12 | source` as the part up to the bar and the rest.
fn gutter(text: &str) -> Option<(&str, &str)> {
    let bar = text.find('|')?;
    let is_gutter = text[..bar].chars().all(|c| c.is_ascii_digit() || c == ' ');
    is_gutter.then(|| text.split_at(bar + 1))
}

/// The exit code of a failure; `enters`: of `exec` or `shell`, whose codes below 125 belong to the command in the box.
pub fn exit_code(failure: &Failure, enters: bool) -> u8 {
    match failure.get_kind() {
        Kind::Interrupted => 130,
        Kind::NotExecutable if enters => 126,
        Kind::CommandNotFound if enters => 127,
        _ if enters => 125,
        Kind::Usage => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_causes_and_hint() {
        let cause = Failure::because("cannot open /x", std::io::Error::other("permission denied\nreally"));
        let failure = Failure::because("cannot start dev", cause).hint("look at /x");
        let expected = "error: cannot start dev\n  cause: cannot open /x\n  cause: permission denied\n         really\n  \
                        hint: look at /x\n";
        assert_eq!(text(&failure, false), expected);
    }

    #[test]
    fn a_report_keeps_its_text_under_colour() {
        let report = "unknown key `a`\n --> devenv.toml:3:1\n  |\n3 | a = 1 | 2\n  | ^ did you mean `b`?\n  |\n  = help: keys: b\n\n1 problem";
        let failure = Failure::new(report).kind(Kind::Usage);
        let painted = text(&failure, true);
        assert!(painted.contains("\u{1b}["));
        assert_eq!(console::strip_ansi_codes(&painted), text(&failure, false));
    }

    #[test]
    fn exit_codes_depend_on_who_may_fail() {
        for (kind, outside, inside) in [
            (Kind::Failed, 1, 125),
            (Kind::Usage, 2, 125),
            (Kind::NotFound, 1, 125),
            (Kind::Interrupted, 130, 130),
            (Kind::NotExecutable, 1, 126),
            (Kind::CommandNotFound, 1, 127),
        ] {
            let failure = Failure::new("x").kind(kind);
            assert_eq!((exit_code(&failure, false), exit_code(&failure, true)), (outside, inside), "{kind:?}");
        }
    }
}
