//! What a test looks at afterwards: run records, the queue's depth, and its dead letters.

use compactor_core::ports::{Attributes, Depth};
use compactor_core::{RunPart, RunState};

use crate::world::{Backend, World, key, name};

/// A message that was given up.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) body: String,
    pub(crate) attributes: Attributes,
    pub(crate) reason: String,
    /// How often it was received; only the local queue keeps the count.
    pub(crate) receives: Option<u32>,
}

impl DeadLetter {
    /// The run it announced.
    pub(crate) fn run(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["entity_data"]["run_id"].as_str().unwrap().to_owned()
    }
}

impl World {
    pub(crate) fn depth(&self) -> Depth {
        self.wait(self.ports.queue.depth()).unwrap()
    }

    /// Whether no message waits, is delayed or is in flight.
    pub(crate) fn queue_is_empty(&self) -> bool {
        let depth = self.depth();
        (depth.visible, depth.delayed, depth.in_flight) == (0, 0, 0)
    }

    /// The one collection's part of a run's record.
    pub(crate) fn part(&self, run: &str, collection: &str) -> RunPart {
        let record = self.wait(self.ports.runs.get(&key(run))).unwrap();
        let record = record.unwrap_or_else(|| panic!("no record of run {run}"));
        record.parts[&name(collection)].clone()
    }

    pub(crate) fn state(&self, run: &str, collection: &str) -> RunState {
        self.part(run, collection).state
    }

    /// The code that a failed run's record begins with.
    pub(crate) fn code(&self, run: &str, collection: &str) -> String {
        let error = self.part(run, collection).error.unwrap_or_default();
        error.split(':').next().unwrap_or_default().to_owned()
    }

    /// The dead letters, oldest first.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        match &self.backend {
            Backend::Fakes { queue, .. } => queue
                .dead_letters()
                .into_iter()
                .map(|letter| DeadLetter {
                    body: letter.body,
                    attributes: letter.attributes,
                    reason: letter.reason,
                    receives: None,
                })
                .collect(),
            Backend::Local(backend) => self
                .wait(backend.queue.dead_letters(usize::MAX))
                .unwrap()
                .into_iter()
                .rev()
                .map(|letter| DeadLetter {
                    body: letter.body,
                    attributes: letter.attributes,
                    reason: letter.reason,
                    receives: Some(letter.receive_count),
                })
                .collect(),
        }
    }

    /// How often the message of a run that failed for good was received.
    pub(crate) fn receives_of_dead(&self, run: &str) -> usize {
        match &self.backend {
            // The fake keeps no count; every receive ends in a recorded failure.
            Backend::Fakes { runs, .. } => {
                let calls = runs.faults.calls();
                let failures = calls
                    .iter()
                    .filter(|call| call.operation == "fail" && call.target == run);
                failures.count()
            }
            Backend::Local(_) => {
                let letters = self.dead_letters();
                let letter = letters.iter().find(|letter| letter.run() == run);
                letter.unwrap().receives.unwrap() as usize
            }
        }
    }
}
