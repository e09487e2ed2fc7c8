//! `devenv init`

use super::Caller;
use crate::model::Result;
use crate::ops::init::{self, Template};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

/// Write a devenv.toml for this folder
#[derive(Debug, Args)]
#[command(after_help = "\
Without TEMPLATE, the files in the folder decide. An existing devenv.toml is never touched. In a\n\
git repository, devenv.local.toml, which is yours alone, is added to .gitignore.")]
pub struct InitArguments {
    pub template: Option<TemplateWord>,
}

/// A template by its name.
#[derive(Debug, Clone, Copy)]
pub struct TemplateWord(Template);

impl ValueEnum for TemplateWord {
    fn value_variants<'a>() -> &'a [TemplateWord] {
        const ALL: [TemplateWord; Template::ALL.len()] = {
            let mut all = [TemplateWord(Template::Minimal); Template::ALL.len()];
            let mut index = 0;
            while index < all.len() {
                all[index] = TemplateWord(Template::ALL[index]);
                index += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

pub fn run(caller: &Caller, words: &InitArguments) -> Result<u8> {
    let template = words.template.map(|word| word.0);
    let reply = init::init(&caller.context, template, &init::registry_answers)?;
    let because = reply.because.map(|sign| format!(", because of {sign}")).unwrap_or_default();
    let events = &caller.context.events;
    events.done(format!("wrote {} from the template `{}`{because}", reply.path.display(), reply.template.name()));
    if reply.host_image {
        events.note("no registry answered, so the image is `host`: this computer's own root file system");
    }
    if let Some(path) = reply.ignored_in {
        events.note(format!("added devenv.local.toml, which is yours alone, to {}", path.display()));
    }
    events.note("next: `devenv up`, then `devenv shell`");
    Ok(0)
}
