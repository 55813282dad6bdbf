//! The ports on one machine, with no cloud at all.
//!
//! Objects are plain files below a directory; queue, leases and run records are one SQLite file
//! beside them. Any number of processes may use one directory at the same time. What is written is
//! on disk before a call returns, and a process killed at any instant leaves nothing to repair.
//!
//! ```text
//! DIR/objects/<key>                    the objects, as plain files; others may read them by [`Access`]
//! DIR/.meta/<key>/<their body>.json    their user metadata
//! DIR/.tmp/                            writes under way
//! DIR/.locks/                          lock files between processes
//! DIR/coordination.sqlite3             queue, leases, run records
//! ```
//!
//! All but the objects is for the owner of the directory alone, whatever the umask, and a directory
//! that other accounts can write to is refused. Links, FIFOs, sockets and devices below `objects` are
//! no objects: they are never opened.
//!
//! A copy of the directory (`cp -a`, and other ways that lose times) that was made while no process
//! used it is as good as the original.
//!
//! For one machine and a local file system with nanosecond times (ext4, xfs, btrfs, apfs, tmpfs);
//! not for network file systems, whose locks and times are not good enough.

mod access;
mod backend;
mod blocking;
mod clock_skew;
mod coordination;
mod fault;
mod leases;
mod lock_file;
mod objects;
mod open_error;
mod queue;
mod random_ids;
mod runs;
mod system_clock;

pub use access::{Access, own_folder};
pub use backend::{LocalBackend, LocalOptions};
pub use leases::SqliteLeaseStore;
pub use lock_file::LOCK_WAIT;
pub use objects::DirectoryObjectStore;
pub use open_error::OpenError;
pub use queue::{DeadLetter, SqliteQueue};
pub use random_ids::RandomIds;
pub use runs::SqliteRunStore;
pub use system_clock::SystemClock;
