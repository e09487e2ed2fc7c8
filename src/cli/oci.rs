//! `devenv oci`: with the words of runc, so that those who drive runc can drive this.

use crate::model::oci::{CreateRequest, OciRequest};
use crate::model::{Failure, Result, Trying};
use crate::ops::verbs;
use clap::{Args, Subcommand, ValueEnum};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run OCI bundles, as runc does
#[derive(Debug, Args)]
#[command(version, disable_help_subcommand = true)]
pub struct OciArguments {
    /// Folder for the state of containers
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Append errors to this file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How they are written there
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Accepted; errors say all there is to say
    #[arg(long)]
    debug: bool,
    /// Not carried out: groups of systemd
    #[arg(long)]
    systemd_cgroup: bool,
    /// Accepted: what an ordinary user may do is found out
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    rootless: Option<Option<String>>,
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Operation {
    /// Make a container from a bundle
    Create {
        #[arg(short, long, value_name = "DIR", default_value = ".")]
        bundle: PathBuf,
        #[arg(long, value_name = "FILE")]
        pid_file: Option<PathBuf>,
        #[arg(long, value_name = "SOCKET")]
        console_socket: Option<PathBuf>,
        /// Accepted for roots in memory; pivot_root is not used less for it
        #[arg(long)]
        no_pivot: bool,
        /// Accepted: the caller's session keyring is never shared
        #[arg(long)]
        no_new_keyring: bool,
        #[arg(long, value_name = "N", default_value_t = 0)]
        preserve_fds: u32,
        id: String,
    },
    /// Run a created container's program
    Start { id: String },
    /// Print the state of a container
    State { id: String },
    /// Send a signal
    Kill {
        /// To all processes of the container
        #[arg(short, long)]
        all: bool,
        id: String,
        #[arg(default_value = "SIGTERM")]
        signal: String,
    },
    /// Remove what is left of a container
    Delete {
        /// End it before, if it runs
        #[arg(short, long)]
        force: bool,
        id: String,
    },
    /// Print what this runtime can do
    Features,
}

/// Runs one operation; errors are told on standard error and in the log.
pub fn run(words: OciArguments) -> ExitCode {
    let log = Log { path: words.log, format: words.log_format };
    match carry_out(words.root, words.systemd_cgroup, words.operation, &log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log.tell("error", &failure);
            ExitCode::FAILURE
        }
    }
}

fn carry_out(root: Option<PathBuf>, systemd: bool, operation: Operation, log: &Log) -> Result<()> {
    if systemd {
        return Err(Failure::new("control groups of systemd are not carried out").hint("leave out --systemd-cgroup"));
    }
    let request = match operation {
        Operation::Create { bundle, pid_file, console_socket, preserve_fds, id, no_pivot: _, no_new_keyring: _ } => {
            OciRequest::Create(CreateRequest {
                id,
                bundle,
                pid_file,
                console_socket,
                preserved_descriptors: preserve_fds,
            })
        }
        Operation::Start { id } => OciRequest::Start { id },
        Operation::State { id } => OciRequest::State { id },
        Operation::Kill { all, id, signal } => OciRequest::Kill { id, signal, all },
        Operation::Delete { force, id } => OciRequest::Delete { id, force },
        Operation::Features => OciRequest::Features,
    };
    let answer = verbs::oci(root.as_deref(), &request, &mut |failure| log.tell("warning", &failure))?;
    if let Some(answer) = answer {
        writeln!(std::io::stdout(), "{answer:#}").trying(|| "cannot print the answer")?;
    }
    Ok(())
}

struct Log {
    path: Option<PathBuf>,
    format: LogFormat,
}

impl Log {
    /// One line: the causes behind what failed, as Go's errors are written.
    fn tell(&self, level: &str, failure: &Failure) {
        let mut message = failure.chain().join(": ");
        eprintln!("devenv: {message}");
        if let Some(hint) = failure.get_hint() {
            message.push_str(&format!(" ({hint})"));
        }
        let Some(path) = &self.path else { return };
        // It has been said on standard error: a log that cannot be written changes nothing.
        let _ = verbs::oci_log(path, self.format == LogFormat::Json, level, &message);
    }
}
