//! Before a cycle works on runs: it refuses messages that bring another delta under the id of a run that is
//! recorded or published, and marks the others PROCESSING.

use compactor_core::keys::DeltaLocation;
use compactor_core::{RunKey, RunRecord};
use compactor_snapshots::Published;

use super::Settlement;
use crate::Error;
use crate::cycle::batch::{Item, normalize};
use crate::cycle::disposition::Failed;
use crate::ports::side_by_side;

impl Settlement<'_> {
    /// Refuses what is another run's by the records, and marks the others PROCESSING.
    pub(in crate::cycle) async fn start(&mut self) {
        let recorded = self.recorded().await;
        for one in &recorded {
            if one.says == Recorded::Other {
                self.refuse_other_delta(one.at, "its record").await;
            }
        }
        self.refuse_second_deltas(&recorded).await;
        let items = &self.batch.items;
        let open = recorded.iter().filter(|one| items[one.at].is_open());
        let calls = open.map(|one| self.settler.start(&items[one.at].work, &one.prefix));
        side_by_side(calls).await;
    }

    /// What the record of each open run says of its delta.
    async fn recorded(&self) -> Vec<OfRecord> {
        let calls = self.batch.open().map(|(at, item)| async move {
            let key = item.work.id.record();
            let record = self.settler.record_of(key).await;
            let mut found = self.compare(at, record.as_ref(), item);
            if found.says == Recorded::Nothing && !key.is_plain() {
                // Most runs have no image: it may be one of those under an image's key.
                let plain = RunKey::plain(key.run_id.clone());
                let record = self.settler.record_of(&plain).await;
                if self.compare(at, record.as_ref(), item).says == Recorded::Other {
                    found.says = Recorded::Other;
                }
            }
            found
        });
        side_by_side(calls).await
    }

    /// Refuses messages whose run the published lineage contains with another delta.
    pub(in crate::cycle) async fn refuse_other_deltas(&mut self, base: Option<&Published>) {
        let Some(manifest) = base.and_then(Published::manifest) else {
            return;
        };
        let is_other =
            |item: &Item| manifest.contains_other_delta(item.run_id(), &item.work.digest());
        let open = self.batch.open().filter(|(_, item)| is_other(item));
        let others: Vec<usize> = open.map(|(at, _)| at).collect();
        for at in others {
            // The delta is not at fault: other runs may have it.
            let error = self.differs(at, "the published lineage");
            self.fail(at, Failed::Delta, &error).await;
        }
    }

    /// The lineage cannot tell apart several runs with one id, so one of them is merged: one that its
    /// record confirms, if there is one.
    async fn refuse_second_deltas(&mut self, recorded: &[OfRecord]) {
        let of_kind = |wanted: Recorded| {
            let kind = recorded.iter().filter(move |one| one.says == wanted);
            kind.map(|one| one.at)
        };
        let places = of_kind(Recorded::Same).chain(of_kind(Recorded::Nothing));
        for at in self.batch.repeated_ids(places) {
            let is_confirmed = of_kind(Recorded::Same).any(|same| same == at);
            if is_confirmed {
                let error = self.differs(at, "another message");
                self.fail(at, Failed::Delta, &error).await;
            } else {
                self.refuse_other_delta(at, "another message").await;
            }
        }
    }

    /// Dead-letters the message, and leaves the record as it is: it is another delta's.
    async fn refuse_other_delta(&mut self, at: usize, place: &'static str) {
        let error = self.differs(at, place);
        let reason = error.describe();
        tracing::error!(run = %self.batch.items[at].run_id(), %reason, "cannot be used");
        self.dead_letter(at, &reason).await;
        self.outcome.failed += 1;
    }

    fn differs(&self, at: usize, place: &'static str) -> Error {
        let item = &self.batch.items[at];
        Error::RunDiffers {
            run_id: item.run_id().to_string(),
            place,
            prefix: item.work.source.prefix().to_owned(),
        }
    }

    fn compare(&self, at: usize, record: Option<&RunRecord>, item: &Item) -> OfRecord {
        let part = record.and_then(|record| record.parts.get(&self.collection));
        let recorded = part.map_or("", |part| part.prefix.as_str());
        let announced = item.work.source.prefix();
        let is_same = recorded == announced || self.is_location(recorded, item);
        let (says, prefix) = match recorded.is_empty() {
            true => (Recorded::Nothing, announced),
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

    /// Whether a recorded prefix is another way to write where the item's delta is.
    fn is_location(&self, recorded: &str, item: &Item) -> bool {
        let objects = self.context.ports.objects.as_ref();
        DeltaLocation::parse(recorded).is_ok_and(|mut recorded| {
            normalize(&mut recorded, |bucket| objects.is_bucket(bucket));
            recorded == *item.work.source.location()
        })
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
    /// The record has no delta, or there is no record.
    Nothing,
}
