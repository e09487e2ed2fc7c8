//! `devenv image`

use super::Caller;
use super::age::{age, now_seconds};
use super::table::Table;
use crate::model::status::ImageListed;
use crate::model::{ImageReference, Result};
use crate::ops::verbs;
use clap::{Args, Subcommand};
use indicatif::HumanBytes;

/// Show, fetch and remove images; the store is shared by all your projects
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct ImageArguments {
    #[command(subcommand)]
    pub command: ImageCommand,
}

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Show the images in the store
    List,
    /// Fetch an image from its registry
    Pull {
        /// As docker takes it: debian:bookworm, ghcr.io/me/app@sha256:…
        reference: String,
    },
    /// Remove images; layers that no other image needs go with them
    Rm {
        #[arg(required = true, value_name = "REFERENCE")]
        references: Vec<String>,
    },
    /// Remove every image that no project uses
    Prune,
    /// Take an image from a folder or archive into the store
    Import {
        #[arg(help = "oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:TAG]")]
        source: String,
        /// Name in the store; default: the one the archive gives
        name: Option<String>,
    },
}

pub fn run(caller: &Caller, words: &ImageArguments) -> Result<u8> {
    let context = &caller.context;
    match &words.command {
        ImageCommand::List => list(caller, &verbs::image_list(context)?)?,
        ImageCommand::Pull { reference } => one(caller, verbs::image_pull(context, reference)?)?,
        ImageCommand::Rm { references } => verbs::image_remove(context, references)?,
        ImageCommand::Prune => {
            let freed_bytes = verbs::image_prune(context)?;
            match caller.json {
                true => caller.ui.print_json(&serde_json::json!({ "freed_bytes": freed_bytes }))?,
                false => context.events.done(format!("freed {}", HumanBytes(freed_bytes))),
            }
        }
        ImageCommand::Import { source, name } => {
            one(caller, verbs::image_import(context, source, name.as_deref())?)?;
        }
    }
    Ok(0)
}

fn one(caller: &Caller, image: ImageListed) -> Result<()> {
    if caller.json {
        return caller.ui.print_json(&image);
    }
    caller.ui.print(&format!("{}@{}\n", without_digest(&image.reference), image.digest))
}

fn without_digest(reference: &str) -> &str {
    reference.split_once('@').map_or(reference, |(name, _)| name)
}

fn list(caller: &Caller, images: &[ImageListed]) -> Result<()> {
    if caller.json {
        return caller.ui.print_json(&images);
    }
    let mut table = Table::new(["REFERENCE", "DIGEST", "SIZE", "CREATED"]);
    for image in images {
        table.row([
            familiar(&image.reference),
            image.digest.trim_start_matches("sha256:").chars().take(12).collect(),
            HumanBytes(image.size_bytes).to_string(),
            image
                .created
                .as_deref()
                .map(|time| age(time, now_seconds()).map_or_else(|| time.to_owned(), |age| format!("{age} ago")))
                .unwrap_or_else(|| "-".into()),
        ]);
    }
    if table.is_empty() {
        caller.context.events.note("the store holds no images");
        return Ok(());
    }
    caller.ui.print(&table.to_string())
}

/// A reference as people type it: what docker implies is left out.
pub fn familiar(reference: &str) -> String {
    match ImageReference::parse(reference) {
        Ok(parsed) if parsed.registry == "docker.io" => {
            let text = parsed.to_string();
            let short = text.trim_start_matches("docker.io/");
            short.strip_prefix("library/").unwrap_or(short).to_owned()
        }
        _ => reference.to_owned(),
    }
}
