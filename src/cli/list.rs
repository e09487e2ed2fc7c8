//! `devenv list`

use super::Caller;
use super::table::Table;
use crate::model::Result;
use crate::ops::verbs;

pub fn run(caller: &Caller) -> Result<u8> {
    let projects = verbs::list(&caller.context)?;
    if caller.json {
        caller.ui.print_json(&projects)?;
        return Ok(0);
    }
    let mut table = Table::new(["PROJECT", "RUNNING", "PLACE", "FOLDER"]);
    for listed in &projects {
        let running = format!("{} of {}", listed.running, listed.boxes);
        table.row([listed.project.clone(), running, listed.place.clone(), listed.path.display().to_string()]);
    }
    if table.is_empty() {
        caller.context.events.note("no projects yet; `devenv init` and `devenv up` make one");
    } else {
        caller.ui.print(&table.to_string())?;
    }
    Ok(0)
}
