//! What runs over there before the agent does: a line of sh that finds our program, or takes it and puts it there.
//!
//! A login shell of any kind gets the line as one word in single quotes, so there is no single quote, backslash,
//! newline or exclamation mark in it: fish and csh read those differently.
//!
//! What it says to us are lines that begin with a word made for this one session; whatever a shell's start files print
//! before is passed over.

/// Lets somebody be found who sends this line to a person.
const ABOUT: &str = ": devenv puts its program in a cache folder and runs it;";

/// Folders that may hold the program, the preferred first. In the last two anybody may make folders, so they are used
/// only when they are ours.
const FOLDERS: &str = concat!(
    r#""${XDG_CACHE_HOME:-$HOME/.cache}/devenv/bin" "${XDG_RUNTIME_DIR:-/run/user/$u}/devenv/bin" "#,
    r#"/var/tmp/devenv-"$u" /dev/shm/devenv-"$u""#,
);

/// The command for ssh. `word` begins each line that is meant for us; `hashes` name the programs we have.
pub fn command(word: &str, hashes: &[&str]) -> String {
    let hashes = hashes.join(" ");
    let script = [
        ABOUT,
        "umask 077;",
        "u=$(id -u);",
        // Runs the program in folder $1 named $2 if it is there and runs.
        r#"go() { f=$1/$2/devenv; test -O "$1" && test -x "$f" && "$f" agent --ready </dev/null >/dev/null 2>&1"#,
        &format!(r#"&& {{ echo; echo "{word} run $2"; exec "$f" agent; }}; }};"#),
        &format!(r#"for d in {FOLDERS}; do for h in {hashes}; do go "$d" $h; done; done;"#),
        "z=plain; command -v gzip >/dev/null 2>&1 && z=gzip;",
        &format!(r#"echo; echo "{word} lack $(uname -s) $(uname -m) $z";"#),
        "read -r h || exit 0;",
        "w=;",
        &format!("for d in {FOLDERS}; do"),
        &format!(r#"t=$d/$h/.{word};"#),
        r#"e=$( { mkdir -p "$d/$h" && test -O "$d" && : > "$t" && chmod 700 "$t"; } 2>&1 )"#,
        r#"|| { w="$w$d: ${e:-it belongs to somebody else}; "; continue; };"#,
        // An empty file is a script of no commands: where programs may run, this does.
        r#""$t" </dev/null >/dev/null 2>&1 || { rm -f "$t"; w="$w$d: no programs may run there (noexec); "; continue; };"#,
        &format!(r#"echo "{word} put";"#),
        "read -r s z || exit 0;",
        // What cannot be written is read all the same: what follows is the next line for us.
        r#"e=$( head -c "$s" | { $z 2>&1 > "$t"; r=$?; cat >/dev/null; exit $r; } 2>&1 ) && chmod 755 "$t""#,
        r#"&& "$t" agent --ready </dev/null >/dev/null 2>&1 && mv -f "$t" "$d/$h/devenv" && go "$d" $h;"#,
        r#"rm -f "$t"; w="$w$d: ${e:-the program does not run there}; ";"#,
        "done;",
        &format!(r#"echo "{word} none" $w"#),
    ];
    format!("exec sh -c '{}'", script.join(" "))
}

/// What the far shell says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// The agent runs, and the connection is its: the program of this hash.
    Runs { hash: String },
    /// There is no program of ours. It waits for the hash of the one that it shall have.
    Lacks { system: String, machine: String, has_gzip: bool },
    /// It waits for size and decoder, and then for the program.
    Puts,
    /// It found no place for it.
    NoPlace { why: String },
}

impl Said {
    /// Reads a line; `None`: it is somebody else's.
    pub fn read(line: &str, word: &str) -> Option<Said> {
        let mut rest = line.trim_end().strip_prefix(word)?.strip_prefix(' ')?.splitn(2, ' ');
        let (kind, rest) = (rest.next()?, rest.next().unwrap_or_default());
        match kind {
            "run" => Some(Said::Runs { hash: rest.to_owned() }),
            "put" => Some(Said::Puts),
            "none" => Some(Said::NoPlace { why: rest.trim_end_matches([';', ' ']).to_owned() }),
            "lack" => {
                let mut words = rest.rsplitn(3, ' ');
                let (decoder, machine, system) = (words.next()?, words.next()?, words.next()?);
                Some(Said::Lacks { system: system.into(), machine: machine.into(), has_gzip: decoder == "gzip" })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_login_shell_reads_the_command_alike() {
        let command = command("word", &["a1", "b2"]);
        let script = command.strip_prefix("exec sh -c '").and_then(|rest| rest.strip_suffix('\'')).unwrap();
        assert!(!script.contains(['\'', '\\', '\n', '!']), "{script}");
    }

    #[test]
    fn what_it_says_is_read_and_the_rest_passed_over() {
        let read = |line| Said::read(line, "w1");
        assert_eq!(read("w1 run a1\r\n"), Some(Said::Runs { hash: "a1".into() }));
        assert_eq!(read("w1 put\n"), Some(Said::Puts));
        let lacks = Said::Lacks { system: "Linux".into(), machine: "x86_64".into(), has_gzip: true };
        assert_eq!(read("w1 lack Linux x86_64 gzip\n"), Some(lacks));
        assert_eq!(read("w1 none /a: full; /b: no; \n"), Some(Said::NoPlace { why: "/a: full; /b: no".into() }));
        for other in ["", "Welcome!\n", "w1", "w1 \n", "w2 run x\n", " w1 run x\n", "w1 lack Linux\n"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
