//! Fault injection: which calls of a fake fail, and how.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::lock;
use crate::ports::{Fault, PortError, PortResult};

/// One call of a fake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The name of the method in the trait.
    pub operation: &'static str,
    /// The key, receipt, run id or collection of the call; empty for calls without one.
    pub target: String,
}

/// What happens to a call in place of its normal outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inject {
    /// The call fails and has no effect.
    FailBefore(Fault),
    /// The call fails and has no effect, and the error is of a file of this machine.
    FailOnDisk(Fault),
    /// The call takes effect and then fails, as if its answer was lost.
    FailAfter(Fault),
    /// A conditional put answers 409 and has no effect. Other calls proceed as usual.
    Conflict,
}

type Rule = Box<dyn FnMut(&Call) -> Option<Inject> + Send>;

/// The faults to inject into one fake, and the record of its calls.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    once: Mutex<VecDeque<(&'static str, Inject)>>,
    calls: Mutex<Vec<Call>>,
}

impl Faults {
    /// Asks `rule` at every call from now on. The first rule that returns an injection decides.
    pub fn when(&self, rule: impl FnMut(&Call) -> Option<Inject> + Send + 'static) {
        lock(&self.rules).push(Box::new(rule));
    }

    /// Injects once, into the next call of `operation`. Several injections are used in the order of
    /// their requests, before any rule.
    pub fn next(&self, operation: &'static str, inject: Inject) {
        lock(&self.once).push_back((operation, inject));
    }

    /// Removes all rules and pending injections. The record of calls stays.
    pub fn clear(&self) {
        lock(&self.rules).clear();
        lock(&self.once).clear();
    }

    /// All calls so far, oldest first, those that failed included.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// How many calls of `operation` there were so far.
    pub fn count(&self, operation: &str) -> usize {
        lock(&self.calls)
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    pub(super) fn begin(&self, operation: &'static str, target: &str) -> PortResult<Pending> {
        let call = Call {
            operation,
            target: target.to_owned(),
        };
        lock(&self.calls).push(call.clone());
        match self.chosen(&call) {
            Some(Inject::FailBefore(fault)) => Err(failure(&call, fault)),
            Some(Inject::FailOnDisk(fault)) => Err(PortError {
                is_of_machine: true,
                ..failure(&call, fault)
            }),
            Some(Inject::FailAfter(fault)) => Ok(Pending {
                after: Some((call, fault)),
                conflict: false,
            }),
            Some(Inject::Conflict) => Ok(Pending {
                after: None,
                conflict: true,
            }),
            None => Ok(Pending {
                after: None,
                conflict: false,
            }),
        }
    }

    fn chosen(&self, call: &Call) -> Option<Inject> {
        let mut once = lock(&self.once);
        if let Some(at) = once
            .iter()
            .position(|(operation, _)| *operation == call.operation)
        {
            return once.remove(at).map(|(_, inject)| inject);
        }
        lock(&self.rules).iter_mut().find_map(|rule| rule(call))
    }
}

/// A call that has begun, with the injection that is still to happen.
pub(super) struct Pending {
    after: Option<(Call, Fault)>,
    pub(super) conflict: bool,
}

impl Pending {
    pub(super) fn end<T>(self, value: T) -> PortResult<T> {
        match self.after {
            Some((call, fault)) => Err(failure(&call, fault)),
            None => Ok(value),
        }
    }
}

fn failure(call: &Call, fault: Fault) -> PortError {
    PortError::new(
        call.operation,
        call.target.clone(),
        fault,
        "injected by the test",
    )
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults")
            .field("calls", &lock(&self.calls).len())
            .finish_non_exhaustive()
    }
}
