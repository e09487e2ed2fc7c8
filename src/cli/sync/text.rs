//! File sync as text.

use super::super::age::span;
use super::super::table::Table;
use super::many;
use crate::model::sync::{SyncDiff, SyncState, SyncStatus, SyncVersion, SyncedFolder};
use indicatif::HumanBytes;
use similar::TextDiff;

/// Synced folders as a table, and below it what needs somebody's eye.
pub fn status(folders: &[SyncedFolder]) -> String {
    if folders.is_empty() {
        return "no folder is synced\n".to_owned();
    }
    let mut table = Table::new(["FOLDER", "STATE", "ENTRIES", "ON THE WAY", "LATENCY", "CONFLICTS", "SKIPPED"]);
    for SyncedFolder { folder, status } in folders {
        table.row([
            plain(&folder.display().to_string()),
            state(&status.state).to_owned(),
            status.entries.to_string(),
            on_the_way(status),
            status.last_latency_ms.map_or_else(|| "-".into(), |latency| format!("{latency} ms")),
            status.conflict_count.to_string(),
            status.skipped_count.to_string(),
        ]);
    }
    let mut text = table.to_string();
    folders.iter().for_each(|folder| text.push_str(&details(folder)));
    text
}

fn details(SyncedFolder { folder, status }: &SyncedFolder) -> String {
    let mut text = String::new();
    let folder = plain(&folder.display().to_string());
    if let SyncState::Waiting { reason } | SyncState::Failed { reason } = &status.state {
        text.push_str(&format!("\n{folder} does not go on: {}\n", plain(reason)));
        if matches!(status.state, SyncState::Waiting { .. }) {
            text.push_str("  if it is meant: devenv sync resume\n");
        }
    }
    if status.conflict_count > 0 {
        let mut table = Table::new(["  CONFLICT", "HERE", "THERE"]);
        for conflict in &status.conflicts {
            table.row([format!("  {}", plain(&conflict.path)), plain(&conflict.here), plain(&conflict.there)]);
        }
        let rest = rest(status.conflict_count, status.conflicts.len());
        text.push_str(&format!("\n{folder} changed on both sides; neither is touched:\n{table}{rest}"));
        text.push_str("  devenv sync diff PATH shows both, devenv sync resolve --ours|--theirs|--both GLOB ends it\n");
    }
    if status.skipped_count > 0 {
        let mut table = Table::new(["  SKIPPED", "WHY"]);
        for skipped in &status.skipped {
            table.row([format!("  {}", plain(&skipped.path)), plain(&skipped.reason)]);
        }
        let rest = rest(status.skipped_count, status.skipped.len());
        text.push_str(&format!("\n{folder} is not equal in:\n{table}{rest}"));
    }
    if !status.notes.is_empty() {
        let notes = status.notes.iter().map(|note| format!("  {}\n", plain(note)));
        text.push_str(&format!("\n{folder} has to tell:\n{}", notes.collect::<String>()));
    }
    text
}

fn rest(count: u64, listed: usize) -> String {
    match count.saturating_sub(listed as u64) {
        0 => String::new(),
        more => format!("  and {more} more\n"),
    }
}

fn state(state: &SyncState) -> &'static str {
    match state {
        SyncState::Connecting => "connecting",
        SyncState::Scanning => "scanning",
        SyncState::Syncing => "syncing",
        SyncState::Watching => "watching",
        SyncState::Paused => "paused",
        SyncState::Waiting { .. } => "waiting",
        SyncState::Failed { .. } => "failed",
    }
}

fn on_the_way(status: &SyncStatus) -> String {
    match status.backlog {
        0 => "-".to_owned(),
        changes => format!("{}, {}", many(changes, "change"), HumanBytes(status.backlog_bytes)),
    }
}

/// Both versions, and what differs where both are short text.
pub fn diff(diff: &SyncDiff, now_s: u64) -> String {
    let mut table = Table::new(["SIDE", "VERSION", "CHANGED"]);
    for (side, version) in [("here", &diff.here), ("there", &diff.there)] {
        table.row([side.to_owned(), shown(version), changed(version, now_s)]);
    }
    let differences = match (&diff.here, &diff.there) {
        (SyncVersion::File { text: Some(here), .. }, SyncVersion::File { text: Some(there), .. }) if here == there => {
            "both have the same content\n".to_owned()
        }
        (SyncVersion::File { text: Some(here), .. }, SyncVersion::File { text: Some(there), .. }) => {
            let unified = TextDiff::from_lines(here, there).unified_diff().header("here", "there").to_string();
            unified.split_inclusive('\n').map(kept_lines).collect()
        }
        (SyncVersion::File { .. }, SyncVersion::File { .. }) => {
            "not short text: `devenv sync resolve --both` puts theirs beside ours\n".to_owned()
        }
        _ => String::new(),
    };
    let gap = if differences.is_empty() { "" } else { "\n" };
    format!("{}\n\n{table}{gap}{differences}", plain(&diff.path.display().to_string()))
}

fn shown(version: &SyncVersion) -> String {
    match version {
        SyncVersion::Nothing => "nothing".to_owned(),
        SyncVersion::Folder => "folder".to_owned(),
        SyncVersion::Special => "a socket, device or pipe".to_owned(),
        SyncVersion::Link { target } => format!("link to {}", plain(target)),
        SyncVersion::File { size_bytes, executable, .. } => {
            format!("{}, {}", if *executable { "program" } else { "file" }, many(*size_bytes, "byte"))
        }
    }
}

fn changed(version: &SyncVersion, now_s: u64) -> String {
    match version {
        SyncVersion::File { modified_s, .. } => format!("{} ago", span(now_s.saturating_sub(*modified_s))),
        _ => "-".to_owned(),
    }
}

/// Without what a terminal would obey: the other side chose these words.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// As [`plain`], with tabs and the line's end as they are.
fn kept_lines(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sync::{SyncConflict, SyncSkipped};

    fn folder(folder: &str, status: SyncStatus) -> SyncedFolder {
        SyncedFolder { folder: folder.into(), status }
    }

    #[test]
    fn the_table_says_how_far_and_what_is_odd() {
        let busy = SyncStatus {
            state: SyncState::Syncing,
            backlog: 12,
            backlog_bytes: 3 << 20,
            entries: 4711,
            last_latency_ms: Some(9),
            conflicts: vec![SyncConflict {
                path: "src/\u{1b}[31mmain.rs".into(),
                here: "file, 12 bytes".into(),
                there: "nothing".into(),
            }],
            conflict_count: 3,
            skipped: vec![SyncSkipped { path: "run/sock".into(), reason: "a socket, device or pipe here".into() }],
            skipped_count: 1,
            notes: vec!["the kernel watches no more folders".into()],
        };
        let reason = "90 of 100 files and folders would be deleted".to_owned();
        let held = SyncStatus { state: SyncState::Waiting { reason }, entries: 100, ..SyncStatus::default() };
        let folders = [folder("/home/me/shop", busy), folder("/home/me/lib", held)];
        insta::assert_snapshot!(status(&folders));
        assert_eq!(status(&[]), "no folder is synced\n");
    }

    #[test]
    fn a_diff_shows_both_versions() {
        let file = |text: Option<&str>, size_bytes| SyncVersion::File {
            size_bytes,
            modified_s: 1000,
            executable: false,
            text: text.map(str::to_owned),
        };
        let of = |here, there| diff(&SyncDiff { path: "/home/me/shop/page".into(), here, there }, 1060);
        let texts = of(file(Some("one\ntwo\nthree\n"), 14), file(Some("one\n\u{7}2\nthree\n"), 13));
        let gone = of(SyncVersion::Nothing, SyncVersion::Link { target: "../elsewhere".into() });
        let large = of(file(None, 1 << 20), file(None, 1));
        insta::assert_snapshot!([texts, gone, large].join("----\n"));
    }
}
