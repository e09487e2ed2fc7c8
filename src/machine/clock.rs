//! Keeps the guest's clock and timezone those of this computer. A guest's own clock stands still while this computer
//! sleeps, and drifts.

use super::Line;
use crate::model::far::{Answer, LONGEST_DOCUMENT_BYTES, Request};
use crate::model::{Failure, Result, Trying};
use crate::sys::framed::{read_document, write_document};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time between two settings. It stands still with this computer, so it also bounds how long after waking the guest's
/// clock is wrong.
const PERIOD: Duration = Duration::from_secs(8);

/// How long the guest may take; who does not answer is noticed by the line itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// This computer's timezone, as programs read it.
const TIMEZONE: &str = "/etc/localtime";

/// Sets the guest's clock at once and then again and again. Returns when that is refused or the line is lost, with why.
pub async fn keep(line: &dyn Line) -> Failure {
    let mut told = None;
    loop {
        let zone = timezone();
        // A timezone has kilobytes and changes with journeys.
        let news = zone.clone().filter(|_| zone != told);
        if let Err(failure) = set(line, news).await {
            return failure;
        }
        told = zone;
        tokio::time::sleep(PERIOD).await;
    }
}

/// Sets the guest's clock once.
///
/// # Errors
/// The line is lost, or the far side refuses.
pub async fn set(line: &dyn Line, timezone: Option<String>) -> Result<()> {
    let setting = async {
        let mut stream = line.open().await?;
        let request = Request::Clock { unix_nanoseconds: now(), timezone };
        write_document(&mut stream, &request).await.trying(|| "cannot ask it to")?;
        match read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await.trying(|| "it did not answer")? {
            Answer::Failed { causes, .. } => Err(Failure::new(causes.join(": "))),
            _ => Ok(()),
        }
    };
    let silent = || Err(Failure::new("it did not answer in time"));
    let set = tokio::time::timeout(PATIENCE, setting).await.unwrap_or_else(|_| silent());
    set.trying(|| "cannot set the VM's clock")
}

/// This computer's time in nanoseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// This computer's timezone as a guest is told it; `None` where it cannot be read.
pub fn timezone() -> Option<String> {
    std::fs::read(TIMEZONE).ok().map(|bytes| STANDARD.encode(bytes))
}
