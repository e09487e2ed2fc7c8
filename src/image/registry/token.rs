//! Proof of who asks: the value of an `Authorization` header, from credentials and a challenge.

use crate::image::registry::answer::{Problem, no_answer, problem, read_limited};
use crate::image::registry::challenge::Challenge;
use crate::model::supply::Credentials;
use crate::model::{Failure, Trying};
use base64::Engine as _;
use reqwest::{Client, Url};
use serde::Deserialize;

/// Bytes of a token service's answer we read; tokens have a few kilobytes.
const ANSWER_LIMIT_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// What to put into `Authorization` at `base` (`https://HOST`) to read `repository`.
///
/// # Errors
/// Credentials are missing or refused; the token service fails.
pub async fn authorise(
    client: &Client,
    base: &str,
    repository: &str,
    challenge: &Challenge,
    credentials: Option<&Credentials>,
) -> Result<String, Problem> {
    let host = base.split("://").last().unwrap_or(base);
    let log_in = format!("log in: `podman login {host}` or `docker login {host}`");
    match (challenge, credentials) {
        (Challenge::Basic, Some(Credentials::Password { user, password })) => Ok(basic(user, password)),
        (Challenge::Basic, _) => {
            Err(Problem::Lasting(Failure::new(format!("{host} wants a user and password")).hint(log_in)))
        }
        (Challenge::Bearer { realm, service, scope }, credentials) => {
            let url = Url::parse(realm)
                .trying(|| format!("{host} names a token service that is no web address: '{realm}'"))
                .map_err(Problem::Lasting)?;
            if credentials.is_some() && base.starts_with("https:") && url.scheme() != "https" {
                let failure = format!("{host} wants the password sent to {realm} without encryption");
                return Err(Problem::Lasting(Failure::new(failure)));
            }
            let scope = scope.clone().unwrap_or_else(|| format!("repository:{repository}:pull"));
            let mut wanted = vec![("scope", scope)];
            wanted.extend(service.clone().map(|service| ("service", service)));
            ask(client, url, wanted, credentials).await
        }
    }
}

/// Asks a token service (distribution's "Token Authentication Specification" and "OAuth2 Token Authentication").
async fn ask(
    client: &Client,
    mut url: Url,
    mut wanted: Vec<(&str, String)>,
    credentials: Option<&Credentials>,
) -> Result<String, Problem> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let request = match credentials {
        Some(Credentials::IdentityToken(token)) => {
            wanted.extend([
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", "devenv".to_owned()),
                ("refresh_token", token.clone()),
            ]);
            let mut form = url.clone();
            form.query_pairs_mut().clear().extend_pairs(&wanted);
            let form = form.query().unwrap_or_default().to_owned();
            client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form)
        }
        Some(Credentials::Password { user, password }) => {
            url.query_pairs_mut().extend_pairs(&wanted);
            client.get(url).header("authorization", basic(user, password))
        }
        None => {
            url.query_pairs_mut().extend_pairs(&wanted);
            client.get(url)
        }
    };
    let response = request.send().await.map_err(|error| no_answer(error, &host))?;
    if !response.status().is_success() {
        // A token service that knows nobody of that name is no missing image.
        return Err(match problem(response, &host).await {
            Problem::Missing(failure) => Problem::Lasting(failure),
            other => other,
        });
    }
    let body = read_limited(response, ANSWER_LIMIT_BYTES).await?;
    let answer: Answer = serde_json::from_slice(&body)
        .trying(|| format!("cannot understand the token service at {host}"))
        .map_err(Problem::Lasting)?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let token =
        token.ok_or_else(|| Problem::Lasting(Failure::new(format!("the token service at {host} gives none"))))?;
    Ok(format!("Bearer {token}"))
}

fn basic(user: &str, password: &str) -> String {
    let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {both}")
}
