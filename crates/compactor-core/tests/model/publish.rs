//! The swap of a worker: the put, with all its possible fates, and the read-back.

use compactor_core::ports::{Condition, ETag, Fault, PortError, PutOutcome};
use compactor_core::swap::{Attempt, Decision, PutResult, Seen, decide};
use compactor_core::{Manifest, Version};

use super::protocol::{Mistake, Protocol};
use super::snapshots::{Content, Objects};
use super::worker::{Answer, Cycle, Found, Turn, Worker};
use super::world::World;

/// The fate of one put of the pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The store does what the condition says, and its answer comes.
    Answered,
    /// The store does what the condition says, and its answer does not come.
    AnswerLost,
    /// It never reaches the store.
    RequestLost,
    /// It reaches the store after its sender has stopped waiting, or never.
    Delayed,
    /// Another write is under way (409).
    Conflict,
}

impl Fate {
    pub(crate) const ALL: [Self; 5] = [
        Self::Answered,
        Self::AnswerLost,
        Self::RequestLost,
        Self::Delayed,
        Self::Conflict,
    ];
}

/// What a read-back can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Pointer and manifest.
    Everything,
    /// The pointer alone.
    Pointer,
    /// Nothing.
    Nothing,
}

impl Sight {
    pub(crate) const ALL: [Self; 3] = [Self::Everything, Self::Pointer, Self::Nothing];
}

/// How a worker knows that runs are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Evidence {
    /// The put was answered.
    Written,
    /// The pointer names its version.
    ReadBack,
    /// The pointer names another version that contains the runs.
    Superseded,
    /// They were in the lineage before it began.
    Lineage,
}

/// What the pointer has to be for this version to be named.
pub(crate) fn condition(protocol: &Protocol, content: &Content) -> Condition {
    if protocol.has(Mistake::PutUnconditionally) {
        return Condition::Always;
    }
    content
        .base_tag()
        .map_or(Condition::IfAbsent, Condition::IfMatch)
}

impl Turn<'_> {
    pub(crate) fn put(&mut self, cycle: Cycle, upload: usize, fate: Fate) {
        let answer = self.send(upload, fate);
        match (answer, self.protocol.mistake) {
            (PutResult::PreconditionFailed, Some(Mistake::DeleteOnRefusal)) => {
                self.world.versions[upload].objects = Objects::None;
                self.leave();
            }
            (PutResult::Unknown, Some(Mistake::SilenceIsSuccess)) => {
                self.publish(cycle, upload, Evidence::Written);
            }
            _ => match decide(answer, None) {
                Decision::Committed => self.publish(cycle, upload, Evidence::Written),
                decision => self.go_on(cycle, upload, answer, decision),
            },
        }
    }

    /// Sends the put, and returns the answer of the port.
    fn send(&mut self, upload: usize, fate: Fate) -> PutResult {
        let condition = condition(self.protocol, &self.world.versions[upload].content);
        let answer = match fate {
            Fate::Answered => Ok(self.world.put_pointer(upload, &condition)),
            Fate::AnswerLost => {
                self.world.put_pointer(upload, &condition);
                Err(silence())
            }
            Fate::RequestLost => Err(silence()),
            Fate::Delayed => {
                self.world.wire.insert(upload);
                Err(silence())
            }
            Fate::Conflict => Ok(PutOutcome::Conflict),
        };
        PutResult::of(answer).expect("no fault here is definite")
    }

    pub(crate) fn read_back(&mut self, cycle: Cycle, upload: usize, answer: Answer, sight: Sight) {
        let content = &self.world.versions[upload].content;
        let (base, runs) = (content.base_tag(), cycle.task.run_ids());
        let attempt = Attempt {
            version: &content.version,
            base: base.as_ref(),
            runs: &runs,
        };
        let (pointer, manifest) = read(self.world, sight);
        let seen = attempt.read_back(pointer, &manifest);
        match decide(answer.0, Some(seen)) {
            Decision::Committed => self.publish(cycle, upload, Evidence::ReadBack),
            decision => self.go_on(cycle, upload, answer.0, decision),
        }
    }

    fn go_on(&mut self, cycle: Cycle, upload: usize, answer: PutResult, decision: Decision) {
        match decision {
            Decision::Committed => unreachable!("callers handle it, with its evidence"),
            Decision::Superseded { current } => {
                let current = self.world.place(&current);
                self.publish(cycle, current, Evidence::Superseded);
            }
            Decision::Lost { .. } => self.rebase(cycle),
            Decision::RetrySame => self.enter(Worker::Swapping(cycle, upload)),
            Decision::NeedsReadBack => {
                self.enter(Worker::ReadingBack(cycle, upload, Answer(answer)));
            }
            // The daemon forgets the answer and asks again.
            Decision::Unknown => {
                let answer = Answer(PutResult::Unknown);
                self.enter(Worker::ReadingBack(cycle, upload, answer));
            }
        }
    }

    fn publish(&mut self, cycle: Cycle, version: usize, evidence: Evidence) {
        let found = Found {
            runs: cycle.task.runs(),
            version,
            evidence,
            rest_on: None,
        };
        self.enter(Worker::Published(cycle, found));
    }

    fn rebase(&mut self, cycle: Cycle) {
        if cycle.rebases == self.protocol.rebases {
            return self.leave();
        }
        let rebases = cycle.rebases + 1;
        self.enter(Worker::Leased(Cycle { rebases, ..cycle }));
    }
}

fn silence() -> PortError {
    PortError::new(
        "put object",
        "the pointer",
        Fault::OutcomeUnknown,
        "no answer came",
    )
}

/// Pointer and manifest as a read-back finds them.
fn read(world: &World, sight: Sight) -> (Seen<(Version, ETag)>, Seen<Manifest>) {
    let Some(published) = world.published() else {
        let pointer = match sight {
            Sight::Nothing => Seen::Unreadable,
            Sight::Everything | Sight::Pointer => Seen::Absent,
        };
        return (pointer, Seen::Unreadable);
    };
    let content = &published.content;
    let pointer = || Seen::Found((content.version.clone(), content.tag()));
    match sight {
        Sight::Everything => (pointer(), published.read_manifest()),
        Sight::Pointer => (pointer(), Seen::Unreadable),
        Sight::Nothing => (Seen::Unreadable, Seen::Unreadable),
    }
}
