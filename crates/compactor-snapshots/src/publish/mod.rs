//! Publishing a new version: its files, then `.snapshot_hash`, then the manifest, which makes it complete;
//! then the pointer is swapped to it.
//!
//! Files may go up before the directory is verified: no reader sees them without a manifest.

mod archive;
mod new_version;
mod objects;
mod swap;
mod upload;

pub use new_version::{NewVersion, PublishSettings};
pub use swap::{SwapContext, Swapped};
pub use upload::{Prepared, Sent, Upload};
