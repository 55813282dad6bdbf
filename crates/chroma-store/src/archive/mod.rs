//! `delta.tar.gz`: packing a closed directory, and unpacking what somebody else packed.

mod allowance;
mod pack;
mod unpack;

pub use pack::pack;
pub use unpack::{UnpackLimits, Unpacked, unpack};

/// The name of a packed delta under its prefix.
pub const ARCHIVE_NAME: &str = "delta.tar.gz";
