//! Where a verb is carried out.

use super::{Context, computer, here};
use crate::config;
use crate::model::{Failure, Host, Kind, Place, ProjectId, Result, Settings};
use crate::state::Layout;
use std::path::PathBuf;

/// This computer, as far as every place needs it.
pub struct Origin {
    pub host: Host,
    pub layout: Layout,
    pub settings: Settings,
}

impl Origin {
    /// Looks at the account, its folders and its settings.
    ///
    /// # Errors
    /// No home folder is known; or all that is wrong in the settings.
    pub fn look() -> Result<Origin> {
        let host = computer::host();
        let layout = Layout::find(&host)?;
        let settings = config::load_settings(layout.settings())?;
        Ok(Origin { host, layout, settings })
    }
}

/// The place for this caller: `--place`, else the user's settings, else where the project is already, else where boxes can
/// run without further doing.
///
/// # Errors
/// What the caller names is no place; or the settings cannot be read.
pub fn choose(context: &Context) -> Result<(Place, Origin)> {
    let origin = Origin::look()?;
    let place = match context.place.as_ref().or(origin.settings.place.as_ref()) {
        Some(text) => Place::parse(text).map_err(|why| Failure::new(why).kind(Kind::Usage))?,
        None => where_it_is(context, &origin)?.unwrap_or(here::DEFAULT_PLACE),
    };
    Ok((place, origin))
}

/// The one place elsewhere where the caller's project is known to be, when it is not here.
fn where_it_is(context: &Context, origin: &Origin) -> Result<Option<Place>> {
    let Ok(folder) = config::find(&context.folder) else { return Ok(None) };
    if origin.layout.project(&ProjectId::of_folder(&folder)).folder().exists() {
        return Ok(None);
    }
    let mut places =
        origin.layout.all_there()?.into_iter().filter(|known| known.folder == folder).map(|known| known.place);
    Ok(places.next().filter(|_| places.next().is_none()))
}

/// Checks the user's own settings; gives the file's path when there is one.
///
/// # Errors
/// All that is wrong in the file.
pub fn check_settings(_: &Context) -> Result<Option<PathBuf>> {
    let origin = Origin::look()?;
    Ok(Some(origin.layout.settings().to_owned()).filter(|path| path.exists()))
}
