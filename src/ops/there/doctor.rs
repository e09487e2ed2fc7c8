//! `doctor` of another place: whether it can be reached, and what it can do.

use super::call::call;
use super::elsewhere::{Elsewhere, unless};
use super::far::Far;
use super::vm;
use crate::model::call::Verb;
use crate::model::status::{Finding, Level};
use crate::model::{Kind, Place, Result};
use std::io::sink;

/// Looks at everything `up` needs or can use there.
///
/// # Errors
/// Ctrl-C.
pub fn doctor(elsewhere: &Elsewhere) -> Result<Vec<Finding>> {
    let caller = elsewhere.caller(None)?;
    let events = elsewhere.context.events.clone();
    let looked = elsewhere.run(async |mut interrupt| {
        let far = unless(&mut interrupt, Far::reach(elsewhere)).await?;
        call::<Vec<Finding>>(&far, caller, Verb::Doctor, &*events, &mut sink(), &mut interrupt).await
    });
    let finding = |level, found: String, fix| Finding { level, topic: "place".into(), found, fix };
    match looked {
        Ok(mut findings) => {
            if elsewhere.place == Place::Vm {
                findings.splice(0..0, vm::findings(elsewhere.context)?);
            }
            findings.insert(0, finding(Level::Good, elsewhere.place.to_string(), None));
            Ok(findings)
        }
        Err(failure) if failure.get_kind() == Kind::Interrupted => Err(failure),
        Err(failure) => {
            let found = format!("{} cannot be reached: {}", elsewhere.place, failure.chain().join(": "));
            Ok(vec![finding(Level::Bad, found, failure.get_hint().map(str::to_owned))])
        }
    }
}
