//! Which versions of a collection may be deleted.
//!
//! Only what is older than the version that the pointer names, and that no reader can be using any
//! more: it was superseded longer ago than any reader takes. What is newer than the pointer is left
//! alone, whoever made it: it may be about to be named, and once it cannot be any more, the pointer
//! is past it.

use std::time::Duration;

use crate::Version;
use crate::ports::WallTime;

/// What is kept although it is superseded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// How many versions, the published one among them; at least that one is.
    pub versions: usize,
    /// For how long a version is kept after another one followed it.
    pub age: Duration,
}

/// The versions to delete, oldest first. `versions` are all that have objects, `pointer` is the one
/// that is published.
///
/// A version is followed by the next one that is not newer than the pointer; the time in that one's
/// id tells when.
pub fn superseded(
    versions: &[Version],
    pointer: &Version,
    policy: RetentionPolicy,
    now: WallTime,
) -> Vec<Version> {
    let mut until_pointer: Vec<&Version> = versions.iter().filter(|v| *v <= pointer).collect();
    until_pointer.sort();
    if until_pointer.last() != Some(&pointer) {
        until_pointer.push(pointer);
    }
    until_pointer.dedup();
    let candidates = until_pointer.len().saturating_sub(policy.versions.max(1));
    let pairs = until_pointer.windows(2).take(candidates);
    pairs
        .filter(|pair| pair[1].time().plus(policy.age) <= now)
        .map(|pair| pair[0].clone())
        .collect()
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

    #[test]
    fn the_oldest_go_beyond_count_and_age() {
        let versions: Vec<Version> = (0..6).map(|n| version(n * 10)).collect();
        let doomed = |pointer: usize, policy, now| {
            superseded(&versions, &versions[pointer], policy, at(now))
        };
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
        // The second one followed at 10, the third at 20.
        assert_eq!(doomed(5, kept(1, 100), 110), versions[..1]);
        assert_eq!(doomed(5, kept(1, 100), 119), versions[..1]);
        assert_eq!(doomed(5, kept(1, 100), 120), versions[..2]);
        assert_eq!(doomed(0, kept(1, 0), 1000), []);
        assert_eq!(superseded(&[], &version(1), kept(1, 0), at(1000)), []);
    }

    proptest! {
        #[test]
        fn nothing_that_a_reader_could_be_using_goes(
            mut seconds in proptest::collection::vec(0_i64..1000, 1..20),
            pointer in 0_usize..20,
            count in 0_usize..6,
            age in 0_u64..500,
            now in 0_i64..2000,
        ) {
            let pointer = version(seconds[pointer % seconds.len()]);
            seconds.dedup();
            let versions: Vec<Version> = seconds.iter().map(|second| version(*second)).collect();
            let doomed = superseded(&versions, &pointer, kept(count, age), at(now));
            for gone in &doomed {
                prop_assert!(*gone < pointer);
                let next = versions.iter().filter(|other| *other > gone).min().unwrap();
                prop_assert!(next.time().plus(Duration::from_secs(age)) <= at(now));
            }
            let mut left: Vec<&Version> = versions
                .iter()
                .filter(|version| **version <= pointer && !doomed.contains(version))
                .collect();
            left.sort();
            left.dedup();
            let mut before: Vec<&Version> = versions.iter().filter(|v| **v <= pointer).collect();
            before.sort();
            before.dedup();
            prop_assert!(left.len() >= count.max(1).min(before.len()));
        }
    }
}
