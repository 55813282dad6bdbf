//! The handle on a directory: open, or proven closed. The type says which.
//!
//! An open store that is dropped abandons its work: SQLite rolls back what is not committed, and
//! there is no [`ClosedStore`] to pack or upload.

mod closed;
mod copy;
mod file_stamp;
mod files;
mod open;
pub(crate) mod orphans;
mod proof;
pub(crate) mod room;
mod sound;
mod stamps;

use std::path::{Path, PathBuf};

pub use closed::{Closed, ClosedStore};
pub use copy::copy_directory;
pub use file_stamp::FileStamp;
pub use files::{SIDE_CAR_NAMES, StoredFile};
pub use open::Open;
pub use orphans::Orphan;
pub use proof::{CloseOptions, Pause, ThreadPause, refuse_open_elsewhere};
pub use room::Room;
pub(crate) use sound::Sound;

/// A Chroma directory in the state `S`: [`Open`] or [`Closed`].
#[derive(Debug)]
pub struct Store<S> {
    dir: PathBuf,
    state: S,
}

impl<S> Store<S> {
    /// The directory, as its opener named it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
