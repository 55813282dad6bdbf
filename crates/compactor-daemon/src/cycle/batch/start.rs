//! Before the work on runs begins: their records say PROCESSING, and messages are refused that bring
//! another delta under the id of a run that is recorded or published.

use std::collections::BTreeSet;

use compactor_core::keys::DeltaLocation;
use compactor_core::message::CompactionMessage;
use compactor_core::{DeltaDigest, RunId, RunKey, RunRecord};

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
        for one in &recorded {
            if one.says == Recorded::Other {
                self.refuse_other_delta(one.at, "its record").await;
            }
        }
        self.refuse_second_deltas(&recorded).await;
        let open = recorded.iter().filter(|one| !self.entries[one.at].settled);
        let (ports, collection) = (&self.context.ports, &self.collection);
        let calls = open.map(|one| async {
            let (key, now) = (&self.entries[one.at].message.key, ports.clock.wall());
            let started = ports.runs.start(key, collection, &one.prefix, now).await;
            if let Err(error) = started {
                tracing::warn!(run = %key.run_id, code = error.code(), %error, "cannot record the start");
            }
        });
        together(calls.collect()).await;
    }

    /// What the record of each open run says of its delta.
    async fn recorded(&self) -> Vec<OfRecord> {
        let calls = self.open().map(|(at, message)| async move {
            let record = self.record_of(&message.key).await;
            let mut found = self.compare(at, record.as_ref(), message);
            if found.says == Recorded::Nothing && !message.key.is_plain() {
                // Most runs have no image: it may be one of those under an image's key.
                let plain = RunKey::plain(message.key.run_id.clone());
                let record = self.record_of(&plain).await;
                if self.compare(at, record.as_ref(), message).says == Recorded::Other {
                    found.says = Recorded::Other;
                }
            }
            found
        });
        together(calls.collect()).await
    }

    async fn record_of(&self, run: &RunKey) -> Option<RunRecord> {
        match self.context.ports.runs.get(run).await {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(run = %run.run_id, code = error.code(), %error, "cannot read the record of a run");
                None
            }
        }
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
            // The delta is not at fault: other runs may have it.
            let error = self.differs(at, "the published lineage");
            self.fail(at, Failed::Delta, &error).await;
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
    async fn refuse_second_deltas(&mut self, recorded: &[OfRecord]) {
        let (mut seen, mut second) = (BTreeSet::new(), Vec::new());
        for wanted in [Recorded::Same, Recorded::Nothing] {
            let of_kind = recorded.iter().filter(|one| one.says == wanted);
            for one in of_kind.filter(|one| !self.entries[one.at].settled) {
                let run = &self.entries[one.at].message.key.run_id;
                if !seen.insert(run.clone()) {
                    second.push((one.at, wanted));
                }
            }
        }
        for (at, says) in second {
            match says {
                Recorded::Same => {
                    let error = self.differs(at, "another message");
                    self.fail(at, Failed::Delta, &error).await;
                }
                Recorded::Other | Recorded::Nothing => {
                    self.refuse_other_delta(at, "another message").await;
                }
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

    fn compare(
        &self,
        at: usize,
        record: Option<&RunRecord>,
        message: &CompactionMessage,
    ) -> OfRecord {
        let part = record.and_then(|record| record.parts.get(&self.collection));
        let recorded = part.map_or("", |part| part.prefix.as_str());
        let objects = self.objects();
        let is_same = recorded == message.delta_prefix
            || DeltaLocation::parse(recorded)
                .is_ok_and(|recorded| normal(objects, recorded) == message.location);
        let (says, prefix) = match recorded.is_empty() {
            true => (Recorded::Nothing, message.delta_prefix.as_str()),
            // In its own form: a record of the same delta stays as it is.
            false if is_same => (Recorded::Same, recorded),
            false => (Recorded::Other, recorded),
        };
        OfRecord {
            at,
            says,
            prefix: prefix.to_owned(),
        }
    }
}

/// What is recorded of the run at a place of the batch.
struct OfRecord {
    at: usize,
    says: Recorded,
    /// The prefix of its delta.
    prefix: String,
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
