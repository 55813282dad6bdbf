//! The decision after the pointer swap: is it committed, is it lost, or is that not known yet?
//!
//! [`decide`] is a plain function of what the conditional put answered and, where that is not
//! enough, of what a read-back showed. It is the same code in production, in the tables below and
//! in model checks. Nothing here does I/O, and nothing here may ever advise to delete an upload.
//!
//! | put ↓ read-back → | none | ours | unmoved | superseded | other | absent | unreadable |
//! |---|---|---|---|---|---|---|---|
//! | written | committed | committed | committed | committed | committed | committed | committed |
//! | precondition failed (412) | read back | committed | retry same | superseded | lost | lost | unknown |
//! | conflict (409) | read back | committed | retry same | superseded | lost | lost | unknown |
//! | absent (404) | read back | committed | retry same | superseded | lost | lost | unknown |
//! | unknown (no answer) | retry same | committed | retry same | superseded | lost | lost | unknown |
//!
//! *Lost* is a safe conclusion even while an unanswered put may still be on its way. That put carries
//! the old tag, and no version id is used twice, so the pointer never has that tag again.

use crate::ports::{ETag, Fault, PortError, PortResult, PutOutcome};
use crate::{Manifest, RunId, Version};

/// The answer to the conditional put of the pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutResult {
    /// The store moved the pointer to our version.
    Written,
    /// The pointer did not have the expected tag. Our own earlier attempt may have moved it.
    PreconditionFailed,
    /// The store refused the put because another write was under way.
    Conflict,
    /// There is no pointer where one was expected.
    Absent,
    /// No definite answer came: the put was applied, was not, or may yet be.
    Unknown,
}

impl PutResult {
    /// Reads the answer of the port.
    ///
    /// # Errors
    /// The answer is a fault that no repetition changes: this put wrote nothing. If an earlier, identical
    /// put went unanswered, that one may have been applied, so read back before giving up.
    pub fn of(answer: PortResult<PutOutcome>) -> Result<Self, PortError> {
        match answer {
            Ok(PutOutcome::Written(_)) => Ok(Self::Written),
            Ok(PutOutcome::PreconditionFailed) => Ok(Self::PreconditionFailed),
            Ok(PutOutcome::Conflict) => Ok(Self::Conflict),
            Ok(PutOutcome::Absent) => Ok(Self::Absent),
            Err(error) => match error.fault {
                Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown => Ok(Self::Unknown),
                Fault::Denied
                | Fault::Missing
                | Fault::Full
                | Fault::TooLarge
                | Fault::Corrupt
                | Fault::Invalid
                | Fault::Unsupported => Err(error),
            },
        }
    }
}

/// The result of an attempt to read one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// The object exists, and this is what it says.
    Found(T),
    /// The key does not exist.
    Absent,
    /// The object could not be read or not be understood.
    Unreadable,
}

/// One attempt to move a pointer.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The version that the pointer shall name.
    pub version: &'a Version,
    /// The tag of the pointer when the base was read; `None` if there was no pointer.
    pub base: Option<&'a ETag>,
    /// The runs in our batch; empty for a rollback.
    pub runs: &'a [RunId],
}

/// What a read of the pointer, and of the manifest of the version that it names, showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadBack {
    /// The pointer names our version.
    Ours,
    /// The pointer is as it was when the base was read.
    Unmoved,
    /// The pointer names another version, whose parent is ours or whose lineage contains all our runs.
    /// Ours was published and then followed, or another worker published the same runs.
    Superseded {
        /// The version that the pointer names.
        current: Version,
    },
    /// The pointer names another version, whose lineage does not contain all our runs.
    Other {
        /// The version that the pointer names.
        current: Version,
    },
    /// There was a pointer when the base was read, and now there is none.
    Absent,
    /// The pointer, or the manifest that would decide, could not be read.
    Unreadable,
}

impl Attempt<'_> {
    /// Interprets a read-back. `manifest` is that of the version that the pointer names; it matters only
    /// where the pointer names neither our version nor the base. A version without a manifest comes from
    /// a writer that knows no lineage, so it does not count as containing our runs.
    pub fn read_back(&self, pointer: Seen<(Version, ETag)>, manifest: &Seen<Manifest>) -> ReadBack {
        let (current, etag) = match pointer {
            Seen::Unreadable => return ReadBack::Unreadable,
            Seen::Absent if self.base.is_none() => return ReadBack::Unmoved,
            Seen::Absent => return ReadBack::Absent,
            Seen::Found(found) => found,
        };
        if current == *self.version {
            return ReadBack::Ours;
        }
        if self.base == Some(&etag) {
            return ReadBack::Unmoved;
        }
        match manifest {
            Seen::Unreadable => ReadBack::Unreadable,
            // The pointer may have moved on between the two reads.
            Seen::Found(manifest) if manifest.version != current => ReadBack::Unreadable,
            Seen::Found(manifest) if self.is_within(manifest) => ReadBack::Superseded { current },
            Seen::Found(_) | Seen::Absent => ReadBack::Other { current },
        }
    }

    /// Whether what we wanted to publish is in the lineage of another version.
    fn is_within(&self, other: &Manifest) -> bool {
        let is_parent = other
            .parent
            .as_ref()
            .is_some_and(|p| p.version == *self.version);
        // Every lineage contains all of no runs, and a rollback has none.
        is_parent || !self.runs.is_empty() && other.contains_all(self.runs)
    }
}

/// What the worker does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Our version was published. Record it and acknowledge.
    Committed,
    /// The runs are in the lineage of `current`, which is not our version. Record them with that version
    /// and acknowledge; leave our upload alone.
    Superseded {
        /// The version that contains our runs.
        current: Version,
    },
    /// Our version was not published and never will be. Start again from `current`, or give the
    /// messages back; leave our upload alone.
    Lost {
        /// The version that the pointer names; `None` if the pointer is gone.
        current: Option<Version>,
    },
    /// Send the identical put again.
    RetrySame,
    /// The answer to the put is not enough: read the pointer, and decide again.
    NeedsReadBack,
    /// The outcome is not known yet. Read back again. If no time is left, leave upload and messages alone:
    /// the next worker finds out.
    Unknown,
}

/// Decides by the table at the top of this module.
pub fn decide(put: PutResult, read_back: Option<ReadBack>) -> Decision {
    match (put, read_back) {
        (PutResult::Written, _) => Decision::Committed,
        (PutResult::Unknown, None) => Decision::RetrySame,
        (_, None) => Decision::NeedsReadBack,
        (_, Some(ReadBack::Ours)) => Decision::Committed,
        (_, Some(ReadBack::Unmoved)) => Decision::RetrySame,
        (_, Some(ReadBack::Superseded { current })) => Decision::Superseded { current },
        (_, Some(ReadBack::Other { current })) => Decision::Lost {
            current: Some(current),
        },
        (_, Some(ReadBack::Absent)) => Decision::Lost { current: None },
        (_, Some(ReadBack::Unreadable)) => Decision::Unknown,
    }
}

#[cfg(test)]
mod tests;
