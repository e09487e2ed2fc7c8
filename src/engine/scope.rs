//! Control groups for a login that has none to give: systemd's user manager makes a scope and delegates it.
//!
//! A session that sshd or a console opened is in a group of root's. Processes may be moved only by who may write the
//! group that both places are below (cgroups(7), "Delegation containment"), so the whole program goes over.

use super::limits;
use crate::sys::environment::{arguments, path_variable, variable};
use crate::sys::fs::is_writable;
use crate::sys::linux::{facts, scope, unix};
use std::path::{Path, PathBuf};

/// Set for the program once it was sent over, so that it is not sent again.
const SENT: &str = "DEVENV_IN_SCOPE";

/// What is known of a process and the control groups it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Control groups are version 2.
    pub is_two: bool,
    /// It may make, or join, the groups it needs where it is.
    pub may: bool,
    /// systemd's user manager answers.
    pub has_manager: bool,
    pub was_sent: bool,
}

/// Whether going through a scope helps (pure).
pub fn helps(situation: Situation) -> bool {
    let Situation { is_two, may, has_manager, was_sent } = situation;
    is_two && !may && has_manager && !was_sent
}

/// Sends this program over when it needs groups that it may not make here. Returns when it may, or nothing helps.
pub fn go_where_groups_can_be_made() {
    go(limits::find().is_ok());
}

/// As [`go_where_groups_can_be_made`], to join `groups`. Returns whether they can be joined from here.
pub fn go_where_groups_can_be_joined(groups: &[PathBuf]) -> bool {
    let may = groups.iter().all(|group| may_join(group));
    go(may);
    may
}

/// Whether groups can be made by way of a scope.
pub fn is_at_hand() -> bool {
    helps(Situation { is_two: is_two(), may: false, has_manager: manager_answers(), was_sent: false })
}

/// Whether the groups that can be made here end with the last login of `person`: the user manager they are in does,
/// unless it was told to linger, which is a file (loginctl(1)).
pub fn ends_with_login(person: &str) -> bool {
    let in_manager = |base: &Path| base.iter().any(|part| part.to_string_lossy().starts_with("user@"));
    matches!(limits::find(), Ok(limits::Hierarchy::Two { base }) if in_manager(&base))
        && !Path::new("/var/lib/systemd/linger").join(person).exists()
}

fn is_two() -> bool {
    facts::file_system(Path::new(limits::MOUNTED_AT)) == Some("cgroup2")
}

fn go(may: bool) {
    // A process of the far side has somebody at the other end of its streams, who knows its number.
    let is_inner = arguments().first().is_some_and(|word| word.to_string_lossy().starts_with("__"));
    let was_sent = is_inner || variable(SENT).is_some();
    // The manager is asked last: the others are quick.
    let asked = Situation { is_two: is_two(), may, has_manager: true, was_sent };
    if helps(asked) && helps(Situation { has_manager: manager_answers(), ..asked }) {
        // It returns only when there is no such program; the failure that follows says what is missing.
        let _ = scope::become_in_scope(SENT);
    }
}

fn manager_answers() -> bool {
    path_variable("XDG_RUNTIME_DIR").is_some_and(|folder| unix::connect(&folder.join("systemd/private")).is_ok())
}

/// Root may, in either version.
fn may_join(group: &Path) -> bool {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let shared = common(&Path::new(limits::MOUNTED_AT).join(own), group);
    facts::uid() == 0 || is_writable(&shared.join("cgroup.procs"))
}

/// The innermost folder that both are in or below (pure).
fn common(one: &Path, other: &Path) -> PathBuf {
    one.components().zip(other.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_helps_only_where_it_can() {
        let needy = Situation { is_two: true, may: false, has_manager: true, was_sent: false };
        assert!(helps(needy));
        for situation in [
            Situation { is_two: false, ..needy },
            Situation { may: true, ..needy },
            Situation { has_manager: false, ..needy },
            Situation { was_sent: true, ..needy },
        ] {
            assert!(!helps(situation), "{situation:?}");
        }
    }

    #[test]
    fn who_may_move_a_process_owns_what_both_groups_are_below() {
        let user = "/sys/fs/cgroup/user.slice/user-1000.slice";
        for (own, group, expected) in [
            ("session-1.scope", "user@1000.service/app.slice/devenv/p/dev", ""),
            (
                "user@1000.service/app.slice/run-1.scope",
                "user@1000.service/app.slice/devenv/p/dev",
                "/user@1000.service/app.slice",
            ),
        ] {
            let found = common(&Path::new(user).join(own), &Path::new(user).join(group));
            assert_eq!(found, Path::new(&format!("{user}{expected}")));
        }
    }
}
