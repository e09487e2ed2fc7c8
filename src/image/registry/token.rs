//! Proof of who asks: the value of an `Authorization` header, from credentials and a challenge.

use crate::image::registry::answer::{Problem, no_answer, problem, read_limited};
use crate::image::registry::challenge::Challenge;
use crate::image::registry::endpoint::{Endpoint, is_loopback};
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

/// What to put into `Authorization` at `base` (`https://HOST`) to read the repository of `endpoint`.
///
/// # Errors
/// Credentials are missing or refused; the token service fails.
pub async fn authorise(
    client: &Client,
    base: &str,
    endpoint: &Endpoint,
    challenge: &Challenge,
    credentials: Option<&Credentials>,
) -> Result<String, Problem> {
    let account = &endpoint.account;
    let log_in = format!("log in: `podman login {account}` or `docker login {account}`");
    match (challenge, credentials) {
        (Challenge::Basic, Some(Credentials::Password { user, password })) => Ok(basic(user, password)),
        (Challenge::Basic, _) => {
            Err(Problem::Lasting(Failure::new(format!("{account} wants a user and password")).hint(log_in)))
        }
        (Challenge::Bearer { realm, service, scope }, credentials) => {
            let url = Url::parse(realm)
                .trying(|| format!("{account} names a token service that is no web address: '{realm}'"))
                .map_err(Problem::Lasting)?;
            let url = seen_from_here(url, &endpoint.host);
            if credentials.is_some() && base.starts_with("https:") && url.scheme() != "https" {
                let failure = format!("{account} wants the password sent to {realm} without encryption");
                return Err(Problem::Lasting(Failure::new(failure)));
            }
            let scope = scope.clone().unwrap_or_else(|| format!("repository:{}:pull", endpoint.repository));
            let mut wanted = vec![("scope", scope)];
            wanted.extend(service.clone().map(|service| ("service", service)));
            ask(client, url, account, wanted, credentials).await
        }
    }
}

/// The address of a token service that `server` named. A server that is not on our loopback, and names a service on
/// loopback, can only mean its own: in the VM the user's computer has another name.
fn seen_from_here(mut service: Url, server: &str) -> Url {
    let service_host = service.host_str().unwrap_or_default().to_owned();
    if is_loopback(&service_host) && !is_loopback(server) {
        let server_host =
            Url::parse(&format!("http://{server}")).ok().and_then(|url| url.host_str().map(str::to_owned));
        // It stays as it is where the name of the server is none.
        let _ = service.set_host(server_host.as_deref());
    }
    service
}

/// Asks a token service (distribution's "Token Authentication Specification" and "OAuth2 Token Authentication").
async fn ask(
    client: &Client,
    mut url: Url,
    account: &str,
    mut wanted: Vec<(&str, String)>,
    credentials: Option<&Credentials>,
) -> Result<String, Problem> {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let who = format!("the token service at {}{port}", url.host_str().unwrap_or_default());
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
    let response = request.send().await.map_err(|error| no_answer(error, &who))?;
    if !response.status().is_success() {
        // A token service that knows nobody of that name is no missing image.
        return Err(match problem(response, &who, account).await {
            Problem::Missing(failure) => Problem::Lasting(failure),
            other => other,
        });
    }
    let body = read_limited(response, ANSWER_LIMIT_BYTES).await?;
    let answer: Answer =
        serde_json::from_slice(&body).trying(|| format!("cannot understand {who}")).map_err(Problem::Lasting)?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Problem::Lasting(Failure::new(format!("{who} gives none"))))?;
    Ok(format!("Bearer {token}"))
}

fn basic(user: &str, password: &str) -> String {
    let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {both}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_service_on_loopback_is_that_of_the_server() {
        let seen = |service: &str, server: &str| seen_from_here(Url::parse(service).unwrap(), server).to_string();
        assert_eq!(seen("http://127.0.0.1:5001/token", "10.0.2.2:5000"), "http://10.0.2.2:5001/token");
        assert_eq!(seen("http://localhost/token", "[fd00::2]:5000"), "http://[fd00::2]/token");
        assert_eq!(seen("http://127.0.0.1:5001/token", "localhost:5000"), "http://127.0.0.1:5001/token");
        assert_eq!(seen("https://auth.example/token", "10.0.2.2:5000"), "https://auth.example/token");
    }
}
