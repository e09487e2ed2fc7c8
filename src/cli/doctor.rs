//! `devenv doctor`

use super::Caller;
use crate::model::Result;
use crate::model::status::{Finding, Level};
use crate::ops::verbs;

pub fn run(caller: &Caller) -> Result<u8> {
    let findings = verbs::doctor(&caller.context)?;
    if caller.json {
        caller.ui.print_json(&findings)?;
    } else {
        caller.ui.print(&text(&findings))?;
    }
    let is_bad = findings.iter().any(|finding| finding.level == Level::Bad);
    Ok(u8::from(is_bad))
}

fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.topic.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.level {
            Level::Good => "ok     ",
            Level::Limited => "limited",
            Level::Bad => "bad    ",
        };
        text.push_str(&format!("{mark}  {:width$}  {}\n", finding.topic, finding.found));
        for line in finding.fix.iter().flat_map(|fix| fix.lines()) {
            text.push_str(&format!("{:9}{:width$}  -> {line}\n", "", ""));
        }
    }
    let bad = findings.iter().filter(|finding| finding.level == Level::Bad).count();
    let verdict =
        if bad == 0 { "`devenv up` works on this computer" } else { "`devenv up` would fail on this computer" };
    text + "\n" + verdict + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_has_its_fix_below() {
        let finding = |level, topic: &str, found: &str, fix: Option<&str>| Finding {
            level,
            topic: topic.into(),
            found: found.into(),
            fix: fix.map(str::to_owned),
        };
        insta::assert_snapshot!(text(&[
            finding(Level::Good, "user namespaces", "allowed", None),
            finding(Level::Limited, "id ranges", "no newuidmap", Some("apt install uidmap")),
            finding(Level::Bad, "overlay", "refused by the kernel", Some("use a kernel from 5.11 on")),
        ]));
    }
}
