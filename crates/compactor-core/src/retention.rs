//! Which versions of a collection may be deleted.
//!
//! A version may go if it is older than the one that the pointer names, and if the pointer moved past it
//! longer ago than any reader takes. The store's dates say when the pointer moved, not the ids: an
//! upload may take long, wait, or never be published at all. A version newer than the pointer stays: a
//! writer may be about to publish it, and once no writer can, the pointer is past it.

use std::time::Duration;

use crate::Version;
use crate::time::WallTime;

/// Which superseded versions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// How many published versions are kept, counting the one that the pointer names. 0 counts as 1.
    pub versions: usize,
    /// For how long a version is kept after the pointer moved past it.
    pub age: Duration,
}

impl RetentionPolicy {
    /// Whether `time` is at least [`age`](Self::age) before `now`.
    pub fn is_past(&self, time: WallTime, now: WallTime) -> bool {
        time.plus(self.age) <= now
    }
}

/// A version that the pointer names, or named once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The id of the version.
    pub version: Version,
    /// A time by which the pointer had named it, by the store's clock; `None` if that is not known. For
    /// the version that the pointer names now, that is when the pointer was written. For an older one,
    /// it is when the manifest of a version made from it was written, because the writer of that one read
    /// the pointer first.
    pub by: Option<WallTime>,
}

/// Chooses the versions to delete, oldest first. `versions` are all versions that have objects.
/// `published` are the publications, newest first and without gaps, beginning with the version that the
/// pointer names. `now` is the time of this machine.
///
/// No cycle moves the pointer back. So at the time when the pointer named one version, cycles had moved
/// it past every older one.
pub fn superseded(
    versions: &[Version],
    published: &[Publication],
    policy: RetentionPolicy,
    now: WallTime,
) -> Vec<Version> {
    let is_settled = |publication: &&Publication| {
        let by = publication.by;
        by.is_some_and(|by| policy.is_past(by, now))
    };
    let last_kept = published.get(policy.versions.max(1) - 1);
    let settled = published.iter().find(is_settled);
    let (Some(last_kept), Some(settled)) = (last_kept, settled) else {
        return Vec::new();
    };
    let first_kept = (&last_kept.version).min(&settled.version);
    let older = versions.iter().filter(|version| *version < first_kept);
    let mut doomed: Vec<Version> = older.cloned().collect();
    doomed.sort();
    doomed.dedup();
    doomed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn version(second: i64) -> Version {
        Version::mint(at(second), Uuid::nil(), None)
    }

    fn at(second: i64) -> WallTime {
        WallTime(1_795_219_200_000_000 + second * 1_000_000)
    }

    fn kept(count: usize, seconds: u64) -> RetentionPolicy {
        RetentionPolicy {
            versions: count,
            age: Duration::from_secs(seconds),
        }
    }

    /// Newest first; each with the second of its id and the one by which it was published.
    fn published(times: &[(i64, i64)]) -> Vec<Publication> {
        let publication = |(id, by): &(i64, i64)| Publication {
            version: version(*id),
            by: Some(at(*by)),
        };
        times.iter().map(publication).collect()
    }

    #[test]
    fn version_is_superseded_only_beyond_both_count_and_age() {
        let versions: Vec<Version> = (0..6).map(|n| version(n * 10)).collect();
        let all = published(&[(50, 59), (40, 49), (30, 39), (20, 29), (10, 19), (0, 9)]);
        let doomed =
            |newest: usize, policy, now| superseded(&versions, &all[5 - newest..], policy, at(now));
        assert_eq!(doomed(5, kept(4, 0), 1000), versions[..2]);
        assert_eq!(
            doomed(5, kept(0, 0), 1000),
            versions[..5],
            "never the published one"
        );
        assert_eq!(
            doomed(3, kept(2, 0), 1000),
            versions[..2],
            "nor what is newer"
        );
        // The second one was published by 19, the third by 29.
        assert_eq!(doomed(5, kept(1, 100), 118), []);
        assert_eq!(doomed(5, kept(1, 100), 119), versions[..1]);
        assert_eq!(doomed(5, kept(1, 100), 128), versions[..1]);
        assert_eq!(doomed(5, kept(1, 100), 129), versions[..2]);
        assert_eq!(doomed(0, kept(1, 0), 1000), []);
        assert_eq!(superseded(&versions, &[], kept(1, 0), at(1000)), []);
    }

    #[test]
    fn unpublished_uploads_do_not_age_a_published_version() {
        // Three unpublished uploads lie between the last two published versions.
        let versions = [0, 10, 20, 30, 99].map(version);
        let doomed = |by, now| superseded(&versions, &published(&[(99, by)]), kept(1, 50), at(now));
        assert_eq!(doomed(100, 149), []);
        assert_eq!(doomed(100, 150), versions[..4]);
        // Its id was minted, and long after that it was published.
        assert_eq!(doomed(500, 549), []);
    }

    #[test]
    fn no_version_is_superseded_while_no_publication_has_a_date() {
        let mut all = published(&[(20, 20), (10, 10)]);
        for publication in &mut all {
            publication.by = None;
        }
        let versions = [0, 10, 20].map(version);
        assert_eq!(superseded(&versions, &all, kept(1, 0), at(1000)), []);
    }

    proptest! {
        /// Ids grow and are published in their order; some versions never are; ids say little about
        /// when.
        #[test]
        fn version_that_a_reader_could_be_using_is_not_superseded(
            steps in proptest::collection::vec((1_i64..50, 0_i64..90, any::<bool>()), 1..20),
            gaps in any::<u32>(),
            count in 0_usize..6,
            age in 0_u64..500,
            now in 0_i64..2000,
        ) {
            let (mut id, mut time) = (0, 0);
            let (mut versions, mut history) = (Vec::new(), Vec::new());
            for (step, wait, is_published) in steps {
                (id, time) = (id + step, time + wait);
                versions.push(version(id));
                if is_published {
                    history.push((id, time));
                }
            }
            // What is known, newest first; of the older ones perhaps not all.
            let mut known = history.clone();
            known.reverse();
            let keep = |(place, _): &(usize, &(i64, i64))| {
                *place < count.max(1) || gaps & (1 << place) == 0
            };
            let known: Vec<_> = known.iter().enumerate().filter(keep).map(|(_, one)| *one).collect();
            let policy = kept(count, age);
            let doomed = superseded(&versions, &published(&known), policy, at(now));
            for (place, (id, _)) in history.iter().enumerate() {
                if doomed.contains(&version(*id)) {
                    prop_assert!(history.len() - place > count.max(1));
                    let (_, moved) = history[place + 1];
                    prop_assert!(policy.is_past(at(moved), at(now)));
                }
            }
            let newest = history.last().map(|(id, _)| version(*id));
            prop_assert!(doomed.iter().all(|gone| Some(gone) < newest.as_ref()));
        }
    }
}
