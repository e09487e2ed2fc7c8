//! One server and what we know of it: its scheme, our credentials, the token it gave.

use crate::image::registry::answer::{Problem, no_answer, problem};
use crate::image::registry::challenge;
use crate::image::registry::credentials;
use crate::image::registry::endpoint::{Endpoint, Scheme};
use crate::image::registry::token::authorise;
use crate::model::supply::{Credentials, Supply};
use crate::model::{Failure, Result};
use reqwest::{Client, Response, StatusCode};
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// A server that may have the repository.
pub struct Server {
    pub endpoint: Endpoint,
    client: Client,
    /// `https://HOST`, once it is known which scheme works.
    base: OnceCell<String>,
    /// Knows the credentials; `None`: the files of this account do.
    supply: Option<Arc<dyn Supply>>,
    credentials: OnceCell<Option<Credentials>>,
    /// Value of `Authorization` that worked last.
    authorization: Mutex<Option<String>>,
}

/// What to get from the repository.
pub struct Ask<'a> {
    /// `manifests/latest`, `blobs/sha256:…`.
    pub path: String,
    pub accept: Option<&'a str>,
    /// First byte wanted.
    pub from: u64,
}

impl Server {
    pub fn new(endpoint: Endpoint, client: Client, supply: Option<Arc<dyn Supply>>) -> Server {
        Server {
            endpoint,
            client,
            base: OnceCell::new(),
            supply,
            credentials: OnceCell::new(),
            authorization: Mutex::new(None),
        }
    }

    /// Sends one request, proving who we are when asked to.
    ///
    /// # Errors
    /// Any answer but success.
    pub async fn get(&self, ask: &Ask<'_>) -> std::result::Result<Response, Problem> {
        let base = self.base.get_or_init(|| self.find_base()).await;
        let account = &self.endpoint.account;
        let url = format!("{base}/v2/{}/{}", self.endpoint.repository, ask.path);
        let mut proof = self.authorization.lock().map(|proof| proof.clone()).unwrap_or_default();
        let mut proven = false;
        loop {
            let mut request = self.client.get(&url);
            if let Some(accept) = ask.accept {
                request = request.header("accept", accept);
            }
            if ask.from > 0 {
                request = request.header("range", format!("bytes={}-", ask.from));
            }
            if let Some(proof) = &proof {
                request = request.header("authorization", proof);
            }
            let sent = request.send().await;
            let response = sent.map_err(|error| no_answer(error, &format!("the registry {}", self.endpoint.host)))?;
            if response.status().is_success() {
                return Ok(response);
            }
            // A token may have expired: ask for a new one, but only once.
            if response.status() != StatusCode::UNAUTHORIZED || proven {
                return Err(problem(response, account, account).await);
            }
            let headers = response.headers().get_all("www-authenticate").iter();
            let Some(challenge) = challenge::choose(headers.filter_map(|value| value.to_str().ok())) else {
                return Err(problem(response, account, account).await);
            };
            let known = self.credentials().await.map_err(Problem::Lasting)?;
            let new = authorise(&self.client, base, &self.endpoint, &challenge, known).await?;
            if let Ok(mut kept) = self.authorization.lock() {
                *kept = Some(new.clone());
            }
            (proof, proven) = (Some(new), true);
        }
    }

    async fn credentials(&self) -> Result<Option<&Credentials>> {
        let find = || async {
            let (account, repository) = (self.endpoint.account.clone(), self.endpoint.repository.clone());
            // A credential helper may ask a person: that must not hold up other transfers.
            let supply = self.supply.clone();
            let found = tokio::task::spawn_blocking(move || match supply {
                Some(supply) => supply.credentials(&account, &repository),
                None => credentials::find(&account, &repository),
            });
            let found = found.await;
            found.map_err(|error| Failure::because("cannot look for credentials", error))?
        };
        Ok(self.credentials.get_or_try_init(find).await?.as_ref())
    }

    /// The scheme that works, where the settings leave it open; when none does, requests will tell why.
    async fn find_base(&self) -> String {
        let host = &self.endpoint.host;
        let (https, http) = (format!("https://{host}"), format!("http://{host}"));
        match self.endpoint.scheme {
            Scheme::Https => https,
            Scheme::Http => http,
            // Servers of TLS answer a plain request with 400, or not at all.
            Scheme::HttpElseHttps => match self.ping(&http).await {
                Some(StatusCode::BAD_REQUEST) => https,
                Some(_) => http,
                None if self.ping(&https).await.is_some() => https,
                None => http,
            },
            Scheme::HttpsElseHttp => match self.ping(&https).await {
                Some(_) => https,
                None => http,
            },
        }
    }

    async fn ping(&self, base: &str) -> Option<StatusCode> {
        self.client.get(format!("{base}/v2/")).send().await.ok().map(|response| response.status())
    }
}
