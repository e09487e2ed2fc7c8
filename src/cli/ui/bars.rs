//! What is drawn on a terminal while work goes on: the current step, and below it a bar for each transfer.

use crate::model::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;

const KNOWN_LENGTH: &str = "  {prefix:30!} {bar:24.cyan/dim} {bytes:>11} of {total_bytes:11} {bytes_per_sec:.dim}";
const UNKNOWN_LENGTH: &str = "  {prefix:30!} {bytes:>11} {bytes_per_sec:.dim}";
const ENDED: &str = "  {prefix:.dim}";
const STEP: &str = "{msg:.cyan} ...";

/// The moving part of the screen.
pub struct Bars {
    drawn: MultiProgress,
    step: Option<ProgressBar>,
    transfers: HashMap<String, ProgressBar>,
    /// Complete, and on the screen until the step is.
    ended: Vec<ProgressBar>,
}

impl Bars {
    pub fn new() -> Bars {
        let drawn = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Bars { drawn, step: None, transfers: HashMap::new(), ended: Vec::new() }
    }

    /// Draws what an event changes.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Step { text } => self.begin_step(text),
            Event::Done { .. } => self.end_step(),
            Event::TransferBegan { id, label, total_bytes } => self.begin_transfer(id, label, *total_bytes),
            Event::TransferAt { id, done_bytes } => {
                if let Some(bar) = self.transfers.get(id) {
                    bar.set_position(*done_bytes);
                }
            }
            Event::TransferEnded { id, label } => self.end_transfer(id, label),
            Event::Note { .. } | Event::Warning { .. } | Event::Output { .. } => {}
        }
    }

    /// Prints above what is drawn.
    pub fn above(&self, print: impl FnOnce()) {
        self.drawn.suspend(print);
    }

    /// Leaves nothing drawn.
    pub fn clear(&mut self) {
        let bars = self.step.take().into_iter().chain(self.transfers.drain().map(|(_, bar)| bar));
        for bar in bars.chain(self.ended.drain(..)) {
            bar.finish_and_clear();
            self.drawn.remove(&bar);
        }
        // On a terminal that has gone there is nothing to clear.
        let _ = self.drawn.clear();
    }

    fn begin_step(&mut self, text: &str) {
        if let Some(step) = &self.step {
            step.set_message(text.to_owned());
            return step.tick();
        }
        let step = self.drawn.insert(0, ProgressBar::new_spinner().with_style(style(STEP)));
        step.set_message(text.to_owned());
        step.tick();
        self.step = Some(step);
    }

    fn end_step(&mut self) {
        let step = self.step.take();
        let ended = if self.transfers.is_empty() { std::mem::take(&mut self.ended) } else { Vec::new() };
        for bar in step.into_iter().chain(ended) {
            bar.finish_and_clear();
            self.drawn.remove(&bar);
        }
    }

    fn begin_transfer(&mut self, id: &str, label: &str, total_bytes: Option<u64>) {
        let bar = match total_bytes {
            Some(total) => ProgressBar::new(total).with_style(style(KNOWN_LENGTH).progress_chars("━━─")),
            None => ProgressBar::no_length().with_style(style(UNKNOWN_LENGTH)),
        };
        let bar = self.drawn.add(bar.with_prefix(label.to_owned()));
        bar.tick();
        if let Some(earlier) = self.transfers.insert(id.to_owned(), bar) {
            earlier.finish_and_clear();
        }
    }

    fn end_transfer(&mut self, id: &str, label: &str) {
        let Some(bar) = self.transfers.remove(id) else { return };
        bar.set_style(style(ENDED));
        bar.set_prefix(label.to_owned());
        bar.abandon();
        self.ended.push(bar);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_valid() {
        for template in [KNOWN_LENGTH, UNKNOWN_LENGTH, ENDED, STEP] {
            let _ = style(template);
        }
    }
}
