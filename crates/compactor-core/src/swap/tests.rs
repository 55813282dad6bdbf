use uuid::Uuid;

use super::*;
use crate::Fence;
use crate::manifest::{AppliedRun, FORMAT_VERSION, Layout, Parent, Rows};
use crate::ports::WallTime;

fn version(second: i64) -> Version {
    Version::mint(WallTime(second * 1_000_000), Uuid::nil(), None)
}

fn runs(ids: &[&str]) -> Vec<RunId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

fn manifest(version: Version, lineage: &[&str]) -> Manifest {
    Manifest {
        format_version: FORMAT_VERSION,
        collection: "lines".parse().unwrap(),
        version,
        parent: None,
        fence: Fence(1),
        nonce: Uuid::nil(),
        created_at: WallTime(0),
        created_by: String::new(),
        layout: Layout::Files,
        runs: Vec::<AppliedRun>::new(),
        applied_runs: runs(lineage),
        applied_deltas: std::collections::BTreeMap::new(),
        archive: None,
        files: Vec::new(),
        rows: Rows {
            records: 0,
            dimension: None,
            space: "l2".to_owned(),
            schema_level: String::new(),
        },
    }
}

const PUTS: [PutResult; 5] = [
    PutResult::Written,
    PutResult::PreconditionFailed,
    PutResult::Conflict,
    PutResult::Absent,
    PutResult::Unknown,
];

/// Covers every pair of a put result and a read-back, against the table in the module's docs.
#[test]
fn swap_decisions_are_those_of_the_documented_table() {
    let current = || version(9);
    let columns = || {
        [
            None,
            Some(ReadBack::Ours),
            Some(ReadBack::Unmoved),
            Some(ReadBack::Superseded { current: current() }),
            Some(ReadBack::Other { current: current() }),
            Some(ReadBack::Absent),
            Some(ReadBack::Unreadable),
        ]
    };
    let name = |decision: &Decision| match decision {
        Decision::Committed => "committed",
        Decision::Superseded { .. } => "superseded",
        Decision::Lost { .. } => "lost",
        Decision::RetrySame => "retry same",
        Decision::NeedsReadBack => "read back",
        Decision::Unknown => "unknown",
    };
    let rows: Vec<Vec<&str>> = include_str!("../swap.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .skip(1)
        .map(|line| line.trim_end_matches(" |").split(" | ").skip(1).collect())
        .collect();
    assert_eq!(rows.len(), PUTS.len(), "one row of the table per answer");
    for (put, row) in PUTS.into_iter().zip(rows) {
        let decisions: Vec<_> = columns()
            .into_iter()
            .map(|seen| decide(put, seen))
            .collect();
        assert_eq!(
            decisions.iter().map(name).collect::<Vec<_>>(),
            row,
            "{put:?}"
        );
        for decision in decisions {
            match decision {
                Decision::Superseded { current: named } => assert_eq!(named, current()),
                Decision::Lost {
                    current: Some(named),
                } => assert_eq!(named, current()),
                _ => {}
            }
        }
    }
}

#[test]
fn swap_decision_acknowledges_only_what_is_shown_to_be_published() {
    for put in PUTS {
        for seen in [
            Some(ReadBack::Unmoved),
            Some(ReadBack::Unreadable),
            Some(ReadBack::Absent),
            None,
        ] {
            let decision = decide(put, seen);
            let acknowledges =
                matches!(decision, Decision::Committed | Decision::Superseded { .. });
            assert_eq!(acknowledges, put == PutResult::Written);
        }
    }
}

#[test]
fn read_back_tells_every_state_of_the_pointer_apart() {
    let (ours, base, third) = (version(2), ETag("base".to_owned()), version(3));
    let batch = runs(&["r1", "r2"]);
    let attempt = Attempt {
        version: &ours,
        base: Some(&base),
        runs: &batch,
    };
    let names = |v: &Version, tag: &str| Seen::Found((v.clone(), ETag(tag.to_owned())));
    let found = |v: &Version, lineage: &[&str]| Seen::Found(manifest(v.clone(), lineage));
    let current = third.clone();

    assert_eq!(
        attempt.read_back(names(&ours, "x"), &Seen::Unreadable),
        ReadBack::Ours
    );
    assert_eq!(
        attempt.read_back(names(&version(1), "base"), &Seen::Absent),
        ReadBack::Unmoved
    );
    assert_eq!(
        attempt.read_back(Seen::Absent, &Seen::Absent),
        ReadBack::Absent
    );
    assert_eq!(
        attempt.read_back(Seen::Unreadable, &Seen::Absent),
        ReadBack::Unreadable
    );
    assert_eq!(
        attempt.read_back(
            names(&third, "x"),
            &found(&third, &["r0", "r1", "r2", "r3"])
        ),
        ReadBack::Superseded {
            current: current.clone()
        }
    );
    assert_eq!(
        attempt.read_back(names(&third, "x"), &found(&third, &["r1"])),
        ReadBack::Other {
            current: current.clone()
        },
        "half of the batch is not the batch"
    );
    assert_eq!(
        attempt.read_back(names(&third, "x"), &Seen::Absent),
        ReadBack::Other { current },
        "a writer without manifests proves nothing"
    );
    assert_eq!(
        attempt.read_back(names(&third, "x"), &Seen::Unreadable),
        ReadBack::Unreadable
    );
    assert_eq!(
        attempt.read_back(names(&third, "x"), &found(&version(4), &["r1", "r2"])),
        ReadBack::Unreadable,
        "a manifest of another version than the pointer named"
    );
}

#[test]
fn attempt_without_runs_is_superseded_only_by_its_own_child() {
    let (ours, base, child) = (version(2), ETag("base".to_owned()), version(3));
    let attempt = Attempt {
        version: &ours,
        base: Some(&base),
        runs: &[],
    };
    let seen = || Seen::Found((child.clone(), ETag("x".to_owned())));
    let mut manifest = manifest(child.clone(), &["r1"]);
    let foreign = attempt.read_back(seen(), &Seen::Found(manifest.clone()));
    assert_eq!(
        foreign,
        ReadBack::Other {
            current: child.clone()
        }
    );
    manifest.parent = Some(Parent {
        version: ours.clone(),
        etag: String::new(),
    });
    let followed = attempt.read_back(seen(), &Seen::Found(manifest));
    assert_eq!(
        followed,
        ReadBack::Superseded {
            current: child.clone()
        }
    );
}

#[test]
fn missing_pointer_is_unmoved_for_a_first_publication() {
    let (ours, batch) = (version(2), runs(&["r1"]));
    let attempt = Attempt {
        version: &ours,
        base: None,
        runs: &batch,
    };
    assert_eq!(
        attempt.read_back(Seen::Absent, &Seen::Absent),
        ReadBack::Unmoved
    );
}

#[test]
fn refused_put_is_an_error_and_a_put_without_an_answer_is_unknown() {
    let answer = |fault| Err(PortError::new("put object", "k", fault, "x"));
    for fault in [Fault::Transient, Fault::Throttled, Fault::OutcomeUnknown] {
        assert_eq!(PutResult::of(answer(fault)).unwrap(), PutResult::Unknown);
    }
    for fault in [
        Fault::Denied,
        Fault::Missing,
        Fault::Full,
        Fault::TooLarge,
        Fault::Unsupported,
        Fault::Corrupt,
        Fault::Invalid,
    ] {
        assert_eq!(PutResult::of(answer(fault)).unwrap_err().fault, fault);
    }
    let written = Ok(PutOutcome::Written(ETag("e".to_owned())));
    assert_eq!(PutResult::of(written).unwrap(), PutResult::Written);
}
