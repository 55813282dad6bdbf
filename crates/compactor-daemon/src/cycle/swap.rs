//! Moving the pointer. The decision is `compactor_core::swap::decide`; this module only asks and
//! repeats. Once begun it is never cancelled, and it never deletes anything.

use bytes::Bytes;
use compactor_core::disposition::Resource;
use compactor_core::ports::{Attributes, Condition, ETag, Monotonic, PutOutcome};
use compactor_core::swap::{Attempt, Decision, PutResult, ReadBack, Seen, decide};
use compactor_core::{CollectionName, Fence, Manifest, RunId, Version, keys};

use super::Context;
use super::upload::Uploaded;
use crate::error::About as _;
use crate::snapshot::{read_manifest, read_pointer};
use crate::{Ports, RunError};

/// How the swap ended.
pub(super) enum Swapped {
    /// The pointer names this version, whose lineage contains the batch.
    Published {
        /// Which.
        version: Version,
        /// The fence it was published under.
        fence: Fence,
    },
    /// Somebody else moved the pointer; our version will never be named.
    Lost,
}

/// Moves the pointer to the uploaded version, if it is still what it was when we read it.
pub(super) async fn swap(
    context: &Context,
    upload: &Uploaded,
    base: Option<ETag>,
    runs: Vec<RunId>,
) -> Result<Swapped, RunError> {
    let swap = Swap {
        context: context.clone(),
        collection: upload.manifest().collection.clone(),
        version: upload.manifest().version.clone(),
        metadata: upload.metadata().clone(),
        fence: upload.manifest().fence,
        base,
        runs,
    };
    // A task of its own: dropping the cycle's future must not stop it half-way.
    tokio::spawn(context.settling.track_future(swap.run())).await?
}

struct Swap {
    context: Context,
    collection: CollectionName,
    version: Version,
    metadata: Attributes,
    fence: Fence,
    base: Option<ETag>,
    runs: Vec<RunId>,
}

impl Swap {
    async fn run(self) -> Result<Swapped, RunError> {
        let ports = &self.context.ports;
        let budget = self.context.settings.lease.swap_budget();
        let deadline = Monotonic(ports.clock.monotonic().0.saturating_add(budget));
        let mut attempt = 0;
        let mut last = None;
        let mut put = Some(self.put(ports, &mut last).await?);
        loop {
            let decision = match put {
                Some(result) => match decide(result, None) {
                    Decision::NeedsReadBack => {
                        decide(result, Some(self.read_back(ports, &mut last).await))
                    }
                    decision => decision,
                },
                None => {
                    let seen = self.read_back(ports, &mut last).await;
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
                    let fence = self.fence_of(ports, &current).await;
                    return Ok(Swapped::Published {
                        version: current,
                        fence,
                    });
                }
                Decision::Lost { .. } => return Ok(Swapped::Lost),
                Decision::RetrySame | Decision::Unknown | Decision::NeedsReadBack
                    if ports.clock.monotonic() >= deadline =>
                {
                    return Err(RunError::SwapUnknown {
                        collection: self.collection.to_string(),
                        version: self.version.to_string(),
                        reason: last.unwrap_or_else(|| "no answer".to_owned()),
                    });
                }
                Decision::RetrySame => {
                    self.wait(ports, attempt).await;
                    // An earlier put may have landed unanswered: a refusal of this one does not
                    // tell, the pointer does.
                    put = self.put(ports, &mut last).await.ok();
                }
                Decision::Unknown | Decision::NeedsReadBack => {
                    self.wait(ports, attempt).await;
                    put = None;
                }
            }
            attempt += 1;
        }
    }

    /// `last` becomes what was answered instead of a success.
    async fn put(&self, ports: &Ports, last: &mut Option<String>) -> Result<PutResult, RunError> {
        let condition = match &self.base {
            Some(etag) => Condition::IfMatch(etag.clone()),
            None => Condition::IfAbsent,
        };
        let body = Bytes::from(self.version.to_string());
        let key = keys::pointer(&self.collection);
        let answer = ports
            .objects
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
    async fn read_back(&self, ports: &Ports, last: &mut Option<String>) -> ReadBack {
        let objects = ports.objects.as_ref();
        let pointer = match read_pointer(objects, &self.collection).await {
            Ok(Some(pointer)) => Seen::Found((pointer.version, pointer.etag)),
            Ok(None) => Seen::Absent,
            Err(error) => {
                *last = Some(error.with_causes());
                Seen::Unreadable
            }
        };
        let manifest: Seen<Manifest> = match &pointer {
            Seen::Found((current, _)) => {
                match read_manifest(objects, &self.collection, current).await {
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
    async fn fence_of(&self, ports: &Ports, version: &Version) -> Fence {
        let manifest = read_manifest(ports.objects.as_ref(), &self.collection, version).await;
        manifest
            .ok()
            .flatten()
            .map_or(self.fence, |manifest| manifest.fence)
    }

    async fn wait(&self, ports: &Ports, attempt: u32) {
        let wait = self
            .context
            .settings
            .backoff
            .delay(attempt, ports.ids.fraction());
        ports
            .clock
            .sleep(wait.min(self.context.settings.lease.swap_budget() / 4))
            .await;
    }
}
