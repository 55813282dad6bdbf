//! Before the work on runs begins: their records say PROCESSING, and messages are refused that bring
//! another delta under the id of a run that is recorded or published.

use std::collections::BTreeSet;

use compactor_core::keys::DeltaLocation;
use compactor_core::message::CompactionMessage;
use compactor_core::{DeltaDigest, RunId, RunRecord};

use super::Batch;
use crate::RunError;
use crate::cycle::verdict::Failed;
use crate::delta::normal;
use crate::snapshot::Published;
use crate::together::together;

impl Batch<'_> {
    /// Refuses what is another run's by the records, and marks the others PROCESSING. For people: a
    /// failure is logged and does not stop the work.
    pub(in crate::cycle) async fn start(&mut self) {
        let recorded = self.recorded().await;
        for (at, recorded) in &recorded {
            if *recorded == Recorded::Other {
                self.refuse_other_delta(*at, "its record").await;
            }
        }
        self.refuse_second_deltas(&recorded).await;
        let (ports, collection) = (&self.context.ports, &self.collection);
        let calls = self.open().map(|(_, message)| async {
            let (key, prefix) = (&message.key, message.delta_prefix.as_str());
            let now = ports.clock.wall();
            if let Err(error) = ports.runs.start(key, collection, prefix, now).await {
                tracing::warn!(run = %key.run_id, code = error.code(), %error, "cannot record the start");
            }
        });
        together(calls.collect()).await;
    }

    /// What the record of each open run says of its delta.
    async fn recorded(&self) -> Vec<(usize, Recorded)> {
        let calls = self.open().map(|(at, message)| async move {
            let recorded = match self.context.ports.runs.get(&message.key).await {
                Ok(record) => self.compare(record.as_ref(), message),
                Err(error) => {
                    tracing::warn!(run = %message.key.run_id, code = error.code(), %error, "cannot read the record of a run");
                    Recorded::Nothing
                }
            };
            (at, recorded)
        });
        together(calls.collect()).await
    }

    /// Refuses messages whose run the published lineage contains with another delta.
    pub(in crate::cycle) async fn refuse_other_deltas(&mut self, base: Option<&Published>) {
        let Some(manifest) = base.and_then(Published::manifest) else {
            return;
        };
        let open = self.open().filter(|(_, message)| {
            manifest.contains_other_delta(&message.key.run_id, &self.digest(message))
        });
        let others: Vec<usize> = open.map(|(at, _)| at).collect();
        for at in others {
            let error = self.differs(at, "the published lineage");
            self.fail_for_its_delta(at, error).await;
        }
    }

    /// The delta of each open run, for the lineage.
    pub(in crate::cycle) fn digests(&self) -> Vec<(RunId, DeltaDigest)> {
        let open = self.open();
        open.map(|(_, message)| (message.key.run_id.clone(), self.digest(message)))
            .collect()
    }

    /// Of several runs with one id, which the lineage cannot tell apart, one is merged: one that its
    /// record confirms, if there is one.
    async fn refuse_second_deltas(&mut self, recorded: &[(usize, Recorded)]) {
        let (mut seen, mut second) = (BTreeSet::new(), Vec::new());
        for wanted in [Recorded::Same, Recorded::Nothing] {
            let of_kind = recorded.iter().filter(|(_, found)| *found == wanted);
            for (at, _) in of_kind.filter(|(at, _)| !self.entries[*at].settled) {
                let run = &self.entries[*at].message.key.run_id;
                if !seen.insert(run.clone()) {
                    second.push((*at, wanted));
                }
            }
        }
        for (at, recorded) in second {
            match recorded {
                Recorded::Same => {
                    let error = self.differs(at, "another message");
                    self.fail(at, Failed::Delta, &error).await;
                }
                _ => self.refuse_other_delta(at, "another message").await,
            }
        }
    }

    /// Dead-letters the message, and leaves the record as it is: it is another delta's.
    async fn refuse_other_delta(&mut self, at: usize, place: &'static str) {
        let error = self.differs(at, place);
        let reason = error.describe();
        tracing::error!(run = %self.entries[at].message.key.run_id, %reason, "cannot be used");
        self.dead_letter(at, &reason).await;
        self.outcome.failed += 1;
        self.entries[at].settled = true;
    }

    fn differs(&self, at: usize, place: &'static str) -> RunError {
        let message = &self.entries[at].message;
        RunError::RunDiffers {
            run_id: message.key.run_id.to_string(),
            place,
            prefix: message.delta_prefix.clone(),
        }
    }

    fn digest(&self, message: &CompactionMessage) -> DeltaDigest {
        DeltaDigest::of(&message.key, &message.location)
    }

    fn compare(&self, record: Option<&RunRecord>, message: &CompactionMessage) -> Recorded {
        let part = record.and_then(|record| record.parts.get(&self.collection));
        let prefix = part.map_or("", |part| part.prefix.as_str());
        if prefix.is_empty() {
            return Recorded::Nothing;
        }
        let objects = self.objects();
        let is_same = prefix == message.delta_prefix
            || DeltaLocation::parse(prefix)
                .is_ok_and(|recorded| normal(objects, recorded) == message.location);
        match is_same {
            true => Recorded::Same,
            false => Recorded::Other,
        }
    }
}

/// What the record of a run says of the delta of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    /// It is the run's.
    Same,
    /// The run has another one.
    Other,
    /// Neither.
    Nothing,
}
