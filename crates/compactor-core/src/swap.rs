//! The decision after the pointer swap: did we commit, did we lose, or do we not know?
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
//! Why *lost* is safe to conclude even while an unanswered put may still be on its way: that put
//! carries the old tag, version ids are never used twice, so the pointer never has that tag again.

use crate::ports::{ETag, Fault, PortError, PortResult, PutOutcome};
use crate::{Manifest, RunId, Version};

/// What the conditional put of the pointer answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutResult {
    /// Written.
    Written,
    /// The pointer was not what the put expected. It may be our own earlier attempt that moved it.
    PreconditionFailed,
    /// Another write was under way.
    Conflict,
    /// There is no pointer where one was expected.
    Absent,
    /// No definite answer: it may or may not have been written, or may yet be.
    Unknown,
}

impl PutResult {
    /// Reads the answer of the port. Faults that no repetition can change come back as errors; this
    /// put wrote nothing. If an earlier, identical put went unanswered, that one still may have:
    /// read back before giving up.
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

/// The result of trying to read one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is there.
    Found(T),
    /// It is not there.
    Absent,
    /// It could not be read, or not be understood.
    Unreadable,
}

/// One attempt to move a pointer.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The version we want it to name.
    pub version: &'a Version,
    /// The tag it had when we read it; none if there was no pointer.
    pub base: Option<&'a ETag>,
    /// The runs in our batch; none for a rollback.
    pub runs: &'a [RunId],
}

/// What reading the pointer, and the manifest of the version it names, showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadBack {
    /// The pointer names our version.
    Ours,
    /// The pointer is as we first read it.
    Unmoved,
    /// The pointer names another version whose parent is ours or whose lineage contains all our
    /// runs: ours was published and then followed, or somebody else applied the same runs.
    Superseded {
        /// What it names.
        current: Version,
    },
    /// The pointer names another version, whose lineage does not contain all our runs.
    Other {
        /// What it names.
        current: Version,
    },
    /// There was a pointer and now there is none.
    Absent,
    /// The pointer, or the manifest that would tell, could not be read.
    Unreadable,
}

impl Attempt<'_> {
    /// Makes sense of a read-back. `manifest` is that of the version the pointer names; it is looked
    /// at only when the pointer names a third version. A version without a manifest comes from a
    /// writer that knows no lineage and cannot be shown to contain our runs.
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
        // Without runs (a rollback, say) every lineage would contain all of them.
        is_parent || !self.runs.is_empty() && other.contains_all(self.runs)
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Our version was published. Record it and acknowledge.
    Committed,
    /// The runs are in the lineage of `current`, which is not our version. Record them against it
    /// and acknowledge; leave our upload alone.
    Superseded {
        /// The version that contains our runs.
        current: Version,
    },
    /// Our version was not published and never will be. Start again from `current`, or give the
    /// message back; leave our upload alone.
    Lost {
        /// What the pointer names; none if it is gone.
        current: Option<Version>,
    },
    /// Send the identical put again.
    RetrySame,
    /// The put alone does not tell: read the pointer, and decide again.
    NeedsReadBack,
    /// It cannot be known yet. Read back again; if there is no time, leave upload and message alone
    /// and let the next worker find out.
    Unknown,
}

/// Decides, by the table above.
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
