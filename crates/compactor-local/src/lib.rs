//! The ports on one machine, with no cloud at all.
//!
//! Objects are plain files below a directory; queue, leases and run records share one SQLite file
//! beside them. Any number of processes may use one directory at the same time. A write is on disk
//! before its call returns, and a process that is killed at any instant leaves nothing to repair.
//!
//! ```text
//! DIR/objects/<key>                    the objects, as plain files; `Access` says who may read them
//! DIR/.meta/<key>/<its body>.json      the metadata of an object: a sidecar, named after its body
//! DIR/.tmp/                            bodies of writes under way
//! DIR/.locks/                          lock files between processes
//! DIR/coordination.sqlite3             queue, leases, run records
//! ```
//!
//! Only the owner of the directory can use anything but the objects, whatever the umask. A directory that
//! other accounts can write to is refused. Links, FIFOs, sockets and devices below `objects` are no
//! objects, and are never opened.
//!
//! A copy of the directory works like the original, if no process used the directory meanwhile. The copy
//! need not keep file times (`cp -r` works as `cp -a` does).
//!
//! The backend is for one machine and a local file system with nanosecond times (ext4, xfs, btrfs, apfs,
//! tmpfs). It is not for network file systems, whose locks and times are too weak.

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
pub use objects::DirectoryObjectStore;
pub use open_error::OpenError;
pub use queue::{DeadLetter, SqliteQueue};
pub use random_ids::RandomIds;
pub use runs::SqliteRunStore;
pub use system_clock::SystemClock;
