//! Which project a folder belongs to.

use crate::model::{Failure, Kind, Result};
use std::path::{Path, PathBuf};

/// The file that makes a folder a project.
pub const FILE_NAME: &str = "devenv.toml";
/// Laid over it; git-ignored.
pub const LOCAL_FILE_NAME: &str = "devenv.local.toml";

/// The nearest folder, from `from` upwards, that holds a `devenv.toml`.
///
/// # Errors
/// There is none.
pub fn find(from: &Path) -> Result<PathBuf> {
    let holds_file = |folder: &&Path| folder.join(FILE_NAME).is_file();
    from.ancestors().find(holds_file).map(Path::to_path_buf).ok_or_else(|| {
        Failure::new(format!("no {FILE_NAME} in {} or any folder above it", from.display()))
            .kind(Kind::NotFound)
            .hint("`devenv init` writes one; `-C DIR` looks in another folder")
    })
}
