//! Clock skew: times in the database that a clock wrote while it was ahead.
//!
//! Queue and locks go by the machine's wall clock, which all processes share. A row that hides or locks
//! something until a time also has the time at which it was written. If that is later than now, the
//! clock was ahead and has been set back since, and the row does not count. Otherwise a machine that
//! started with a wrong clock would wait for as long as that clock was ahead.

use std::time::Duration;

use compactor_core::ports::WallTime;

/// Time servers set clocks back by less than this in normal operation.
const TOLERANCE: Duration = Duration::from_secs(60);

/// The time after which no row can have been written by a right clock.
pub(crate) fn skewed_after(now: WallTime) -> WallTime {
    now.plus(TOLERANCE)
}
