//! `shell` and `exec` in a box elsewhere.

use super::elsewhere::Elsewhere;
use super::far::Far;
use super::pump::pump;
use super::site::Site;
use super::up;
use crate::model::call::{EnterCall, Size};
use crate::model::far::Request;
use crate::model::request::{EnterRequest, UpRequest};
use crate::model::{BoxName, Failure, Kind, Result};
use crate::sys::environment::variable;
use crate::sys::terminal;

/// Of the environment, what a program needs to know of the user's terminal.
const ABOUT_TERMINAL: [&str; 5] = ["TERM", "COLORTERM", "LANG", "LC_ALL", "NO_COLOR"];

/// Size of a terminal that does not say.
const USUAL_SIZE: (u16, u16) = (24, 80);

/// Runs a program in a box and gives its exit code. A `shell` starts the project when it is down.
///
/// # Errors
/// There is no such box, it does not run, or the program cannot be run.
pub fn enter(elsewhere: &Elsewhere, request: &EnterRequest, shell: bool) -> Result<i32> {
    let site = Site::open(elsewhere)?;
    let entered = match site.record()? {
        Some(_) => attempt(&site, request),
        None => Err(not_running(request)),
    };
    match entered {
        Err(failure) if shell && failure.get_kind() == Kind::NotRunning => {
            let name = request.name.clone().unwrap_or_else(BoxName::dev);
            up::up(elsewhere, &UpRequest { only: vec![name], ..UpRequest::default() })?;
            attempt(&site, request)
        }
        entered => entered,
    }
}

fn not_running(request: &EnterRequest) -> Failure {
    let name = request.name.clone().unwrap_or_else(BoxName::dev);
    Failure::new(format!("{name} is not running")).kind(Kind::NotRunning).hint("`devenv up` starts it")
}

fn attempt(site: &Site, request: &EnterRequest) -> Result<i32> {
    let has_terminal = request.terminal.unwrap_or_else(terminal::has_terminal);
    let (rows, columns) = terminal::size().filter(|size| size.0 > 0 && size.1 > 0).unwrap_or(USUAL_SIZE);
    let variables = ABOUT_TERMINAL.iter().filter_map(|name| Some(((*name).to_owned(), variable(name)?)));
    let call = EnterCall {
        caller: site.caller(None)?,
        request: EnterRequest { terminal: Some(has_terminal), ..request.clone() },
        terminal: has_terminal.then_some(Size { rows, columns }),
        environment: variables.collect(),
    };
    let events = site.elsewhere.context.events.clone();
    site.elsewhere.wait_for(async {
        let far: Far = site.far().await?;
        site.flush().await?;
        let stream = far.open(&Request::Enter(Box::new(call))).await?;
        let ended = pump(stream, has_terminal, &*events).await;
        site.flush().await?;
        ended
    })
}
