//! The record of a run and how it may change.
//!
//! Every store of run records applies these transitions and no others. COMPLETED is final: it promises
//! that the delta is in the published lineage, and producers then delete their originals. Only a lost
//! update takes it back: a writer that does not keep the protocol overwrote that version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;
use crate::{CollectionName, Fence, RunKey, Version};

/// The state of one collection's part of a run. Stored in capitals, as the Python writers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunState {
    /// The run is announced. If the part has an error, the last attempt failed and another follows.
    #[default]
    Pending,
    /// A worker began an attempt. It may have been killed since.
    Processing,
    /// The run is in the published lineage. Final.
    Completed,
    /// The run is given up. A new announcement starts it again.
    Failed,
}

impl RunState {
    /// The stored form: the name in capitals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Processing => "PROCESSING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }

    /// Reads the stored form. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Processing,
            Self::Completed,
            Self::Failed,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a completed attempt reports, measured on the published snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Records of the delta that are in the snapshot because of this run.
    pub merged_vectors: u64,
    /// Operations of the delta without effect: updates and deletes of ids that do not exist.
    pub ignored_operations: u64,
    /// The version whose lineage contains the run.
    pub version: Version,
    /// The fence under which that version was published.
    pub fence: Fence,
    /// When the worker completed the run.
    pub at: WallTime,
}

/// What a failed attempt reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code of the error, a colon, and its text.
    pub error: String,
    /// When the attempt failed.
    pub at: WallTime,
    /// Whether no attempt follows. A client that waits for a run takes FAILED for its end.
    pub for_good: bool,
}

/// One collection's part of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunPart {
    /// The prefix of its delta, as announced; empty if the record was made without one.
    pub prefix: String,
    /// How far this part is.
    pub state: RunState,
    /// When the last attempt began. `None` before the first.
    pub started_at: Option<WallTime>,
    /// When the part became COMPLETED or FAILED. `None` until then.
    pub finished_at: Option<WallTime>,
    /// Code and text of the last failure. It stays through the next attempt; success clears it.
    pub error: Option<String>,
    /// Records of the delta that are in the snapshot because of this run.
    pub merged_vectors: u64,
    /// Operations of the delta without effect: updates and deletes of ids that do not exist.
    #[serde(default)]
    pub ignored_operations: u64,
    /// The version whose lineage contains the run. `None` unless COMPLETED.
    pub version: Option<Version>,
    /// The fence under which that version was published. `None` unless COMPLETED.
    pub fence: Option<Fence>,
}

impl RunPart {
    /// A part that is announced and that no worker has begun.
    pub fn pending(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            ..Self::default()
        }
    }

    /// A worker begins an attempt: PROCESSING. Nothing changes if the part is COMPLETED.
    pub fn start(&mut self, prefix: &str, at: WallTime) {
        if self.state == RunState::Completed {
            return;
        }
        self.state = RunState::Processing;
        prefix.clone_into(&mut self.prefix);
        self.started_at = Some(at);
        self.finished_at = None;
    }

    /// The run is in the published lineage: COMPLETED. Nothing changes if the part is COMPLETED already:
    /// the first report stays.
    pub fn complete(&mut self, completion: &Completion) {
        if self.state == RunState::Completed {
            return;
        }
        self.state = RunState::Completed;
        self.finished_at = Some(completion.at);
        self.error = None;
        self.merged_vectors = completion.merged_vectors;
        self.ignored_operations = completion.ignored_operations;
        self.version = Some(completion.version.clone());
        self.fence = Some(completion.fence);
    }

    /// An attempt failed: FAILED if for good, else PENDING, with the error. Nothing changes if the part
    /// is COMPLETED.
    pub fn fail(&mut self, failure: &Failure) {
        if self.state == RunState::Completed {
            return;
        }
        self.error = Some(failure.error.clone());
        if failure.for_good {
            self.state = RunState::Failed;
            self.finished_at = Some(failure.at);
        } else {
            self.state = RunState::Pending;
        }
    }

    /// Another writer overwrote the version in which the run was completed: FAILED, with the reason.
    /// Returns `false`, and changes nothing, if the part is not COMPLETED in exactly that version.
    pub fn retract(&mut self, version: &Version, reason: &str, at: WallTime) -> bool {
        if self.state != RunState::Completed || self.version.as_ref() != Some(version) {
            return false;
        }
        self.state = RunState::Failed;
        self.error = Some(reason.to_owned());
        self.finished_at = Some(at);
        self.merged_vectors = 0;
        self.ignored_operations = 0;
        self.version = None;
        self.fence = None;
        true
    }
}

/// The record of a run, with one part per collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The key under which the record is stored.
    pub key: RunKey,
    /// When the record was made. Listings sort by it.
    pub created_at: WallTime,
    /// When the record last changed.
    pub updated_at: WallTime,
    /// The part of each collection that the run has a delta for.
    pub parts: BTreeMap<CollectionName, RunPart>,
}

impl RunRecord {
    /// A new record of which every part is PENDING. `deltas` are the collections with the prefixes of
    /// their deltas.
    pub fn new(
        key: RunKey,
        deltas: impl IntoIterator<Item = (CollectionName, String)>,
        at: WallTime,
    ) -> Self {
        let parts = deltas
            .into_iter()
            .map(|(c, prefix)| (c, RunPart::pending(prefix)))
            .collect();
        Self {
            key,
            created_at: at,
            updated_at: at,
            parts,
        }
    }

    /// Starts the collection's part, as [`RunPart::start`] does. A missing part is made.
    pub fn start(&mut self, collection: &CollectionName, prefix: &str, at: WallTime) {
        self.change(collection, at, |part| part.start(prefix, at));
    }

    /// Completes the collection's part, as [`RunPart::complete`] does. A missing part is made.
    pub fn complete(&mut self, collection: &CollectionName, completion: &Completion) {
        self.change(collection, completion.at, |part| part.complete(completion));
    }

    /// Fails the collection's part, as [`RunPart::fail`] does. A missing part is made.
    pub fn fail(&mut self, collection: &CollectionName, failure: &Failure) {
        self.change(collection, failure.at, |part| part.fail(failure));
    }

    /// Takes the completion of the collection's part back, as [`RunPart::retract`] does. A missing part
    /// is not made.
    pub fn retract(
        &mut self,
        collection: &CollectionName,
        version: &Version,
        reason: &str,
        at: WallTime,
    ) -> bool {
        let part = self.parts.get_mut(collection);
        let retracted = part.is_some_and(|part| part.retract(version, reason, at));
        if retracted {
            self.updated_at = at;
        }
        retracted
    }

    fn change(
        &mut self,
        collection: &CollectionName,
        at: WallTime,
        transition: impl FnOnce(&mut RunPart),
    ) {
        let part = self.parts.entry(collection.clone()).or_default();
        let before = part.clone();
        transition(part);
        if *part != before {
            self.updated_at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(at: i64) -> Completion {
        Completion {
            merged_vectors: 9,
            ignored_operations: 2,
            version: "20261121_000212_517191_74bfc63c".parse().unwrap(),
            fence: Fence(3),
            at: WallTime(at),
        }
    }

    fn record() -> (RunRecord, CollectionName) {
        let lines: CollectionName = "lines".parse().unwrap();
        let words: CollectionName = "words".parse().unwrap();
        let key = RunKey::plain("r1".parse().unwrap());
        let deltas = [
            (lines.clone(), "lines/delta/r1/".to_owned()),
            (words, String::new()),
        ];
        (RunRecord::new(key, deltas, WallTime(1)), lines)
    }

    fn failure(error: &str, at: i64) -> Failure {
        Failure {
            error: error.to_owned(),
            at: WallTime(at),
            for_good: true,
        }
    }

    #[test]
    fn run_record_goes_through_its_states() {
        let (mut record, lines) = record();
        record.start(&lines, "lines/delta/r1/", WallTime(2));
        assert_eq!(record.parts[&lines].state, RunState::Processing);
        record.fail(&lines, &failure("CC-X: broken", 3));
        assert_eq!(record.parts[&lines].state, RunState::Failed);
        record.start(&lines, "lines/delta/r1/", WallTime(4));
        assert_eq!(record.parts[&lines].error.as_deref(), Some("CC-X: broken"));
        assert_eq!(record.parts[&lines].finished_at, None);
        record.complete(&lines, &completion(5));
        let part = &record.parts[&lines];
        assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 9));
        assert_eq!(
            (part.started_at, part.finished_at),
            (Some(WallTime(4)), Some(WallTime(5)))
        );
        assert_eq!((&part.error, part.fence), (&None, Some(Fence(3))));
        assert_eq!(
            (record.created_at, record.updated_at),
            (WallTime(1), WallTime(5))
        );
        let words: CollectionName = "words".parse().unwrap();
        assert_eq!(record.parts[&words], RunPart::pending(""));
    }

    #[test]
    fn completed_part_of_a_run_never_changes() {
        let (mut record, lines) = record();
        record.complete(&lines, &completion(5));
        let completed = record.clone();
        record.start(&lines, "elsewhere/", WallTime(6));
        record.fail(&lines, &failure("late", 7));
        record.complete(
            &lines,
            &Completion {
                merged_vectors: 0,
                ignored_operations: 0,
                ..completion(8)
            },
        );
        assert_eq!(record, completed);
    }

    #[test]
    fn completion_is_retracted_only_for_the_overwritten_version() {
        let (mut record, lines) = record();
        let other: Version = "20261121_000212_517191_00000000".parse().unwrap();
        let version = completion(5).version;
        assert!(!record.retract(&lines, &version, "lost", WallTime(4)));
        record.complete(&lines, &completion(5));
        let completed = record.clone();
        assert!(!record.retract(&lines, &other, "lost", WallTime(6)));
        assert_eq!(record, completed);
        assert!(record.retract(&lines, &version, "lost", WallTime(6)));
        let part = &record.parts[&lines];
        assert_eq!((part.state, part.merged_vectors), (RunState::Failed, 0));
        assert_eq!((&part.version, part.fence), (&None, None));
        assert_eq!(part.error.as_deref(), Some("lost"));
        record.complete(&lines, &completion(7));
        assert_eq!(record.parts[&lines].state, RunState::Completed);
    }

    #[test]
    fn run_state_is_stored_in_capitals() {
        for state in [
            RunState::Pending,
            RunState::Processing,
            RunState::Completed,
            RunState::Failed,
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(RunState::parse(state.as_str()), Some(state));
        }
        assert_eq!(RunState::parse("pending"), None);
    }
}
