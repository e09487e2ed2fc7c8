//! The far side: streams to it, over a project's keeper or over a connection of our own.

use super::call::refusal;
use super::elsewhere::Elsewhere;
use super::keeper::Keeper;
use super::line;
use crate::machine::{Line, clock};
use crate::model::far::{Answer, LONGEST_DOCUMENT_BYTES, Request};
use crate::model::{Failure, Place, Result, Trying};
use crate::sys::framed::{document, read_document};
use crate::sys::stream::Stream;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// How streams to the far side are had.
pub enum Far {
    /// From the keeper that listens at this socket.
    Kept(PathBuf),
    Own(Arc<dyn Line>),
}

impl Far {
    /// A connection of our own.
    ///
    /// # Errors
    /// The place cannot be reached.
    pub async fn reach(elsewhere: &Elsewhere<'_>) -> Result<Far> {
        let line = line::connect(&elsewhere.reach()).await?;
        if matches!(elsewhere.place, Place::Vm) {
            // Beside what the line is wanted for; where it fails the line itself is lost. A keeper's goes on being set.
            let guest = line.clone();
            tokio::spawn(async move { clock::set(&*guest, clock::timezone()).await });
        }
        Ok(Far::Own(line))
    }

    /// A stream on which the far side did what `request` asks, and said so.
    ///
    /// # Errors
    /// The connection is lost, or the far side refuses.
    pub async fn open(&self, request: &Request) -> Result<Stream> {
        let asked = document(request).trying(|| "cannot write down what is asked of the far side")?;
        let mut stream = match self {
            Far::Kept(socket) => Keeper::stream(socket, &asked).await?,
            Far::Own(line) => {
                let mut stream = line.open().await?;
                stream.write_all(&asked).await.map_err(lost)?;
                stream.flush().await.map_err(lost)?;
                stream
            }
        };
        match read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await.map_err(lost)? {
            Answer::Open => Ok(stream),
            Answer::Failed { causes, hint } => Err(refusal(causes, hint)),
            Answer::Hello { .. } => Err(Failure::new("the far side answered something else than it was asked")),
        }
    }
}

/// The connection broke.
pub fn lost(error: std::io::Error) -> Failure {
    Failure::because("the connection to the far side was lost", error).hint("the next command connects again")
}
