//! Which ids a box knows (pure), and the files that say so.
//!
//! One map for all boxes of a user, so that the image store has one ownership: the box's uid U and gid G (the host
//! user's own numbers) are the host user; every other id comes from the sub-id ranges in order. Root maps everything
//! to itself. Without ranges, or without newuidmap(1), U and G alone are there.

use crate::model::Host;
use crate::sys::linux::userns::{IdMap, IdRange, MapWriter};

/// How many ids boxes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdMode {
    /// All that an image may use, up to this many.
    Many { count: u32 },
    /// Only the host user's.
    Single,
}

/// The id map of `host`'s boxes. `subuid` and `subgid` are the texts of /etc/subuid and /etc/subgid (subuid(5)),
/// `own_uids` and `own_gids` those of this process's own maps, `has_tools` tells whether newuidmap(1) is there.
pub fn choose(
    host: &Host,
    subuid: &str,
    subgid: &str,
    own_uids: &str,
    own_gids: &str,
    has_tools: bool,
) -> (IdMap, IdMode) {
    if host.uid == 0 {
        let (uids, gids) = (identity(own_uids), identity(own_gids));
        let count = uids.iter().map(|r| r.inside.saturating_add(r.count)).max().unwrap_or(0);
        return (IdMap { uids, gids, writer: MapWriter::Privileged }, IdMode::Many { count });
    }
    let uid_ranges = ranges_of(subuid, host);
    let gid_ranges = ranges_of(subgid, host);
    if !has_tools || uid_ranges.is_empty() || gid_ranges.is_empty() {
        let own = |id| vec![IdRange { inside: id, outside: id, count: 1 }];
        return (IdMap { uids: own(host.uid), gids: own(host.gid), writer: MapWriter::Own }, IdMode::Single);
    }
    let (uids, gids) = (around(host.uid, &uid_ranges), around(host.gid, &gid_ranges));
    let last = |ranges: &[IdRange]| ranges.iter().map(|r| r.inside + r.count).max().unwrap_or(0);
    let count = contiguous(&uids).min(contiguous(&gids)).min(last(&uids));
    (IdMap { uids, gids, writer: MapWriter::Tools }, IdMode::Many { count })
}

/// How many ids from 0 on are mapped without a gap.
fn contiguous(ranges: &[IdRange]) -> u32 {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|r| r.inside);
    sorted.iter().fold(0, |next, r| if r.inside == next { next + r.count } else { next })
}

/// Every id that this process knows, as itself.
fn identity(own: &str) -> Vec<IdRange> {
    let numbers = |line: &str| line.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<u32>>();
    own.lines()
        .filter_map(|line| match numbers(line)[..] {
            [inside, _, count] => Some(IdRange { inside, outside: inside, count }),
            _ => None,
        })
        .collect()
}

/// The ranges of `host`'s user, listed by name or by number.
fn ranges_of(text: &str, host: &Host) -> Vec<(u32, u32)> {
    let number = host.uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let (start, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            ((owner == host.user_name || owner == number) && count > 0).then_some((start, count))
        })
        .collect()
}

/// `own` is itself; the ids below and above it are filled from `ranges` in order.
fn around(own: u32, ranges: &[(u32, u32)]) -> Vec<IdRange> {
    let mut map = vec![IdRange { inside: own, outside: own, count: 1 }];
    let mut next = 0u32;
    for &(start, count) in ranges {
        let (mut start, mut count) = (start, count);
        // 65,536 ids are what images use; more would only make newuidmap's line longer.
        while count > 0 && next <= 65_536 {
            if next == own {
                next += 1;
            }
            let until = if next < own { own - next } else { 65_537 - next };
            let take = count.min(until);
            if take == 0 {
                break;
            }
            map.push(IdRange { inside: next, outside: start, count: take });
            (next, start, count) = (next + take, start + take, count - take);
        }
    }
    map.sort_by_key(|r| r.inside);
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(uid: u32) -> Host {
        Host { uid, gid: uid, user_name: "me".into(), home: "/home/me".into(), architecture: "x86_64".into() }
    }

    fn shown(map: &[IdRange]) -> Vec<(u32, u32, u32)> {
        map.iter().map(|r| (r.inside, r.outside, r.count)).collect()
    }

    #[test]
    fn the_host_user_keeps_its_number_and_all_others_come_from_the_ranges() {
        let (map, mode) = choose(&host(1000), "me:100000:65536", "1000:100000:65536", "", "", true);
        assert_eq!(shown(&map.uids), [(0, 100_000, 1000), (1000, 1000, 1), (1001, 101_000, 64_536)]);
        assert_eq!(map.writer, MapWriter::Tools);
        assert_eq!(mode, IdMode::Many { count: 65_537 });
    }

    #[test]
    fn ranges_follow_each_other() {
        let text = "me:200:10\nother:5:5\nme:300:5\n";
        let (map, mode) = choose(&host(3), text, text, "", "", true);
        assert_eq!(shown(&map.uids), [(0, 200, 3), (3, 3, 1), (4, 203, 7), (11, 300, 5)]);
        assert_eq!(mode, IdMode::Many { count: 16 });
    }

    #[test]
    fn a_user_number_beyond_the_ranges_is_still_itself() {
        let (map, mode) = choose(&host(1_000_000), "me:100000:65536", "me:100000:65536", "", "", true);
        assert_eq!(shown(&map.uids), [(0, 100_000, 65_536), (1_000_000, 1_000_000, 1)]);
        assert_eq!(mode, IdMode::Many { count: 65_536 });
    }

    #[test]
    fn without_ranges_or_tools_one_id_is_left() {
        for (subuid, tools) in [("", true), ("me:100000:65536", false), ("garbage\n:::\n", true)] {
            let (map, mode) = choose(&host(1000), subuid, subuid, "", "", tools);
            assert_eq!((shown(&map.uids), mode), (vec![(1000, 1000, 1)], IdMode::Single), "{subuid}");
        }
    }

    #[test]
    fn root_is_itself_also_where_root_knows_few_ids() {
        let (map, _) = choose(&host(0), "", "", "0 0 4294967295\n", "0 100000 65536\n", false);
        assert_eq!(shown(&map.uids), [(0, 0, 4_294_967_295)]);
        assert_eq!(shown(&map.gids), [(0, 0, 65_536)]);
    }
}
