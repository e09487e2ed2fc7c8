//! What a registry's answer means for us.

use crate::model::{Failure, Kind};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use std::time::Duration;

/// Why a request brought nothing.
pub enum Problem {
    /// This server does not have it.
    Missing(Failure),
    /// It may work later.
    Passing(Failure, Option<Duration>),
    /// It will not work at this server.
    Lasting(Failure),
}

impl Problem {
    pub fn into_failure(self) -> Failure {
        match self {
            Problem::Missing(failure) | Problem::Passing(failure, _) | Problem::Lasting(failure) => failure,
        }
    }
}

/// Bytes of an error page we read.
const ERROR_LIMIT_BYTES: u64 = 64 << 10;

#[derive(Deserialize)]
struct ErrorPage {
    errors: Vec<ErrorLine>,
}

#[derive(Deserialize)]
struct ErrorLine {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The problem in an answer of `who` that is not a success; `account` is the registry's name for who logs in.
pub async fn problem(response: Response, who: &str, account: &str) -> Problem {
    let status = response.status();
    let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let detail = match read_limited(response, ERROR_LIMIT_BYTES).await.ok().map(|body| serde_json::from_slice(&body)) {
        Some(Ok(ErrorPage { errors })) => {
            let lines: Vec<String> = errors.into_iter().map(|e| format!(": {} {}", e.code, e.message)).collect();
            lines.concat()
        }
        _ => String::new(),
    };
    let failure = Failure::new(format!("{who} answered {status}{detail}"));
    match status {
        StatusCode::NOT_FOUND => Problem::Missing(failure.kind(Kind::NotFound)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Problem::Lasting(failure.hint(format!(
            "the image may not exist, or you may have to log in: `podman login {account}` or `docker login {account}`"
        ))),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Problem::Passing(
            failure.hint("the registry wants fewer requests; log in or wait"),
            after.map(Duration::from_secs),
        ),
        status if status.is_server_error() => Problem::Passing(failure, after.map(Duration::from_secs)),
        _ => Problem::Lasting(failure),
    }
}

/// The problem in a request that got no answer of `who`.
pub fn no_answer(error: reqwest::Error, who: &str) -> Problem {
    let lasting = error.is_builder() || error.is_redirect();
    let failure = Failure::because(format!("no answer from {who}"), error.without_url())
        .hint("check the network, the registry's name, and the proxy and certificates in ~/.config/devenv/config.toml");
    if lasting { Problem::Lasting(failure) } else { Problem::Passing(failure, None) }
}

/// A body of at most `limit_bytes`.
///
/// # Errors
/// It is longer, or the connection fails.
pub async fn read_limited(mut response: Response, limit_bytes: u64) -> Result<Vec<u8>, Problem> {
    let host = response.url().host_str().unwrap_or_default().to_owned();
    let too_long = |length: u64| {
        Problem::Lasting(Failure::new(format!(
            "{host} sends {length} bytes or more where at most {limit_bytes} are allowed"
        )))
    };
    if let Some(length) = response.content_length().filter(|length| *length > limit_bytes) {
        return Err(too_long(length));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| no_answer(error, &host))? {
        body.extend_from_slice(&piece);
        if body.len() as u64 > limit_bytes {
            return Err(too_long(body.len() as u64));
        }
    }
    Ok(body)
}
