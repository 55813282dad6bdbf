//! `delta.tar.gz`: packs a closed directory, and unpacks an archive of unknown origin.

mod allowance;
mod pack;
mod unpack;

pub use pack::pack;
pub use unpack::{UnpackLimits, Unpacked, unpack};

/// The name of a packed delta, below the prefix of its run.
pub const ARCHIVE_NAME: &str = "delta.tar.gz";
