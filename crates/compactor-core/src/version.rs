//! Ids of snapshots, which sort by age as plain strings.
//!
//! The Python writers delete all but the four greatest ids, so an id must never be smaller than its
//! parent's, whatever a clock says. Only [`Version::mint`] makes ids.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::time::WallTime;

// Leaves room for a successor of every readable id.
const LAST_YEAR: i16 = 9000;

/// The id of one snapshot: date, time and microseconds (UTC) and 8 random hex digits, as in
/// `20261121_000212_517191_74bfc63c`, or the shorter form `20251115_171818` of older writers.
/// Versions compare as strings, which is by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

/// A text that has neither form of a version, or names no calendar time from 1970 to 9000.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a version such as 20261121_000212_517191_74bfc63c")]
pub struct VersionError {
    /// The refused text, cut to 64 characters.
    pub text: String,
}

impl VersionError {
    /// The stable code of this error, listed in docs/errors.md.
    pub fn code(&self) -> &'static str {
        "CC-VERSION-INVALID"
    }
}

impl Version {
    /// Makes an id that is greater than `parent`: of the time `now`, or of one microsecond after the
    /// parent's time if the clock is behind that. The first 32 bits of `random` become the last 8 digits.
    pub fn mint(now: WallTime, random: Uuid, parent: Option<&Version>) -> Version {
        let mut time = now.max(WallTime(0)).civil();
        if time.year() > LAST_YEAR {
            time = DateTime::constant(LAST_YEAR, 12, 31, 0, 0, 0, 0);
        }
        let mut time = WallTime::from_civil(time).unwrap_or(WallTime(0));
        if let Some(parent) = parent {
            time = time.max(WallTime(parent.time().0.saturating_add(1)));
        }
        let t = time.civil();
        let suffix = random.as_fields().0;
        Version(format!(
            "{:04}{:02}{:02}_{:02}{:02}{:02}_{:06}_{suffix:08x}",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.subsec_nanosecond() / 1_000,
        ))
    }

    /// The id as it stands in keys and in the pointer.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The time in the id. It is a label, not a measurement: it may be ahead of every clock.
    pub fn time(&self) -> WallTime {
        // Every value was parsed when it was made, so the default is never used.
        parse(&self.0).unwrap_or(WallTime(0))
    }
}

fn parse(text: &str) -> Option<WallTime> {
    let mut parts = text.split('_');
    let date = digits(parts.next()?, 8)?;
    let time = digits(parts.next()?, 6)?;
    let micros = match parts.next() {
        None => 0,
        Some(micros) => {
            let suffix = parts.next()?;
            let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            if suffix.len() != 8 || !suffix.bytes().all(is_hex) || parts.next().is_some() {
                return None;
            }
            digits(micros, 6)?
        }
    };
    let year = i16::try_from(date / 10_000).ok()?;
    if !(1970..=LAST_YEAR).contains(&year) {
        return None;
    }
    let two = |number: i32, divisor: i32| i8::try_from(number / divisor % 100).ok();
    let civil = DateTime::new(
        year,
        two(date, 100)?,
        two(date, 1)?,
        two(time, 10_000)?,
        two(time, 100)?,
        two(time, 1)?,
        micros * 1_000,
    );
    WallTime::from_civil(civil.ok()?)
}

fn digits(part: &str, count: usize) -> Option<i32> {
    let all_digits = part.bytes().all(|b| b.is_ascii_digit());
    if part.len() == count && all_digits {
        part.parse().ok()
    } else {
        None
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        if parse(&text).is_some() {
            Ok(Self(text))
        } else {
            Err(VersionError {
                text: text.chars().take(64).collect(),
            })
        }
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl AsRef<str> for Version {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_of_either_form_are_read_and_sort_by_time() {
        let old = version("20251115_171818");
        let new = version("20251115_171818_000000_00000000");
        assert!(old < new);
        assert_eq!(old.time(), new.time());
        assert_eq!(
            version("20261121_000212_517191_74bfc63c").time().to_iso(),
            "2026-11-21T00:02:12.517191+00:00"
        );
    }

    #[test]
    fn version_text_that_is_no_calendar_time_is_refused() {
        for bad in [
            "",
            "latest-direct",
            "20251115",
            "20251315_171818",
            "20250230_000000",
            "20251115_246060",
            "20251115_171818_000000",
            "20251115_171818_000000_0000000",
            "20251115_171818_000000_ABCDEF01",
            "20251115_171818_000000_abcdef01_x",
            "20251115_171818\n",
            "+2025115_171818",
            "00001115_171818",
            "99991231_235959",
            "2025１115_171818",
        ] {
            assert_eq!(
                bad.parse::<Version>().unwrap_err().code(),
                "CC-VERSION-INVALID",
                "{bad:?}"
            );
        }
    }

    #[test]
    fn version_after_a_parent_ahead_of_the_clock_is_a_microsecond_later() {
        let parent = version("20991231_235959_999999_ffffffff");
        let child = Version::mint(WallTime(0), Uuid::nil(), Some(&parent));
        assert_eq!(child.as_str(), "21000101_000000_000000_00000000");
    }

    #[test]
    fn version_after_an_older_parent_has_the_time_of_the_clock() {
        let now = WallTime::parse_iso("2026-11-21T00:02:12.517191+00:00").unwrap();
        let random = Uuid::parse_str("74bfc63c-0000-4000-8000-000000000000").unwrap();
        let minted = Version::mint(now, random, Some(&version("20251115_171818")));
        assert_eq!(minted.as_str(), "20261121_000212_517191_74bfc63c");
    }

    proptest! {
        #[test]
        fn new_version_is_greater_than_its_parent(
            now in any::<i64>(),
            parent_time in any::<i64>(),
            (a, b) in any::<(u128, u128)>(),
        ) {
            let parent = Version::mint(WallTime(parent_time), Uuid::from_u128(a), None);
            let child = Version::mint(WallTime(now), Uuid::from_u128(b), Some(&parent));
            prop_assert!(child > parent, "{child} is not greater than {parent}");
            prop_assert_eq!(&child.as_str().parse::<Version>().unwrap(), &child);
        }

        #[test]
        fn new_version_is_greater_than_a_parent_of_the_older_form(now in any::<i64>(), second in 0i64..4_000_000_000) {
            let parent = Version::mint(WallTime(second * 1_000_000), Uuid::nil(), None);
            let parent = version(&parent.as_str()[..15]);
            let child = Version::mint(WallTime(now), Uuid::nil(), Some(&parent));
            prop_assert!(child > parent);
        }

        #[test]
        fn versions_sort_as_strings_by_time(
            a in 0i64..200_000_000_000_000_000,
            b in 0i64..200_000_000_000_000_000,
        ) {
            prop_assume!(a != b);
            let [va, vb] = [a, b].map(|t| Version::mint(WallTime(t), Uuid::nil(), None));
            prop_assert_eq!(a.cmp(&b), va.cmp(&vb));
        }

        #[test]
        fn arbitrary_text_does_not_make_the_version_parser_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Version>();
        }
    }
}
