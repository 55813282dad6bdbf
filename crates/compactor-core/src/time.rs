//! Points in time, and the one text form in which the wall clock is stored.
//!
//! The text is Python's `isoformat()` of an aware UTC time, always with microseconds. Existing
//! writers compare these texts as strings, so the form must never vary: `Z` or a missing fraction
//! would sort wrongly. Nothing here reads a clock: that is what [`Clock`](crate::ports::Clock) is
//! for.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Wall-clock time in microseconds since the Unix epoch, UTC.
///
/// For names and records only. Lease arithmetic uses [`Monotonic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

/// Time since an arbitrary fixed origin; never goes back. For leases, deadlines and durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

/// The earliest time that the text form can express, in microseconds since 1970: the beginning of
/// the year 0.
const YEAR_ZERO: i64 = -62_167_219_200_000_000;

/// A text that is no ISO 8601 time, or one before the year 0.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a time such as 2026-11-21T00:11:47.918955+00:00")]
pub struct TimeError {
    /// The refused text, cut to 64 characters.
    pub text: String,
}

impl TimeError {
    /// The stable code of this error, listed in docs/errors.md.
    pub fn code(&self) -> &'static str {
        "CC-TIME-INVALID"
    }
}

impl WallTime {
    /// The stored form, as in `2026-11-21T00:11:47.918955+00:00`: always six digits of fraction, always
    /// `+00:00`. Times outside the years 0 to 9999 become the nearest time inside.
    pub fn to_iso(self) -> String {
        let t = self.civil();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+00:00",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.subsec_nanosecond() / 1_000
        )
    }

    /// Reads ISO 8601, with or without a fraction. A text without an offset counts as UTC, as the Python
    /// writers of naive times mean it.
    ///
    /// # Errors
    /// The text is no such time, or one before the year 0.
    pub fn parse_iso(text: &str) -> Result<Self, TimeError> {
        let aware = text.parse::<Timestamp>().ok();
        let naive = || text.parse::<DateTime>().ok().and_then(utc);
        let timestamp = aware.or_else(naive).map(Timestamp::as_microsecond);
        match timestamp.filter(|time| *time >= YEAR_ZERO) {
            Some(time) => Ok(Self(time)),
            None => Err(TimeError {
                text: text.chars().take(64).collect(),
            }),
        }
    }

    /// This time plus `duration`, or the greatest representable time if that is less.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// Date and time of day in UTC. Times outside the calendar become the nearest one inside.
    pub(crate) fn civil(self) -> DateTime {
        let timestamp =
            Timestamp::from_microsecond(self.0.max(YEAR_ZERO)).unwrap_or(Timestamp::MAX);
        TimeZone::UTC.to_datetime(timestamp)
    }

    pub(crate) fn from_civil(time: DateTime) -> Option<Self> {
        utc(time).map(|timestamp| Self(timestamp.as_microsecond()))
    }
}

fn utc(time: DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(time).ok()
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_iso())
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_iso(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_form_of_a_time_is_that_of_python() {
        assert_eq!(WallTime(0).to_iso(), "1970-01-01T00:00:00.000000+00:00");
        let time = WallTime::parse_iso("2026-11-21T00:11:47.918955+00:00").unwrap();
        assert_eq!(time.to_iso(), "2026-11-21T00:11:47.918955+00:00");
    }

    #[test]
    fn time_formats_of_other_writers_are_read() {
        let expected = WallTime::parse_iso("2026-11-21T00:11:47.000000+00:00").unwrap();
        for text in [
            "2026-11-21T00:11:47+00:00",
            "2026-11-21T00:11:47Z",
            "2026-11-21T00:11:47",
        ] {
            assert_eq!(WallTime::parse_iso(text).unwrap(), expected, "{text}");
        }
        let east = WallTime::parse_iso("2026-11-21T02:11:47+02:00").unwrap();
        assert_eq!(east, expected);
        for bad in [
            "",
            "yesterday",
            "2026-02-30T00:00:00+00:00",
            "-000001-12-31T00:00:00Z",
        ] {
            assert_eq!(
                WallTime::parse_iso(bad).unwrap_err().code(),
                "CC-TIME-INVALID"
            );
        }
    }

    #[test]
    fn text_form_of_an_extreme_time_does_not_panic() {
        assert_eq!(
            WallTime(i64::MIN).to_iso(),
            "0000-01-01T00:00:00.000000+00:00"
        );
        assert!(WallTime(i64::MAX).to_iso().starts_with("9999-12-"));
        assert_eq!(WallTime(i64::MAX).plus(Duration::MAX), WallTime(i64::MAX));
    }

    proptest! {
        #[test]
        fn time_survives_its_text_form(micros in YEAR_ZERO..253_000_000_000_000_000) {
            let time = WallTime(micros);
            prop_assert_eq!(WallTime::parse_iso(&time.to_iso()).unwrap(), time);
        }

        #[test]
        fn text_forms_of_times_sort_by_time(
            a in YEAR_ZERO..253_000_000_000_000_000,
            b in YEAR_ZERO..253_000_000_000_000_000,
        ) {
            prop_assert_eq!(a.cmp(&b), WallTime(a).to_iso().cmp(&WallTime(b).to_iso()));
        }
    }
}
