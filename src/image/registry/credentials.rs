//! Credentials where podman and docker keep them (containers-auth.json(5), docker's config.json).

use crate::model::supply::Credentials;
use crate::model::{Failure, Result, Trying};
use crate::sys::{command, environment, fs};
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A helper may ask a key ring that asks a person.
const HELPER_LIMIT: Duration = Duration::from_secs(60);

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AuthFile {
    auths: BTreeMap<String, AuthEntry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct AuthEntry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Credentials for a repository, from the first file that has some; `None`: be anonymous.
///
/// # Errors
/// A file cannot be read or understood; a helper fails.
pub fn find(account: &str, repository: &str) -> Result<Option<Credentials>> {
    for path in files() {
        let Some(text) = fs::read_if_exists(&path)? else { continue };
        let file: AuthFile = serde_json::from_str(&text)
            .trying(|| format!("cannot understand the credentials in {}", path.display()))?;
        let found = in_file(&file, account, repository).trying(|| format!("cannot use {}", path.display()))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The files in the order containers-auth.json(5) gives.
fn files() -> Vec<PathBuf> {
    // A file named explicitly is the only one asked.
    if let Some(file) = environment::path_variable("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = environment::path_variable("HOME");
    let below_home = |rest: &str| home.as_ref().map(|home| home.join(rest));
    let config = environment::path_variable("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
    let docker = environment::path_variable("DOCKER_CONFIG").or_else(|| below_home(".docker"));
    [
        environment::path_variable("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        config.map(|folder| folder.join("containers/auth.json")),
        docker.map(|folder| folder.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn in_file(file: &AuthFile, account: &str, repository: &str) -> Result<Option<Credentials>> {
    let server = if account == "docker.io" { "https://index.docker.io/v1/" } else { account };
    let keys = keys(account, repository);
    if let Some(helper) = keys.iter().find_map(|key| file.cred_helpers.get(key)) {
        return ask_helper(helper, server);
    }
    let entry = keys
        .iter()
        .find_map(|key| file.auths.iter().find(|(written, _)| normalised(written) == *key).map(|(_, entry)| entry));
    if let Some(credentials) = entry.map(from_entry).transpose()?.flatten() {
        return Ok(Some(credentials));
    }
    match &file.creds_store {
        Some(helper) => ask_helper(helper, server),
        None => Ok(None),
    }
}

/// Keys that mean a repository, the most precise first: `host/a/b`, `host/a`, `host`.
fn keys(account: &str, repository: &str) -> Vec<String> {
    let whole = format!("{account}/{repository}");
    let ends = whole.rmatch_indices('/').map(|(at, _)| whole[..at].to_owned());
    let mut keys: Vec<String> = std::iter::once(whole.clone()).chain(ends).collect();
    if account == "docker.io" {
        keys.extend(["index.docker.io".to_owned(), "registry-1.docker.io".to_owned()]);
    }
    keys
}

/// A key without scheme and API path: docker writes `https://index.docker.io/v1/`.
fn normalised(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

fn from_entry(entry: &AuthEntry) -> Result<Option<Credentials>> {
    if let Some(token) = entry.identitytoken.as_ref().filter(|token| !token.is_empty()) {
        return Ok(Some(Credentials::IdentityToken(token.clone())));
    }
    let Some(auth) = entry.auth.as_ref().filter(|auth| !auth.is_empty()) else { return Ok(None) };
    let bytes = base64::engine::general_purpose::STANDARD.decode(auth.trim()).trying(|| "its 'auth' is no base64")?;
    let text = String::from_utf8(bytes).trying(|| "its 'auth' is no text")?;
    let (user, password) = text.split_once(':').ok_or_else(|| Failure::new("its 'auth' is not USER:PASSWORD"))?;
    // Docker pads with zero bytes.
    let password = password.trim_end_matches('\0').to_owned();
    Ok(Some(Credentials::Password { user: user.to_owned(), password }))
}

/// Asks `docker-credential-NAME get` (docker-credential-helpers' protocol).
fn ask_helper(name: &str, server: &str) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{name}");
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return Err(Failure::new(format!("'{name}' is no name of a credential helper")));
    }
    let answer = command::run(&program, &["get"], server.as_bytes(), HELPER_LIMIT)?;
    let said = String::from_utf8_lossy(&answer.output).trim().to_owned();
    if !answer.status.success() {
        if said.contains("credentials not found") || answer.complaint.contains("credentials not found") {
            return Ok(None);
        }
        let why = if said.is_empty() { answer.complaint } else { said };
        return Err(Failure::new(format!("{program} has no credentials for {server}: {why}")));
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&answer.output).trying(|| format!("cannot understand the answer of {program}"))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credentials::IdentityToken(answer.secret),
        _ => Credentials::Password { user: answer.username, password: answer.secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_precise_entry_wins() {
        let file: AuthFile = serde_json::from_str(
            r#"{"auths":{"r.example":{"auth":"YTpi"},"r.example/team/app":{"auth":"Yzpk"},
                "https://index.docker.io/v1/":{"auth":"ZTpm"},"empty.example":{}}}"#,
        )
        .unwrap();
        let user = |account: &str, repository: &str| match in_file(&file, account, repository).unwrap() {
            Some(Credentials::Password { user, .. }) => user,
            _ => "nobody".to_owned(),
        };
        assert_eq!(user("r.example", "other"), "a");
        assert_eq!(user("r.example", "team/app"), "c");
        assert_eq!(user("docker.io", "library/debian"), "e");
        assert_eq!(user("empty.example", "x"), "nobody");
        assert_eq!(user("r.example.evil", "x"), "nobody");
    }
}
