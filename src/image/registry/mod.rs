//! A client for OCI registries (OCI distribution-spec, "Pull"), also docker's.

mod answer;
#[cfg(target_os = "linux")]
mod blob;
mod challenge;
pub mod credentials;
mod endpoint;
mod http;
mod names;
pub mod patience;
mod server;
mod tls;
mod token;

use crate::image::digest::Digest;
use crate::image::manifest::{ACCEPTED, Descriptor, MANIFEST_LIMIT_BYTES};
use crate::model::supply::Supply;
use crate::model::{Failure, ImageReference, Kind, Result, Settings};
use answer::{Problem, no_answer, read_limited};
use bytes::Bytes;
use names::Names;
use patience::Patience;
use reqwest::{Response, StatusCode};
use server::{Ask, Server};
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// One repository, wherever it can be fetched.
pub struct Registry {
    reference: ImageReference,
    servers: Vec<Server>,
    patience: Patience,
}

impl Registry {
    /// Credentials are those of `supply`, where there is one, and this account's otherwise.
    ///
    /// # Errors
    /// The settings for its servers are wrong.
    pub fn new(
        reference: &ImageReference,
        settings: &Settings,
        patience: &Patience,
        supply: Option<&Arc<dyn Supply>>,
    ) -> Result<Registry> {
        let names = Names::default();
        let servers = endpoint::endpoints(reference, settings)?.into_iter().map(|endpoint| {
            let client = http::client(&endpoint, settings, &names, patience)?;
            Ok(Server::new(endpoint, client, supply.cloned()))
        });
        let servers = servers.collect::<Result<_>>()?;
        Ok(Registry { reference: reference.clone(), servers, patience: patience.clone() })
    }

    /// A manifest or index by tag or digest, and its digest, checked.
    ///
    /// # Errors
    /// It does not exist, no server answers, or it is not what its digest says.
    pub async fn manifest(&self, name: &str) -> Result<(Vec<u8>, Digest)> {
        let ask = Ask { path: format!("manifests/{name}"), accept: Some(ACCEPTED), from: 0 };
        let (body, promised) = self.small(&ask, MANIFEST_LIMIT_BYTES).await?;
        let found = Digest::of(&body);
        let wanted = if name.starts_with("sha256:") { Some(name) } else { promised.as_deref() };
        match wanted {
            Some(wanted) if wanted.starts_with("sha256:") && wanted != found.as_str() => {
                Err(Failure::new(format!("the manifest of {} should be {wanted} but is {found}", self.reference))
                    .hint("the registry, a mirror or the connection has damaged it; try again"))
            }
            _ => Ok((body, found)),
        }
    }

    /// Sends a blob piece by piece; after a cut it goes on where it was. A failure is the last thing sent.
    pub async fn stream(&self, blob: &Descriptor, pieces: &Sender<Result<Bytes>>) {
        let mut at = 0;
        let mut last = None;
        for server in &self.servers {
            match self.stream_from(server, blob, &mut at, pieces).await {
                Ok(()) => return,
                Err(problem) => last = Some(problem),
            }
        }
        if let Some(problem) = last {
            let what = format!("cannot fetch layer {} of {}", blob.digest.short(), self.reference);
            // Nobody listens any more: nothing to tell.
            let _ = pieces.send(Err(Failure::because(what, problem.into_failure()))).await;
        }
    }

    async fn stream_from(
        &self,
        server: &Server,
        blob: &Descriptor,
        at: &mut u64,
        pieces: &Sender<Result<Bytes>>,
    ) -> std::result::Result<(), Problem> {
        let mut failed = 0;
        loop {
            let before = *at;
            let ask = Ask { path: format!("blobs/{}", blob.digest), accept: None, from: *at };
            let outcome = match server.get(&ask).await {
                Ok(response) => pass_on(response, at, blob.size, pieces, &server.endpoint.account).await,
                Err(problem) => Err(problem),
            };
            let Err(problem) = outcome else { return Ok(()) };
            failed = if *at > before { 1 } else { failed + 1 };
            self.pause(problem, failed).await?;
        }
    }

    /// A small answer from the first server that has it.
    async fn small(&self, ask: &Ask<'_>, limit_bytes: u64) -> Result<(Vec<u8>, Option<String>)> {
        let mut last = None;
        for server in &self.servers {
            match self.small_from(server, ask, limit_bytes).await {
                Ok(answer) => return Ok(answer),
                // One who refuses says more than one who does not answer.
                Err(Problem::Passing(..)) if matches!(last, Some(Problem::Lasting(_))) => {}
                Err(problem) => last = Some(problem),
            }
        }
        Err(match last {
            Some(Problem::Missing(failure)) => {
                Failure::because(format!("the image {} does not exist", self.reference), failure)
                    .kind(Kind::NotFound)
                    .hint("check its name and tag")
            }
            Some(problem) => Failure::because(format!("cannot pull {}", self.reference), problem.into_failure()),
            None => Failure::new(format!("{} has no server", self.reference)),
        })
    }

    async fn small_from(
        &self,
        server: &Server,
        ask: &Ask<'_>,
        limit_bytes: u64,
    ) -> std::result::Result<(Vec<u8>, Option<String>), Problem> {
        let mut failed = 0;
        loop {
            let outcome = async {
                let response = server.get(ask).await?;
                let header = response.headers().get("docker-content-digest");
                let promised = header.and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
                Ok((read_limited(response, limit_bytes).await?, promised))
            };
            match outcome.await {
                Ok(answer) => return Ok(answer),
                Err(problem) => {
                    failed += 1;
                    self.pause(problem, failed).await?;
                }
            }
        }
    }

    /// Waits before the next try, or gives the problem back when there is none.
    async fn pause(&self, problem: Problem, failed: u32) -> std::result::Result<(), Problem> {
        match problem {
            Problem::Passing(_, asked) if failed < self.patience.attempts => {
                tokio::time::sleep(self.patience.pause(failed, asked)).await;
                Ok(())
            }
            other => Err(other),
        }
    }
}

/// Sends the body of an answer from position `at` on, which it moves.
async fn pass_on(
    mut response: Response,
    at: &mut u64,
    size: u64,
    pieces: &Sender<Result<Bytes>>,
    host: &str,
) -> std::result::Result<(), Problem> {
    // A server that ignores ranges (200) or begins elsewhere sends what we have already.
    let begins = match response.status() {
        StatusCode::PARTIAL_CONTENT => range_start(&response).unwrap_or(*at),
        _ => 0,
    };
    let mut skip = at.checked_sub(begins).ok_or_else(|| {
        Problem::Lasting(Failure::new(format!("{host} sends another part of the layer than was asked for")))
    })?;
    while *at < size || size == 0 {
        let Some(mut piece) = response.chunk().await.map_err(|error| no_answer(error, host))? else { break };
        let known = skip.min(piece.len() as u64);
        skip -= known;
        let piece = piece.split_off(known as usize);
        *at += piece.len() as u64;
        if !piece.is_empty() && pieces.send(Ok(piece)).await.is_err() {
            return Ok(());
        }
    }
    if *at < size {
        let failure = Failure::new(format!("{host} sent {at} of {size} bytes and closed the connection"));
        return Err(Problem::Passing(failure, None));
    }
    Ok(())
}

/// The first position in `Content-Range: bytes 5-9/10`.
fn range_start(response: &Response) -> Option<u64> {
    let header = response.headers().get("content-range")?.to_str().ok()?;
    header.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
