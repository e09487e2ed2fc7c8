//! Users of a box, from the text of its own passwd and group files (pure).

use super::launch::HostAccount;
use crate::model::{Failure, Result};
use crate::sys::linux::facts::{accounts, groups};

/// Who a program in a box runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxUser {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// `/` when nothing names one.
    pub home: String,
    pub name: Option<String>,
    /// Empty when nothing names one.
    pub shell: String,
}

/// Resolves `user`, `uid`, `user:group`, `uid:gid` and mixtures as Docker does.
///
/// # Errors
/// A name is in neither file, or a number is none.
pub fn resolve(wanted: &str, passwd: &str, group: &str) -> Result<BoxUser> {
    let (user_part, group_part) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let user_part = if user_part.is_empty() { "0" } else { user_part };
    let by_number = user_part.parse::<u32>().ok();
    // A name made of digits wins over the number, as in Docker.
    let known = accounts(passwd)
        .find(|account| account.name == user_part)
        .or_else(|| accounts(passwd).find(|account| Some(account.uid) == by_number));
    let mut user = match (known, by_number) {
        (Some(account), _) => {
            let member = |(_, gid, members): (String, u32, Vec<String>)| members.contains(&account.name).then_some(gid);
            BoxUser {
                uid: account.uid,
                gid: account.gid,
                groups: groups(group).filter_map(member).filter(|gid| *gid != account.gid).collect(),
                home: if account.home.is_empty() { "/".into() } else { account.home },
                name: Some(account.name),
                shell: account.shell,
            }
        }
        (None, Some(uid)) => {
            BoxUser { uid, gid: 0, groups: Vec::new(), home: "/".into(), name: None, shell: String::new() }
        }
        (None, None) => {
            return Err(Failure::new(format!("there is no user '{user_part}' in the box"))
                .hint("name one of the box's /etc/passwd, or a number"));
        }
    };
    if let Some(wanted) = group_part {
        let by_name = groups(group).find(|(name, ..)| name == wanted).map(|(_, gid, _)| gid);
        user.gid = by_name
            .or_else(|| wanted.parse().ok())
            .ok_or_else(|| Failure::new(format!("there is no group '{wanted}' in the box")))?;
        user.groups = Vec::new();
    }
    Ok(user)
}

/// The passwd file with `account` in it, first among those of its number so that the number has the host's name;
/// `None` when it is right already.
pub fn passwd_with(passwd: &str, account: &HostAccount) -> Option<String> {
    let HostAccount { name, uid, gid, home } = account;
    let first = accounts(passwd).find(|known| known.uid == *uid || known.name == *name);
    if first.is_some_and(|known| known.name == *name && known.uid == *uid && known.gid == *gid) {
        return None;
    }
    let shell = accounts(passwd).find(|known| known.uid == 0).map(|root| root.shell).filter(|shell| !shell.is_empty());
    let shell = shell.unwrap_or_else(|| "/bin/sh".into());
    let line = format!("{name}:x:{uid}:{gid}::{home}:{shell}\n");
    Some(with_line_before(passwd, &line, name, *uid))
}

/// The group file with the host user's group in it; `None` when it is right already.
pub fn group_with(group: &str, account: &HostAccount) -> Option<String> {
    let HostAccount { name, gid, .. } = account;
    let first = groups(group).find(|(known, number, _)| number == gid || known == name);
    match first {
        Some((known, number, _)) if known == *name && number == *gid => None,
        // The number has a name in the image: good enough, as nothing is looked up by a group's name.
        Some((_, number, _)) if number == *gid => None,
        _ => Some(with_line_before(group, &format!("{name}:x:{gid}:\n"), name, *gid)),
    }
}

/// `text` without lines of `name`, and `line` before the first line of `number`, or last.
fn with_line_before(text: &str, line: &str, name: &str, number: u32) -> String {
    let number = number.to_string();
    let mut out = String::with_capacity(text.len() + line.len());
    let mut placed = false;
    for old in text.lines() {
        let mut fields = old.split(':');
        if fields.next() == Some(name) {
            continue;
        }
        if !placed && fields.nth(1) == Some(number.as_str()) {
            out.push_str(line);
            placed = true;
        }
        out.push_str(old);
        out.push('\n');
    }
    if !placed {
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/sh\n7:x:50:50::/seven:\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:node,x\nnode:x:1000:\n";

    #[test]
    fn users_are_resolved_as_docker_does() {
        for (wanted, ids, groups, home) in [
            ("", (0, 0), vec![], "/root"),
            ("root", (0, 0), vec![], "/root"),
            ("node", (1000, 1000), vec![4], "/home/node"),
            ("1000", (1000, 1000), vec![4], "/home/node"),
            ("7", (50, 50), vec![], "/seven"),
            ("1234", (1234, 0), vec![], "/"),
            ("node:adm", (1000, 4), vec![], "/home/node"),
            ("1:2", (1, 2), vec![], "/"),
        ] {
            let user = resolve(wanted, PASSWD, GROUP).unwrap();
            assert_eq!(((user.uid, user.gid), user.groups, user.home.as_str()), (ids, groups, home), "{wanted}");
        }
        assert!(resolve("nobody", PASSWD, GROUP).is_err());
        assert!(resolve("root:nogroup", PASSWD, GROUP).is_err());
        assert!(resolve("-1", PASSWD, GROUP).is_err());
    }

    #[test]
    fn the_host_user_gets_its_name_before_the_images_user_of_that_number() {
        let me = HostAccount { name: "me".into(), uid: 1000, gid: 1000, home: "/home/me".into() };
        let passwd = passwd_with(PASSWD, &me).unwrap();
        let lines: Vec<&str> = passwd.lines().collect();
        assert_eq!(lines[1], "me:x:1000:1000::/home/me:/bin/bash");
        assert_eq!(lines.len(), 4);
        assert_eq!(passwd_with(&passwd, &me), None);
        assert_eq!(group_with(GROUP, &me), None);
        let other = HostAccount { uid: 2000, gid: 2000, ..me };
        assert_eq!(resolve("me", &passwd_with(PASSWD, &other).unwrap(), "").unwrap().uid, 2000);
        assert!(group_with(GROUP, &other).unwrap().ends_with("me:x:2000:\n"));
        assert!(passwd_with("", &other).unwrap().ends_with(":/bin/sh\n"));
    }
}
