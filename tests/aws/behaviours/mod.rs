//! The behaviours of the system that this one replaces, and those in which it must do better, by
//! the numbers that they have in the contract with the Python writers and readers (34 to 43, updates
//! and deletions, are not served yet). The binary is a black box here.

mod deltas;
mod locks_and_runs;
mod queue;
mod snapshots;
