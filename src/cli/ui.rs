//! The only printer. Data to standard output, all else to standard error: bars on a terminal, plain lines elsewhere.
//! No thread is started here: boxes are entered by a process that has only one.

mod bars;

use super::arguments::GlobalArguments;
use super::report;
use crate::model::{Event, Events, Failure, Result, Trying};
use crate::sys::environment;
use bars::Bars;
use clap::ValueEnum;
use console::Style;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// `--color`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

impl Colour {
    /// Whether a stream is coloured. `NO_COLOR` (no-color.org) and a dumb terminal turn `auto` off.
    fn on(self, is_terminal: bool, no_color: bool, dumb: bool) -> bool {
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => is_terminal && !no_color && !dumb,
        }
    }
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loudness {
    Quiet,
    Normal,
    Verbose,
}

/// The printer.
pub struct Ui {
    loudness: Loudness,
    /// Colour on standard error.
    colour: bool,
    /// On a terminal: what is drawn there.
    bars: Option<Mutex<Bars>>,
    /// Whoever read our standard output has gone.
    unread: AtomicBool,
}

impl Ui {
    /// A printer that knows no flags.
    pub fn by_environment() -> Ui {
        Ui::new(&GlobalArguments::default())
    }

    pub fn new(global: &GlobalArguments) -> Ui {
        let is_terminal = std::io::stderr().is_terminal();
        let no_color = environment::path_variable("NO_COLOR").is_some();
        let dumb = environment::variable("TERM").is_none_or(|term| term == "dumb");
        let colour = global.color.on(is_terminal, no_color, dumb);
        console::set_colors_enabled_stderr(colour);
        let loudness = match (global.quiet, global.verbose) {
            (true, _) => Loudness::Quiet,
            (_, true) => Loudness::Verbose,
            _ => Loudness::Normal,
        };
        let draws = is_terminal && !dumb && loudness != Loudness::Quiet;
        Ui { loudness, colour, bars: draws.then(|| Mutex::new(Bars::new())), unread: AtomicBool::new(false) }
    }

    /// Prints data.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&self, text: &str) -> Result<()> {
        self.clear();
        let mut data = self.data();
        data.write_all(text.as_bytes()).and_then(|()| data.flush()).trying(|| "cannot write to standard output")
    }

    /// Prints data as JSON.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print_json(&self, data: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(data).trying(|| "cannot write JSON")?;
        self.print(&(text + "\n"))
    }

    /// Standard output, for data that comes bit by bit.
    pub fn data(&self) -> Data<'_> {
        Data { ui: self }
    }

    /// Prints a line for a person, whatever the loudness.
    pub fn tell(&self, line: &str) {
        self.write_line(line);
    }

    /// Prints what went wrong.
    pub fn fail(&self, failure: &Failure) {
        self.clear();
        self.write_line(report::text(failure, self.colour).trim_end_matches('\n'));
    }

    /// Whoever read our data has closed the pipe.
    pub fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        if let Some(bars) = &self.bars {
            lock(bars).clear();
        }
    }

    fn write_line(&self, line: &str) {
        match &self.bars {
            Some(bars) => lock(bars).above(|| write_to_stderr(line)),
            None => write_to_stderr(line),
        }
    }
}

fn lock(bars: &Mutex<Bars>) -> std::sync::MutexGuard<'_, Bars> {
    // A panic while drawing leaves nothing that the next drawing could not go on from.
    bars.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write_to_stderr(line: &str) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl Events for Ui {
    fn send(&self, event: Event) {
        if let Some(bars) = &self.bars {
            lock(bars).show(&event);
            // On a terminal a step is drawn while it lasts; what stays is that it is done.
            if matches!(event, Event::Step { .. }) && self.loudness != Loudness::Verbose {
                return;
            }
        }
        if let Some(line) = plain_line(&event, self.loudness, self.colour) {
            self.write_line(&line);
        }
    }
}

/// The line that stays of an event, if it is worth one.
fn plain_line(event: &Event, loudness: Loudness, colour: bool) -> Option<String> {
    let style = |style: Style| style.for_stderr().force_styling(colour);
    if loudness == Loudness::Quiet && !matches!(event, Event::Warning { .. }) {
        return None;
    }
    match event {
        Event::Step { text } => Some(format!("{text} ...")),
        Event::Done { text } => Some(match colour {
            true => format!("{} {text}", style(Style::new().green().bold()).apply_to("✓")),
            false => text.clone(),
        }),
        Event::Note { text } => Some(format!("{} {text}", style(Style::new().cyan()).apply_to("note:"))),
        Event::Warning { text } => Some(format!("{} {text}", style(Style::new().yellow().bold()).apply_to("warning:"))),
        Event::TransferBegan { label, total_bytes, .. } => {
            let size = total_bytes.map(|bytes| format!(", {}", indicatif::HumanBytes(bytes))).unwrap_or_default();
            (loudness == Loudness::Verbose).then(|| format!("  {label}{size}"))
        }
        Event::TransferAt { .. } => None,
        Event::TransferEnded { label, .. } => (!colour || loudness == Loudness::Verbose).then(|| format!("  {label}")),
        Event::Output { origin, line } => {
            // A program that redraws its line: what stood there last.
            let line = line.rsplit('\r').find(|drawn| !drawn.is_empty()).unwrap_or_default();
            Some(format!("{} {line}", style(Style::new().dim()).apply_to(format!("{origin} |"))))
        }
    }
}

/// Standard output; notices when its reader has gone.
pub struct Data<'a> {
    ui: &'a Ui,
}

impl Write for Data<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.noticing(std::io::stdout().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.noticing(std::io::stdout().flush())
    }
}

impl Data<'_> {
    fn noticing<T>(&self, result: std::io::Result<T>) -> std::io::Result<T> {
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            self.ui.unread.store(true, Ordering::Relaxed);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        let text = |text: &str| text.to_owned();
        vec![
            Event::Step { text: text("pulling debian:bookworm") },
            Event::TransferBegan { id: text("1"), label: text("a1b2c3"), total_bytes: Some(1 << 20) },
            Event::TransferAt { id: text("1"), done_bytes: 1 << 19 },
            Event::TransferEnded { id: text("1"), label: text("a1b2c3 1.00 MiB") },
            Event::Done { text: text("pulled debian:bookworm") },
            Event::Note { text: text("port 8000 is taken; using 8001") },
            Event::Warning { text: text("no newuidmap") },
            Event::Output { origin: text("setup"), line: text("Reading package lists...") },
        ]
    }

    #[test]
    fn plain_lines_say_what_happened() {
        let lines = |loudness| {
            let told = events().iter().filter_map(|event| plain_line(event, loudness, false)).collect::<Vec<_>>();
            told.join("\n")
        };
        let (quiet, normal, verbose) = (lines(Loudness::Quiet), lines(Loudness::Normal), lines(Loudness::Verbose));
        insta::assert_snapshot!(format!("-q\n{quiet}\n\n(none)\n{normal}\n\n-v\n{verbose}"));
    }

    #[test]
    fn colour_follows_the_flag_then_the_terminal() {
        assert!(Colour::Always.on(false, true, true));
        assert!(!Colour::Never.on(true, false, false));
        assert!(Colour::Auto.on(true, false, false));
        assert!(!Colour::Auto.on(true, true, false));
        assert!(!Colour::Auto.on(false, false, false));
    }
}
