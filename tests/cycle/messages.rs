//! Messages that are not about a run are acknowledged; those that cannot be understood become dead
//! letters at once, with the reason.

use compactor_core::ports::Attributes;
use compactor_daemon::Unhandled;

use crate::deltas::Delta;
use crate::world::World;

/// Body, attributes, and the code of the reason.
type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], &'c str);

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

both!(undecodable_message_is_buried_at_once);
fn undecodable_message_is_buried_at_once(world: World) {
    world.expects(&["CC-MESSAGE-"]);
    let run = r#"{"entity_type": "COMPACTION_RUN", "event_name": "INSERT", "entity_data":
        {"run_id": "r1", "lines_delta_prefix": "lines/delta/r1/", "delta_s3_prefix":
        "lines/delta/r1/"}}"#;
    let no_run_id = r#"{"entity_type": "COMPACTION_RUN", "entity_data": {"run_id": "a/b"}}"#;
    let whole_collection = r#"{"entity_type": "COMPACTION_RUN", "entity_data":
        {"run_id": "r1", "lines_delta_prefix": "lines/delta/"}}"#;
    let escape = r#"{"entity_type": "COMPACTION_RUN", "entity_data":
        {"run_id": "r1", "lines_delta_prefix": "lines/delta/../../etc/"}}"#;
    let lines = [("collection", "lines")];
    let cases: [Case<'_>; 9] = [
        ("this is not JSON", &lines, "CC-MESSAGE-JSON"),
        ("[]", &lines, "CC-MESSAGE-JSON"),
        ("{}", &lines, "CC-MESSAGE-MISSING"),
        (run, &[("collection", "..")], "CC-MESSAGE-COLLECTION"),
        (run, &[("collection", "a/b")], "CC-MESSAGE-COLLECTION"),
        (run, &[("collection", "words")], "CC-MESSAGE-NO-PREFIX"),
        (no_run_id, &lines, "CC-MESSAGE-RUN-ID"),
        (whole_collection, &lines, "CC-MESSAGE-PREFIX"),
        (escape, &lines, "CC-MESSAGE-PREFIX"),
    ];
    for (body, pairs, _) in cases {
        world.send_raw(body, &attributes(pairs));
    }
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (0, 0));
    let letters = world.dead_letters();
    assert_eq!(letters.len(), cases.len());
    for (body, pairs, code) in cases {
        let found = letters
            .iter()
            .find(|letter| letter.body == body && letter.attributes == attributes(pairs))
            .unwrap_or_else(|| panic!("{body} with {pairs:?} is lost"));
        assert!(
            found.reason.starts_with(&format!("{code}: ")),
            "{}",
            found.reason
        );
        // At once: it was not received again before it was given up.
        assert!(found.receives.is_none_or(|receives| receives == 1));
    }
    assert!(world.queue_is_empty());
    assert_eq!(world.keys(""), Vec::<String>::new());
}

// A producer that waits for the run must not wait for ever.
both!(run_announced_with_bad_prefix_is_recorded_as_failed);
fn run_announced_with_bad_prefix_is_recorded_as_failed(world: World) {
    world.expects(&["CC-MESSAGE-PREFIX"]);
    let body = r#"{"entity_type": "COMPACTION_RUN", "entity_data":
        {"run_id": "r1", "lines_delta_prefix": "lines/delta/../../etc/"}}"#;
    world.send_raw(body, &attributes(&[("collection", "lines")]));
    world.drain();
    assert_eq!(world.state("r1", "lines"), compactor_core::RunState::Failed);
    assert_eq!(world.code("r1", "lines"), "CC-MESSAGE-PREFIX");
}

both!(message_without_collection_attribute_is_routed_by_its_prefixes);
fn message_without_collection_attribute_is_routed_by_its_prefixes(world: World) {
    let delta = Delta::of("lines", "a", 2);
    world.upload_packed("r1", "lines", &delta.write(&world, &world.folder("r1")));
    let body = r#"{"entity_type": "COMPACTION_RUN", "event_name": "INSERT", "entity_data":
        {"run_id": "r1", "lines_delta_prefix": "lines/delta/r1/", "delta_s3_prefix":
        "lines/delta/r1/"}}"#;
    world.send_raw(body, &Attributes::new());
    assert_eq!(world.drain().completed, 1);
    assert_eq!(world.content("lines"), delta.content());
    assert_eq!(world.part("r1", "lines").merged_vectors, 2);
}

both!(message_about_no_run_is_acknowledged_without_publishing);
fn message_about_no_run_is_acknowledged_without_publishing(world: World) {
    world.submit("run-base", &[&Delta::of("lines", "base", 1)]);
    world.drain();
    let before = world.image("");
    let lines = attributes(&[("collection", "lines")]);
    for body in [
        r#"{"entity_type": "RECEIPT_WORD_LABEL", "event_name": "INSERT", "entity_data": {}}"#,
        r#"{"entity_type": "SOMETHING_NEW", "event_name": "INSERT"}"#,
        r#"{"entity_type": "COMPACTION_RUN", "event_name": "REMOVE", "entity_data": {}}"#,
    ] {
        world.send_raw(body, &lines);
    }
    let summary = world.drain();
    assert_eq!((summary.completed, summary.failed), (0, 0));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
    assert_eq!(world.image(""), before);
}

both!(bad_messages_do_not_keep_good_ones_waiting);
fn bad_messages_do_not_keep_good_ones_waiting(world: World) {
    world.expects(&["CC-MESSAGE-JSON"]);
    let delta = Delta::of("lines", "a", 2);
    world.send_raw("?", &Attributes::new());
    world.submit("run-a", &[&delta]);
    world.send_raw("??", &attributes(&[("collection", "..")]));
    assert_eq!(world.drain().completed, 1);
    assert_eq!(world.content("lines"), delta.content());
    assert_eq!(world.depth().dead, 2);
}

const LABEL: &str =
    r#"{"entity_type": "RECEIPT_WORD_LABEL", "event_name": "MODIFY", "entity_data": {}}"#;

// On a shared queue the daemon takes it away from consumers that could act on it.
both!(message_that_other_consumers_act_on_is_buried);
fn message_that_other_consumers_act_on_is_buried(world: World) {
    world.expects(&["CC-MESSAGE-UNHANDLED"]);
    world.send_raw(LABEL, &attributes(&[("collection", "words")]));
    world.drain();
    let letters = world.dead_letters();
    let reasons: Vec<_> = letters.iter().map(|letter| &letter.reason).collect();
    assert!(
        matches!(reasons.as_slice(), [reason] if reason.contains("RECEIPT_WORD_LABEL MODIFY")),
        "{reasons:?}"
    );
    assert_eq!(letters[0].body, LABEL);
}

both!(message_that_other_consumers_act_on_is_acknowledged_if_configured);
fn message_that_other_consumers_act_on_is_acknowledged_if_configured(world: World) {
    let world = world.with(|settings| settings.unhandled = Unhandled::Acknowledge);
    for _ in 0..3 {
        world.send_raw(LABEL, &attributes(&[("collection", "words")]));
    }
    world.drain();
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}
