//! What a clock said that was ahead and was set back since.
//!
//! Queue and locks go by the machine's wall clock, which all processes share. What is hidden or
//! locked until a time is free as well if that was said later than now: else a machine that was
//! started with a wrong clock would wait as long as that clock was ahead.

use std::time::Duration;

use compactor_core::ports::WallTime;

/// Clocks are set back by less every day, by those who keep them right.
const TOLERANCE: Duration = Duration::from_secs(60);

/// From when on a time was told by a clock that was set back since.
pub(crate) fn skewed_after(now: WallTime) -> WallTime {
    now.plus(TOLERANCE)
}
