//! The seccomp list compiled to kernel programs, once for each list and architecture.

use super::security::{AF_VSOCK, CALLS, CLONE_NAMESPACE_FLAGS, PERSONALITIES, REFUSED};
use crate::model::{Failure, Result, Trying};
use crate::sys::fs::{make_folder, write_atomically};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Changes when the compiler of lists below changes.
const EDITION: &str = "1";

/// Files with the programs of the default list, to be loaded in this order; compiled into `folder` when missing
/// (12 ms once, against 0.7 ms for reading them).
///
/// # Errors
/// The folder cannot be written.
pub fn programs(folder: &Path, architecture: &str) -> Result<Vec<PathBuf>> {
    let lists = lists();
    let digest = Sha256::digest(format!("{EDITION}{architecture}{CALLS}{REFUSED}").as_bytes());
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let paths: Vec<PathBuf> = (0..lists.len()).map(|n| folder.join(format!("{name}-{n}.bpf"))).collect();
    let sum_path = folder.join(format!("{name}.sha256"));
    // A program cut short is one the kernel refuses, or worse, one that it takes.
    if sum_of(&paths).is_some_and(|sum| std::fs::read(&sum_path).is_ok_and(|kept| kept == sum)) {
        return Ok(paths);
    }
    make_folder(folder)?;
    for (list, path) in lists.iter().zip(&paths) {
        write_atomically(path, &compile(list, architecture)?)?;
    }
    write_atomically(&sum_path, &sum_of(&paths).unwrap_or_default())?;
    Ok(paths)
}

/// SHA-256 of the files one after the other; `None` when one cannot be read.
fn sum_of(paths: &[PathBuf]) -> Option<Vec<u8>> {
    let mut sum = Sha256::new();
    for path in paths {
        sum.update(std::fs::read(path).ok()?);
    }
    Some(sum.finalize().to_vec())
}

/// The programs in these files, to be loaded in the same order.
///
/// # Errors
/// One cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    paths.iter().map(|path| std::fs::read(path).trying(|| format!("cannot read {}", path.display()))).collect()
}

/// What one program does with the calls it names, and with all others.
pub struct List {
    pub matched: Value,
    pub others: Value,
    pub rules: Vec<Value>,
}

/// Two programs, since one knows only two actions: first what is refused as forbidden, then all that is unknown.
/// Where both refuse, the one loaded last is heard (seccomp(2)).
fn lists() -> Vec<List> {
    let named = |names: &'static str| names.split_whitespace().map(|name| json!({ "syscall": name }));
    let argument = |index: u8, width: &str, op: Value, value: u64| json!([{ "index": index, "type": width, "op": op, "val": value }]);
    let mut allowed: Vec<Value> = named(CALLS).chain(named(REFUSED)).collect();
    // clone3 passes its flags in memory, where a filter cannot look: ENOSYS sends C libraries back to clone.
    let no_namespaces = argument(0, "qword", json!({ "masked_eq": CLONE_NAMESPACE_FLAGS }), 0);
    allowed.push(json!({ "syscall": "clone", "args": no_namespaces }));
    allowed.push(json!({ "syscall": "socket", "args": argument(0, "dword", json!("ne"), AF_VSOCK) }));
    for value in PERSONALITIES {
        allowed.push(json!({ "syscall": "personality", "args": argument(0, "qword", json!("eq"), value) }));
    }
    vec![
        List { matched: json!({ "errno": 1 }), others: json!("allow"), rules: named(REFUSED).collect() },
        List { matched: json!("allow"), others: json!({ "errno": 38 }), rules: allowed },
    ]
}

/// Whether the compiler knows the call `name` of this architecture.
pub fn knows(name: &str, architecture: &str) -> bool {
    let rules = json!({ "call": {
        "mismatch_action": "allow", "match_action": "log", "filter": [{ "syscall": name }],
    }});
    architecture
        .try_into()
        .is_ok_and(|target| seccompiler::compile_from_json(rules.to_string().as_bytes(), target).is_ok())
}

/// Compiles one program; calls that the compiler does not know are left out.
///
/// # Errors
/// The architecture is unknown, or the list is beyond what the kernel takes.
pub fn compile(list: &List, architecture: &str) -> Result<Vec<u8>> {
    let target = architecture
        .try_into()
        .map_err(|_| Failure::new(format!("there is no seccomp list for the architecture {architecture}")))?;
    let mut rules = list.rules.clone();
    loop {
        let text = json!({ "box": {
            "mismatch_action": list.others, "match_action": list.matched, "filter": rules,
        }});
        match seccompiler::compile_from_json(text.to_string().as_bytes(), target) {
            Ok(programs) => {
                let instructions = programs.into_values().flatten();
                let bytes = |i: seccompiler::sock_filter| {
                    let [a, b] = i.code.to_ne_bytes();
                    let [c, d, e, f] = i.k.to_ne_bytes();
                    [a, b, i.jt, i.jf, c, d, e, f]
                };
                return Ok(instructions.flat_map(bytes).collect());
            }
            Err(error) => {
                // The compiler knows the calls of one kernel version and stops at the first unknown name.
                let text = error.to_string();
                let before = rules.len();
                rules.retain(|rule| {
                    let name = rule["syscall"].as_str().unwrap_or_default();
                    !text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
                });
                if rules.len() == before {
                    return Err(error).trying(|| "cannot compile the seccomp list");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_compile_for_both_architectures_and_are_kept() {
        for architecture in ["x86_64", "aarch64"] {
            let folder = tempfile::tempdir().unwrap();
            let paths = programs(folder.path(), architecture).unwrap();
            let sizes: Vec<u64> = paths.iter().map(|p| std::fs::metadata(p).unwrap().len()).collect();
            assert!(sizes.iter().all(|size| size % 8 == 0 && *size > 300 && *size / 8 < 4096), "{sizes:?}");
            let before = std::fs::metadata(&paths[0]).unwrap().modified().unwrap();
            assert_eq!(programs(folder.path(), architecture).unwrap(), paths);
            assert_eq!(std::fs::metadata(&paths[0]).unwrap().modified().unwrap(), before);
            let whole = std::fs::read(&paths[0]).unwrap();
            std::fs::write(&paths[0], &whole[..whole.len() / 2]).unwrap();
            assert_eq!(programs(folder.path(), architecture).unwrap(), paths);
            assert_eq!(std::fs::read(&paths[0]).unwrap(), whole);
        }
        assert!(programs(tempfile::tempdir().unwrap().path(), "z80").is_err());
    }
}
