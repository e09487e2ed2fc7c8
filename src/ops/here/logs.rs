//! `logs`: what the boxes' programs wrote.

use super::site::Site;
use crate::model::request::LogsRequest;
use crate::model::{BoxName, Failure, Result, Trying};
use crate::ops::Context;
use crate::ops::plan::unknown_box;
use crate::sys::linux::{interrupt, watch};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

/// How long to sleep at most while following; the kernel wakes us earlier when something is written.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

struct Followed {
    name: BoxName,
    path: PathBuf,
    file: Option<File>,
    /// The end of what was read, when it is no whole line yet.
    rest: Vec<u8>,
}

/// Writes the logs to `out`: of one box as they are, of several with the box's name before each line.
///
/// # Errors
/// There is no such box, or `out` cannot be written.
pub fn logs(context: &Context, request: &LogsRequest, out: &mut dyn Write) -> Result<()> {
    let site = Site::open(context)?;
    let boxes = site.boxes()?;
    let names: Vec<BoxName> = match &request.name {
        Some(name) if boxes.contains_key(name) => vec![name.clone()],
        Some(name) => return Err(unknown_box(name, boxes.keys())),
        None => boxes.keys().cloned().collect(),
    };
    if names.is_empty() {
        return Err(Failure::new("this project has no boxes yet").hint("`devenv up` makes them"));
    }
    let width = match names.len() {
        1 => None,
        _ => names.iter().map(|name| name.as_str().len()).max(),
    };
    let mut followed: Vec<Followed> = names
        .into_iter()
        .map(|name| Followed { path: site.paths.a_box(&name).log(), name, file: None, rest: Vec::new() })
        .collect();
    for one in &mut followed {
        one.begin(request.tail, width, out)?;
    }
    if request.follow {
        interrupt::watch();
        let watcher = watch::Watcher::new(followed.iter().map(|one| one.path.as_path()))?;
        while !interrupt::wanted() {
            for one in &mut followed {
                one.go_on(width, out)?;
            }
            out.flush().trying(|| "cannot write the logs")?;
            watcher.wait(LOOK_AGAIN);
        }
    }
    Ok(())
}

impl Followed {
    fn begin(&mut self, tail: Option<u64>, width: Option<usize>, out: &mut dyn Write) -> Result<()> {
        let mut content = Vec::new();
        match File::open(&self.path) {
            Ok(mut file) => {
                file.read_to_end(&mut content).trying(|| format!("cannot read {}", self.path.display()))?;
                self.file = Some(file);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::because(format!("cannot read {}", self.path.display()), error)),
        }
        let wanted = match tail {
            Some(count) => last_lines(&content, count),
            None => &content,
        };
        self.write(wanted, width, out)
    }

    fn go_on(&mut self, width: Option<usize>, out: &mut dyn Write) -> Result<()> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        // A box that was made anew began its log anew.
        let position = file.stream_position().unwrap_or(0);
        if file.metadata().is_ok_and(|facts| facts.len() < position) {
            let _ = file.seek(SeekFrom::Start(0));
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).trying(|| format!("cannot read {}", self.path.display()))?;
        self.write(&content, width, out)
    }

    fn write(&mut self, content: &[u8], width: Option<usize>, out: &mut dyn Write) -> Result<()> {
        let failing = || "cannot write the logs";
        let Some(width) = width else { return out.write_all(content).trying(failing) };
        self.rest.extend_from_slice(content);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            write!(out, "{:width$} | ", self.name).trying(failing)?;
            out.write_all(&self.rest[..=end]).trying(failing)?;
            self.rest.drain(..=end);
        }
        Ok(())
    }
}

/// The last `count` lines of `content`.
pub fn last_lines(content: &[u8], count: u64) -> &[u8] {
    if count == 0 {
        return &[];
    }
    let body = content.strip_suffix(b"\n").unwrap_or(content);
    let mut left = count;
    for (at, byte) in body.iter().enumerate().rev() {
        if *byte == b'\n' {
            left = left.saturating_sub(1);
            if left == 0 {
                return &content[at + 1..];
            }
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines_are_cut_off_whole() {
        for (content, count, wanted) in
            [("a\nb\nc\n", 2, "b\nc\n"), ("a\nb\nc", 1, "c"), ("a\n", 5, "a\n"), ("", 3, ""), ("a\nb\n", 0, "")]
        {
            assert_eq!(last_lines(content.as_bytes(), count), wanted.as_bytes(), "{content:?} {count}");
        }
    }
}
