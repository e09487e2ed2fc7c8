//! A program whose standard streams are ours, for asynchronous callers.

use crate::model::{Failure, Kind, Result};
use crate::sys::pipe_room;
use std::io::ErrorKind;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;

/// What of its standard error is kept: the last of it.
const KEPT_BYTES: usize = 16 * 1024;

impl Default for Said {
    fn default() -> Said {
        Said { kept: Mutex::default(), open: Semaphore::new(0) }
    }
}

/// A running program; killed when this is dropped.
pub struct Attached {
    pub child: Child,
    pub input: ChildStdin,
    pub output: ChildStdout,
    pub complaint: Complaint,
}

/// The last a program wrote to its standard error.
#[derive(Clone, Default)]
pub struct Complaint(Arc<Said>);

struct Said {
    kept: Mutex<Vec<u8>>,
    /// Closed when the program has closed its standard error.
    open: Semaphore,
}

impl Attached {
    /// Starts `program`, looked for in `PATH`. To be called in a runtime.
    ///
    /// # Errors
    /// It cannot be started; kind `NotFound`: there is none.
    pub fn start(program: &str, arguments: &[String]) -> Result<Attached> {
        let mut command = Command::new(program);
        command.args(arguments).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            let kind = if error.kind() == ErrorKind::NotFound { Kind::NotFound } else { Kind::Failed };
            Failure::because(format!("cannot run {program}"), error).kind(kind)
        })?;
        let complaint = Complaint::default();
        let (input, output) = (child.stdin.take(), child.stdout.take());
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(complaint.clone().collect(stderr));
        }
        let (Some(input), Some(output)) = (input, output) else {
            return Err(Failure::new(format!("{program} has no pipes")));
        };
        pipe_room::enlarge(&input);
        pipe_room::enlarge(&output);
        Ok(Attached { child, input, output, complaint })
    }
}

impl Complaint {
    /// As far as it is text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Returns when the program will say no more.
    pub async fn closed(&self) {
        // Nobody gives permits: this ends with the closing only.
        let _ = self.0.open.acquire().await;
    }

    async fn collect(self, mut stderr: ChildStderr) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
            let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&buffer[..length]);
            let excess = kept.len().saturating_sub(KEPT_BYTES);
            kept.drain(..excess);
        }
        self.0.open.close();
    }
}
