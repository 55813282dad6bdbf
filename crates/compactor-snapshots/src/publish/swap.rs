//! Moving the pointer. `compactor_core::swap::decide` decides; this module only asks and repeats. Once
//! begun, a swap is never cancelled, and it never deletes anything.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compactor_core::disposition::Resource;
use compactor_core::ports::{Attributes, Clock, Condition, ETag, Monotonic, PutOutcome};
use compactor_core::swap::{Attempt, Decision, PutResult, ReadBack, Seen, decide};
use compactor_core::{Fence, Lineage, Manifest, RunId, Version, keys};
use tokio_util::task::TaskTracker;

use super::Prepared;
use crate::error::About as _;
use crate::{Error, Result, SnapshotRepository};

/// How a swap ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swapped {
    /// The pointer names this version, whose lineage contains the runs.
    Published {
        /// The version: the prepared one, or a later one that was made from it.
        version: Version,
        /// The fence under which it was published.
        fence: Fence,
    },
    /// Another writer moved the pointer first; the prepared version will never be named.
    Lost,
}

/// What a swap waits and is waited for by.
#[derive(Clone)]
pub struct SwapContext {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long the swap goes on asking when it does not know whether the pointer moved.
    pub budget: Duration,
    /// Tracks the swap: a process that ends at once waits for it.
    pub settling: TaskTracker,
}

impl SnapshotRepository {
    /// Moves the pointer to a prepared version, if its tag still is `expected`; with no tag, if there is no
    /// pointer. `runs` are those that the version adds to the lineage.
    ///
    /// # Errors
    /// [`Error::SwapUnknown`]: it cannot be known whether the pointer moved. Any other error says that it
    /// did not.
    pub async fn publish(
        &self,
        prepared: &Prepared,
        expected: Option<ETag>,
        runs: Vec<RunId>,
        context: SwapContext,
    ) -> Result<Swapped> {
        let manifest = prepared.manifest();
        let SwapContext {
            clock,
            budget,
            settling,
        } = context;
        let swap = Swap {
            repository: self.clone(),
            clock,
            budget,
            lineage: manifest.lineage(),
            version: manifest.version.clone(),
            metadata: prepared.metadata().clone(),
            fence: manifest.fence,
            base: expected,
            runs,
        };
        // A task of its own: dropping the caller's future must not stop it half-way.
        tokio::spawn(settling.track_future(swap.run())).await?
    }
}

struct Swap {
    repository: SnapshotRepository,
    clock: Arc<dyn Clock>,
    budget: Duration,
    lineage: Lineage,
    version: Version,
    metadata: Attributes,
    fence: Fence,
    base: Option<ETag>,
    runs: Vec<RunId>,
}

impl Swap {
    async fn run(self) -> Result<Swapped> {
        let clock = self.clock.as_ref();
        let deadline = Monotonic(clock.monotonic().0.saturating_add(self.budget));
        let mut attempt = 0;
        let mut last = None;
        let mut put = Some(self.put(&mut last).await?);
        loop {
            let decision = match put {
                Some(result) => match decide(result, None) {
                    Decision::NeedsReadBack => {
                        decide(result, Some(self.read_back(&mut last).await))
                    }
                    decision => decision,
                },
                None => {
                    let seen = self.read_back(&mut last).await;
                    decide(PutResult::Unknown, Some(seen))
                }
            };
            match decision {
                Decision::Committed => {
                    return Ok(Swapped::Published {
                        version: self.version,
                        fence: self.fence,
                    });
                }
                Decision::Superseded { current } => {
                    let fence = self.fence_of(&current).await;
                    return Ok(Swapped::Published {
                        version: current,
                        fence,
                    });
                }
                Decision::Lost { .. } => return Ok(Swapped::Lost),
                Decision::RetrySame | Decision::Unknown | Decision::NeedsReadBack
                    if clock.monotonic() >= deadline =>
                {
                    return Err(Error::SwapUnknown {
                        collection: self.lineage.to_string(),
                        version: self.version.to_string(),
                        reason: last.unwrap_or_else(|| "no answer".to_owned()),
                    });
                }
                Decision::RetrySame => {
                    self.wait(attempt).await;
                    // An earlier put may have landed unanswered: a refusal of this one does not
                    // tell, the pointer does.
                    put = self.put(&mut last).await.ok();
                }
                Decision::Unknown | Decision::NeedsReadBack => {
                    self.wait(attempt).await;
                    put = None;
                }
            }
            attempt += 1;
        }
    }

    /// `last` becomes what was answered instead of a success.
    async fn put(&self, last: &mut Option<String>) -> Result<PutResult> {
        let condition = match &self.base {
            Some(etag) => Condition::IfMatch(etag.clone()),
            None => Condition::IfAbsent,
        };
        let body = Bytes::from(self.version.to_string());
        let key = keys::pointer(&self.lineage);
        let answer = self
            .repository
            .store()
            .put(&key, body, condition, &self.metadata)
            .await;
        let refused = |why: &str| Some(format!("put object {key}: {why}"));
        *last = match &answer {
            Err(error) => Some(error.to_string()),
            Ok(PutOutcome::PreconditionFailed | PutOutcome::Absent) => {
                refused("the pointer is not what it was")
            }
            Ok(PutOutcome::Conflict) => refused("another write is under way"),
            Ok(PutOutcome::Written(_)) => None,
        };
        PutResult::of(answer).about(Resource::Pointer)
    }

    /// `last` becomes the reason why something cannot be read.
    async fn read_back(&self, last: &mut Option<String>) -> ReadBack {
        let pointer = match self.repository.pointer(&self.lineage).await {
            Ok(Some(pointer)) => Seen::Found((pointer.version, pointer.etag)),
            Ok(None) => Seen::Absent,
            Err(error) => {
                *last = Some(error.with_causes());
                Seen::Unreadable
            }
        };
        let manifest: Seen<Manifest> = match &pointer {
            Seen::Found((current, _)) => {
                match self.repository.manifest(&self.lineage, current).await {
                    Ok(Some(manifest)) => Seen::Found(manifest),
                    Ok(None) => Seen::Absent,
                    Err(error) => {
                        *last = Some(error.with_causes());
                        Seen::Unreadable
                    }
                }
            }
            Seen::Absent | Seen::Unreadable => Seen::Unreadable,
        };
        let attempt = Attempt {
            version: &self.version,
            base: self.base.as_ref(),
            runs: &self.runs,
        };
        attempt.read_back(pointer, &manifest)
    }

    /// The fence of the version that followed ours.
    async fn fence_of(&self, version: &Version) -> Fence {
        let manifest = self.repository.manifest(&self.lineage, version).await;
        manifest
            .ok()
            .flatten()
            .map_or(self.fence, |manifest| manifest.fence)
    }

    async fn wait(&self, attempt: u32) {
        let wait = self.repository.retry.delay(attempt, self.budget / 4);
        self.clock.sleep(wait).await;
    }
}
