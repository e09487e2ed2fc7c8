//! Large files that are to be read, and when: one that changes is left to rest, for longer each time, and is read while
//! it changes when it did not rest for long.

use super::path::TreePath;
use super::reading::Reading;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// A file that changed while it was read has to rest for this long, …
const FIRST_REST: Duration = Duration::from_millis(20);
/// … twice as long each time, and at most for this long.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// A file that did not rest for this long is read while it changes, …
const FIRST_PATIENCE: Duration = Duration::from_secs(10);
/// … twice as long each time, and at most this long.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);
/// Reading one file again and again takes about one part in so many of the time.
const SHARE: u32 = 3;
/// What is read more quickly is read as often as it changes.
const QUICK: Duration = Duration::from_millis(50);
const MOST_REMEMBERED: usize = 1000;

/// A file that waits.
#[derive(Debug)]
struct Waiting {
    /// When it was first seen to be other than what was told.
    since: Instant,
    not_before: Instant,
    rest: Duration,
    patience: Duration,
    /// Somebody waits for it.
    urgent: bool,
    /// It was heard of while it was read.
    again: bool,
}

/// All of them.
#[derive(Default)]
pub struct Unread {
    files: BTreeMap<TreePath, Waiting>,
    /// The one that is being read, and since when.
    pub current: Option<(TreePath, Reading, Instant)>,
    /// Those that were read lately and took long, and until when they are let be.
    calm: HashMap<TreePath, Instant>,
}

impl Unread {
    /// It is not what was told.
    pub fn add(&mut self, path: TreePath, now: Instant) {
        let is_read = self.is_current(&path);
        let not_before = self.calm.get(&path).copied().unwrap_or(now);
        let waiting = self.files.entry(path).or_insert_with(|| Waiting {
            since: now,
            not_before,
            rest: Duration::ZERO,
            patience: FIRST_PATIENCE,
            urgent: false,
            again: false,
        });
        waiting.again |= is_read;
    }

    /// Somebody waits for it.
    pub fn urge(&mut self, path: &TreePath) {
        self.files.entry(path.clone()).and_modify(|waiting| waiting.urgent = true);
    }

    pub fn paths(&self) -> impl Iterator<Item = &TreePath> {
        self.files.keys()
    }

    fn is_current(&self, path: &TreePath) -> bool {
        self.current.as_ref().is_some_and(|(current, ..)| current == path)
    }

    /// When there is something to read.
    pub fn due(&self) -> Option<Instant> {
        match &self.current {
            Some((_, _, since)) => Some(*since),
            None => self.files.values().map(Waiting::due).min(),
        }
    }

    /// The next that may be read. `touched` says when one that rests was last written to.
    pub fn next(&mut self, now: Instant, touched: impl Fn(&TreePath) -> Option<Instant>) -> Option<TreePath> {
        for (path, waiting) in &mut self.files {
            if waiting.due() > now {
                continue;
            }
            let rested = touched(path).map_or(now, |touched| touched + waiting.rest);
            if rested > now && waiting.is_patient(now) {
                waiting.not_before = rested;
                continue;
            }
            return Some(path.clone());
        }
        None
    }

    /// Whether this one had better be read later if it changes.
    pub fn is_patient(&self, path: &TreePath, now: Instant) -> bool {
        self.files.get(path).is_none_or(|waiting| waiting.is_patient(now))
    }

    /// It changed while it was read. Returns whether it was read all the same, in vain.
    pub fn moving(&mut self, path: &TreePath, now: Instant) -> bool {
        let Some(waiting) = self.files.get_mut(path) else { return false };
        let in_vain = !waiting.is_patient(now);
        if in_vain {
            waiting.lose_patience(now);
        }
        waiting.rest = (waiting.rest * 2).clamp(FIRST_REST, LONGEST_REST);
        (waiting.not_before, waiting.urgent, waiting.again) = (now + waiting.rest, false, false);
        in_vain
    }

    /// It was read up to where it ended then, and grows.
    pub fn grown(&mut self, path: &TreePath, began: Instant, now: Instant) {
        if let Some(waiting) = self.files.get_mut(path) {
            waiting.lose_patience(now);
            waiting.rest = (waiting.rest * 2).clamp(FIRST_REST, LONGEST_REST);
            waiting.not_before = now + waiting.rest.max((now - began) * (SHARE - 1));
            (waiting.urgent, waiting.again) = (false, false);
        }
    }

    /// It was read, or is not there any more. `sure`: a later change would look different.
    pub fn done(&mut self, path: &TreePath, began: Instant, now: Instant, sure: bool) {
        let again = self.files.remove(path).is_some_and(|waiting| waiting.again);
        if now - began > QUICK {
            self.calm.retain(|_, until| *until > now);
            if self.calm.len() < MOST_REMEMBERED {
                self.calm.insert(path.clone(), now + (now - began) * (SHARE - 1));
            }
        }
        if again && !sure {
            self.add(path.clone(), now);
        }
    }

    /// Nothing is to be read any more.
    pub fn clear(&mut self) {
        *self = Unread::default();
    }
}

impl Waiting {
    fn due(&self) -> Instant {
        if self.urgent { self.since } else { self.not_before.min(self.since + self.patience) }
    }

    fn is_patient(&self, now: Instant) -> bool {
        !self.urgent && now < self.since + self.patience
    }

    fn lose_patience(&mut self, now: Instant) {
        self.since = now;
        if !self.urgent {
            self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_rests_longer_each_time_and_is_read_all_the_same_now_and_then() {
        let (mut unread, log) = (Unread::default(), TreePath::from("log"));
        let began = Instant::now();
        // Written to all the time; tried whenever it is due, for ten minutes.
        let (mut now, mut tries, mut regular) = (began, Vec::new(), Vec::new());
        unread.add(log.clone(), began);
        while now < began + Duration::from_secs(600) {
            let touched = now;
            if let Some(path) = unread.next(now, |_| Some(touched)) {
                let patient = unread.is_patient(&path, now);
                if patient { &mut tries } else { &mut regular }.push(now - began);
                match patient {
                    true => assert!(!unread.moving(&path, now)),
                    false => unread.grown(&path, now, now),
                }
            }
            now = unread.due().unwrap().max(now + Duration::from_millis(1));
        }
        assert_eq!(tries.len(), 1, "{tries:?}");
        let seconds: Vec<u64> = regular.iter().map(Duration::as_secs).take(5).collect();
        assert_eq!(seconds, [10, 30, 70, 130, 190], "{regular:?}");
    }

    #[test]
    fn what_somebody_waits_for_is_read_at_once() {
        let (mut unread, path) = (Unread::default(), TreePath::from("x"));
        let now = Instant::now();
        unread.add(path.clone(), now);
        assert!(!unread.moving(&path, now));
        assert_eq!(unread.next(now, |_| Some(now)), None);
        unread.urge(&path);
        assert_eq!(unread.next(now, |_| Some(now)), Some(path.clone()));
        assert!(!unread.is_patient(&path, now));
        assert!(unread.moving(&path, now), "it was read twice, in vain");
        // One that takes a second to read is let be for two.
        let later = now + Duration::from_secs(1);
        unread.done(&path, now, later, true);
        assert_eq!(unread.due(), None);
        unread.add(path.clone(), later);
        assert_eq!(unread.due(), Some(later + Duration::from_secs(2)));
    }
}
