//! `linux.seccomp` compiled to kernel programs.
//!
//! A compiled program knows two actions, what it names and all else; the spec knows any number. So there is one program
//! that gives the default action to what no rule names, and one for each further action. The kernel runs them all and
//! takes the severest answer (seccomp(2)).

use crate::engine::seccomp::{List, compile, knows};
use crate::model::{Failure, Result};
use crate::sys::linux::seccomp::Flags;
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Programs in the order of loading, and how to load them.
///
/// # Errors
/// A part of the list is one that is not carried out.
pub fn programs(seccomp: &LinuxSeccomp, architecture: &str) -> Result<(Vec<Vec<u8>>, Flags)> {
    let flags = flags(seccomp)?;
    let programs = lists(seccomp, &|name| knows(name, architecture))?;
    Ok((programs.iter().map(|list| compile(list, architecture)).collect::<Result<_>>()?, flags))
}

fn flags(seccomp: &LinuxSeccomp) -> Result<Flags> {
    let mut flags = Flags::default();
    for flag in seccomp.flags().iter().flatten() {
        match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => flags.log = true,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => flags.allow_speculation = true,
            // There is one thread only.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => {}
            other => return Err(Failure::new(format!("the seccomp flag {other} is not carried out"))),
        }
    }
    Ok(flags)
}

/// The rules of one action, a list of alternatives for each call; without conditions where one of them has none.
type Rules = BTreeMap<String, Vec<Value>>;

fn lists(seccomp: &LinuxSeccomp, known: &dyn Fn(&str) -> bool) -> Result<Vec<List>> {
    let default = action(seccomp.default_action(), seccomp.default_errno_ret())?;
    let mut by_action: Vec<(Value, Rules)> = Vec::new();
    for rule in seccomp.syscalls().iter().flatten() {
        let action = action(rule.action(), rule.errno_ret())?;
        if action == default {
            continue;
        }
        let at = by_action.iter().position(|(known, _)| *known == action).unwrap_or_else(|| {
            by_action.push((action, Rules::new()));
            by_action.len() - 1
        });
        add(&mut by_action[at].1, rule, known);
    }
    let flat = |rules: &Rules| rules.values().flatten().cloned().collect::<Vec<Value>>();
    let allow = json!("allow");
    // Of two errors for one call the kernel gives that of the list loaded last; it has to be the first one named.
    let mut lists: Vec<List> = by_action
        .iter()
        .rev()
        .filter(|(action, rules)| *action != allow && !rules.is_empty())
        .map(|(action, rules)| List { matched: action.clone(), others: allow.clone(), rules: flat(rules) })
        .collect();
    if default != allow {
        // At last: it is the one most likely to forbid loading another.
        let named = by_action.iter().flat_map(|(_, rules)| flat(rules)).collect();
        lists.push(List { matched: allow, others: default, rules: unconditional_first(named) });
    }
    Ok(lists)
}

/// Drops conditions on calls that are named without any as well: one alternative without conditions is enough.
fn unconditional_first(rules: Vec<Value>) -> Vec<Value> {
    let free: Vec<Value> = rules.iter().filter(|rule| rule["args"].is_null()).cloned().collect();
    let is_free = |rule: &Value| free.iter().any(|other| other["syscall"] == rule["syscall"]);
    let mut kept: Vec<Value> = rules.iter().filter(|rule| !is_free(rule)).cloned().collect();
    for rule in free {
        if !kept.contains(&rule) {
            kept.push(rule);
        }
    }
    kept
}

fn add(rules: &mut Rules, rule: &LinuxSyscall, known: &dyn Fn(&str) -> bool) {
    let arguments = rule.args().as_deref().unwrap_or_default();
    // Two conditions on one argument cannot both be meant: they are alternatives, as runc has them.
    let repeated =
        arguments.iter().any(|one| arguments.iter().filter(|other| other.index() == one.index()).count() > 1);
    for name in rule.names().iter().filter(|name| known(name)) {
        let alternatives = rules.entry(name.clone()).or_default();
        if alternatives.iter().any(|rule| rule["args"].is_null()) {
            continue;
        }
        if arguments.is_empty() {
            *alternatives = vec![json!({ "syscall": name })];
        } else if repeated {
            let each = arguments.iter().map(|one| json!({ "syscall": name, "args": [condition(one)] }));
            alternatives.extend(each);
        } else {
            let all: Vec<Value> = arguments.iter().map(condition).collect();
            alternatives.push(json!({ "syscall": name, "args": all }));
        }
    }
}

fn condition(wanted: &LinuxSeccompArg) -> Value {
    let plain = |op: &str| json!({ "index": wanted.index(), "type": "qword", "op": op, "val": wanted.value() });
    match wanted.op() {
        LinuxSeccompOperator::ScmpCmpNe => plain("ne"),
        LinuxSeccompOperator::ScmpCmpLt => plain("lt"),
        LinuxSeccompOperator::ScmpCmpLe => plain("le"),
        LinuxSeccompOperator::ScmpCmpEq => plain("eq"),
        LinuxSeccompOperator::ScmpCmpGe => plain("ge"),
        LinuxSeccompOperator::ScmpCmpGt => plain("gt"),
        LinuxSeccompOperator::ScmpCmpMaskedEq => json!({
            "index": wanted.index(), "type": "qword",
            "op": { "masked_eq": wanted.value() }, "val": wanted.value_two().unwrap_or(0),
        }),
    }
}

/// EPERM, where a rule names no error (libseccomp's default in every runtime).
const EPERM: u32 = 1;

fn action(wanted: LinuxSeccompAction, error: Option<u32>) -> Result<Value> {
    Ok(match wanted {
        LinuxSeccompAction::ScmpActAllow => json!("allow"),
        LinuxSeccompAction::ScmpActErrno => json!({ "errno": error.unwrap_or(EPERM) }),
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => json!("kill_thread"),
        LinuxSeccompAction::ScmpActKillProcess => json!("kill_process"),
        LinuxSeccompAction::ScmpActTrap => json!("trap"),
        LinuxSeccompAction::ScmpActTrace => json!({ "trace": error.unwrap_or(EPERM) }),
        LinuxSeccompAction::ScmpActLog => json!("log"),
        LinuxSeccompAction::ScmpActNotify => {
            return Err(Failure::new("the seccomp action SCMP_ACT_NOTIFY is not carried out"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seccomp(text: Value) -> LinuxSeccomp {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn each_action_has_a_program_and_the_default_comes_last() {
        let wanted = seccomp(json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
            "syscalls": [
                { "names": ["read", "nonsense"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" },
                { "names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
                { "names": ["kill"], "action": "SCMP_ACT_TRAP",
                  "args": [{ "index": 1, "value": 9, "op": "SCMP_CMP_EQ" }] }
            ]
        }));
        let lists = lists(&wanted, &|name| name != "nonsense").unwrap();
        let actions: Vec<_> = lists.iter().map(|list| (list.matched.clone(), list.others.clone())).collect();
        assert_eq!(
            actions,
            [
                (json!("trap"), json!("allow")),
                (json!({ "errno": 1 }), json!("allow")),
                (json!("allow"), json!({ "errno": 38 }))
            ]
        );
        assert_eq!(lists[2].rules.len(), 3, "read, mkdir, kill");
        let (programs, _) = programs(&wanted, "x86_64").unwrap();
        assert!(programs.len() == 3 && programs.iter().all(|program| program.len() % 8 == 0));
    }

    #[test]
    fn conditions_on_one_argument_are_alternatives() {
        let wanted = seccomp(json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [
                { "index": 0, "value": 1, "op": "SCMP_CMP_EQ" },
                { "index": 0, "value": 255, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ" }
            ] }]
        }));
        let lists = lists(&wanted, &|_| true).unwrap();
        assert_eq!((lists.len(), lists[0].rules.len()), (1, 2));
    }

    #[test]
    fn notification_is_refused() {
        let wanted = seccomp(json!({ "defaultAction": "SCMP_ACT_NOTIFY" }));
        assert!(programs(&wanted, "x86_64").unwrap_err().to_string().contains("NOTIFY"));
    }
}
