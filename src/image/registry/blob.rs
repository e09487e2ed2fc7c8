//! Small blobs: the configs of images.

use super::Registry;
use super::server::Ask;
use crate::image::digest::Digest;
use crate::image::manifest::Descriptor;
use crate::model::{Failure, Result};

impl Registry {
    /// A small blob, checked.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    pub async fn blob(&self, blob: &Descriptor, limit_bytes: u64) -> Result<Vec<u8>> {
        let ask = Ask { path: format!("blobs/{}", blob.digest), accept: None, from: 0 };
        let (body, _) = self.small(&ask, limit_bytes).await?;
        let found = Digest::of(&body);
        if found != blob.digest {
            return Err(Failure::new(format!(
                "the config of {} should be {} but is {found}",
                self.reference, blob.digest
            )));
        }
        Ok(body)
    }
}
