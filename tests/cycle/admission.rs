//! What senders of messages and writers of deltas may not do: bring back what was deleted, take over
//! another producer's run, make collections, or multiply messages.

use chroma_store::{Operation, OperationKind, Patch};
use compactor_core::fakes::Inject;
use compactor_core::manifest::Layout;
use compactor_core::message::{Announcement, encode};
use compactor_core::ports::{Attributes, Fault};
use compactor_core::{RunKey, RunRecord, RunState, keys};
use compactor_daemon::Admission;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::deltas::{Delta, content_of};
use crate::sabotage::sql;
use crate::world::{Backend, World, key, lineage, name};

/// The error codes of the dead letters, oldest first.
fn codes(world: &World) -> Vec<String> {
    let letters = world.dead_letters();
    let reasons = letters.iter().map(|letter| &letter.reason);
    reasons
        .map(|reason| reason.split(':').next().unwrap().to_owned())
        .collect()
}

/// A record of the table's stream that names `collections`, as a pipe sends it.
fn stream_record(run: &str, collections: &[String]) -> String {
    let mut image = serde_json::json!({
        "TYPE": {"S": "COMPACTION_RUN"}, "run_id": {"S": run}, "image_id": {"S": run},
        "receipt_id": {"N": "1"},
    });
    for collection in collections {
        let prefix = format!("{collection}/delta/{run}/");
        image[format!("{collection}_delta_prefix")] = serde_json::json!({ "S": prefix });
    }
    serde_json::json!({
        "eventID": "c81e728d", "eventName": "INSERT", "awsRegion": "us-east-1",
        "dynamodb": { "NewImage": image },
    })
    .to_string()
}

/// Sends the message of a run of an image.
fn send(world: &World, run: &RunKey, prefix: &str) {
    let announcement = Announcement {
        key: run,
        deltas: &[(name("lines"), prefix.to_owned())],
        at: world.ports.clock.wall(),
        region: "local",
        stream_record_id: "test",
    };
    let (body, attributes) = encode(&announcement, &name("lines")).unwrap();
    world.send_raw(&body, &attributes);
}

both!(published_version_is_refused_as_delta);
fn published_version_is_refused_as_delta(world: World) {
    world.expects(&["CC-MESSAGE-PREFIX"]);
    let base = Delta::of("lines", "a", 3);
    world.submit("run-base", &[&base]);
    world.drain();
    let old = world.pointer("lines").unwrap();
    let deletion = Operation {
        kind: OperationKind::Delete,
        id: "a-0".to_owned(),
        vector: None,
        patch: Patch::new(),
    };
    let deletion = Delta::new("lines", vec![deletion]);
    world.submit("run-delete", &[&deletion]);
    world.drain();
    let without = world.content("lines");
    assert_ne!(without, base.content());
    world.send_at(
        "run-evil",
        "lines",
        &format!("lines/snapshot/timestamped/{old}/"),
    );
    world.drain();
    assert_eq!(world.content("lines"), without);
    assert_eq!(codes(&world), ["CC-MESSAGE-PREFIX"]);
}

both!(delta_outside_allowed_prefixes_is_refused);
fn delta_outside_allowed_prefixes_is_refused(world: World) {
    world.expects(&["CC-DELTA-PLACE"]);
    let delta = Delta::of("lines", "a", 2);
    let archive = chroma_store::pack(&delta.write(&world, &world.folder("a")), &[], Vec::new());
    let archive = archive.unwrap();
    for prefix in ["words/delta/run-a/", "private/exports/"] {
        world.put(&format!("{prefix}delta.tar.gz"), archive.clone());
        world.send_at("run-a", "lines", prefix);
    }
    world.drain();
    assert_eq!(codes(&world), ["CC-DELTA-PLACE"; 2]);
    assert!(world.snapshot("lines").is_none());
    let world = world.with(|settings| settings.admission.prefixes = vec!["private/".to_owned()]);
    world.send_at("run-b", "lines", "private/exports/");
    world.drain();
    assert_eq!(world.content("lines"), delta.content());
}

both!(collection_that_is_not_allowed_is_not_created);
fn collection_that_is_not_allowed_is_not_created(world: World) {
    world.expects(&["CC-COLLECTION-REFUSED"]);
    let pattern = glob::Pattern::new("wor*").unwrap();
    let world = world.with(|settings| {
        settings.admission = Admission {
            collections: vec![pattern],
            ..Admission::default()
        };
    });
    let words = Delta::of("words", "a", 2);
    world.submit("run-a", &[&words]);
    world.send("run-evil", "lines");
    world.send_raw(
        &stream_record("run-b", &["lines".to_owned()]),
        &Attributes::new(),
    );
    world.drain();
    assert_eq!(world.content("words"), words.content());
    assert_eq!(codes(&world), ["CC-COLLECTION-REFUSED"; 2]);
    assert!(world.keys("lines/").is_empty());
}

both!(message_with_another_delta_does_not_complete_run);
fn message_with_another_delta_does_not_complete_run(world: World) {
    world.expects(&["CC-RUN-DIFFERS"]);
    let (own, evil) = (Delta::of("lines", "own", 2), Delta::of("lines", "evil", 2));
    world.upload_packed("run-x", "lines", &evil.write(&world, &world.folder("evil")));
    for first in [true, false] {
        let run = format!("run-{first}");
        if first {
            // The forged message is received before the run's own.
            world.upload_packed(&run, "lines", &own.write(&world, &world.folder(&run)));
            world.send_at(&run, "lines", "lines/delta/run-x/");
            world.announce(&run, "lines");
        } else {
            world.submit(&run, &[&own]);
            world.send_at(&run, "lines", "lines/delta/run-x/");
        }
        world.drain();
        assert_eq!(world.content("lines"), own.content());
        let part = world.part(&run, "lines");
        assert_eq!(part.state, RunState::Completed, "{part:?}");
        assert_eq!(part.prefix, world.prefix(&run, "lines"));
        // And once more, now that it is published.
        world.send_at(&run, "lines", "lines/delta/run-x/");
        world.drain();
        assert_eq!(world.part(&run, "lines"), part);
        assert_eq!(world.content("lines"), own.content());
    }
    assert_eq!(codes(&world), ["CC-RUN-DIFFERS"; 4]);
}

both!(refused_message_does_not_fail_recorded_run);
fn refused_message_does_not_fail_recorded_run(world: World) {
    world.expects(&["CC-MESSAGE-PREFIX", "CC-DELTA-PLACE"]);
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    for prefix in ["lines/delta/../x/", "words/delta/run-a/"] {
        world.send_at("run-a", "lines", prefix);
    }
    world.drain();
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    // Its own message is to come.
    let (run, prefix) = (key("run-b"), world.prefix("run-b", "lines"));
    let record = RunRecord::new(run, [(name("lines"), prefix)], world.ports.clock.wall());
    world.wait(world.ports.runs.create(&record)).unwrap();
    world.send_at("run-b", "lines", "lines/delta/../x/");
    world.drain();
    assert_eq!(world.state("run-b", "lines"), RunState::Pending);
}

both!(run_whose_id_was_merged_with_another_delta_fails);
/// While a run has no record, nothing says which delta its id belongs to.
fn run_whose_id_was_merged_with_another_delta_fails(world: World) {
    world.expects(&["CC-RUN-DIFFERS"]);
    let (own, evil) = (Delta::of("lines", "own", 2), Delta::of("lines", "evil", 2));
    world.upload_packed("run-x", "lines", &evil.write(&world, &world.folder("evil")));
    world.upload_packed("run-a", "lines", &own.write(&world, &world.folder("own")));
    let run = RunKey {
        image_id: "image".to_owned(),
        ..key("run-a")
    };
    send(&world, &run, "lines/delta/run-x/");
    world.drain();
    assert_eq!(world.content("lines"), evil.content());
    assert_eq!(
        world
            .snapshot("lines")
            .unwrap()
            .manifest
            .applied_deltas
            .len(),
        1
    );
    let prefix = world.prefix("run-a", "lines");
    let deltas = [(name("lines"), prefix.clone())];
    let record = RunRecord::new(run.clone(), deltas, world.ports.clock.wall());
    world.wait(world.ports.runs.create(&record)).unwrap();
    send(&world, &run, &prefix);
    // Another run of the same delta completes.
    world.announce_at("run-b", "lines", &prefix);
    world.drain();
    assert_eq!(world.state("run-b", "lines"), RunState::Completed);
    let record = world.wait(world.ports.runs.get(&run)).unwrap().unwrap();
    let part = &record.parts[&name("lines")];
    assert_eq!(part.state, RunState::Failed);
    let error = part.error.as_ref().unwrap();
    assert!(error.starts_with("CC-RUN-DIFFERS: "), "{error}");
    assert_eq!(world.content("lines"), content_of([&evil, &own]));
}

both!(stream_record_announces_limited_number_of_collections);
fn stream_record_announces_limited_number_of_collections(world: World) {
    world.expects(&[
        "CC-MESSAGE-COLLECTIONS",
        "CC-DELTA-MISSING",
        "CC-MESSAGE-PREFIX",
    ]);
    let names = |count| (0..count).map(|at| format!("c{at:03}")).collect::<Vec<_>>();
    world.send_raw(&stream_record("run-65", &names(65)), &Attributes::new());
    world.drain();
    assert_eq!(codes(&world), ["CC-MESSAGE-COLLECTIONS"]);
    let world = world.with(|settings| settings.admission.stream_collections = 3);
    world.send_raw(&stream_record("run-3", &names(3)), &Attributes::new());
    world.drain();
    let letters = world.dead_letters();
    let is_announced = |body: &str| body.contains(r#""run_id":"run-3""#);
    let announced = letters.iter().filter(|letter| is_announced(&letter.body));
    let announced: Vec<_> = announced.collect();
    assert_eq!(announced.len(), 3);
    for letter in announced {
        let prefixes = letter.body.matches("_delta_prefix").count();
        assert_eq!(prefixes, 1, "only its own prefix: {}", letter.body);
    }
}

both!(stream_record_announces_no_collection_if_disabled);
fn stream_record_announces_no_collection_if_disabled(world: World) {
    world.expects(&["CC-MESSAGE-UNHANDLED"]);
    let world = world.with(|settings| settings.admission.stream_records = false);
    let delta = Delta::of("lines", "a", 2);
    world.upload_packed("run-a", "lines", &delta.write(&world, &world.folder("a")));
    let record = stream_record("run-a", &["lines".to_owned()]);
    world.send_raw(&record, &Attributes::new());
    world.drain();
    assert!(world.snapshot("lines").is_none());
    assert_eq!(codes(&world), ["CC-MESSAGE-UNHANDLED"]);
}

both!(message_of_another_image_does_not_take_over_recorded_run);
fn message_of_another_image_does_not_take_over_recorded_run(world: World) {
    world.expects(&["CC-RUN-DIFFERS"]);
    let (own, evil) = (Delta::of("lines", "own", 2), Delta::of("lines", "evil", 2));
    world.upload_packed("run-x", "lines", &evil.write(&world, &world.folder("evil")));
    world.upload_packed("run-a", "lines", &own.write(&world, &world.folder("own")));
    let prefix = world.prefix("run-a", "lines");
    let record = RunRecord::new(
        key("run-a"),
        [(name("lines"), prefix)],
        world.ports.clock.wall(),
    );
    world.wait(world.ports.runs.create(&record)).unwrap();
    let run = RunKey {
        image_id: "image".to_owned(),
        ..key("run-a")
    };
    send(&world, &run, "lines/delta/run-x/");
    world.drain();
    assert!(world.snapshot("lines").is_none());
    // With any number of slashes before it that is the same delta, and the record stays as it is.
    world.send_at("run-a", "lines", "///lines/delta/run-a");
    world.drain();
    assert_eq!(world.content("lines"), own.content());
    let part = world.part("run-a", "lines");
    assert_eq!(part.state, RunState::Completed);
    assert_eq!(part.prefix, world.prefix("run-a", "lines"));
}

both!(unreadable_delta_in_own_folder_does_not_stop_other_runs);
fn unreadable_delta_in_own_folder_does_not_stop_other_runs(world: World) {
    let Backend::Fakes { objects, .. } = &world.backend else {
        return;
    };
    world.expects(&["CC-PORT-DENIED"]);
    let good = Delta::of("lines", "good", 2);
    world.submit("run-good", &[&good]);
    world.drain();
    objects.faults.when(|call| {
        let is_evil = call.target.contains("deep/in/a/folder");
        is_evil.then_some(Inject::FailBefore(Fault::Denied))
    });
    world.announce_at("run-evil", "lines", "lines/delta/deep/in/a/folder/x/");
    let next = Delta::of("lines", "next", 2);
    world.drain();
    world.submit("run-next", &[&next]);
    world.drain();
    assert_eq!(world.state("run-next", "lines"), RunState::Completed);
    assert_eq!(world.state("run-evil", "lines"), RunState::Failed);
}

both!(recorded_run_wins_over_message_with_same_id);
fn recorded_run_wins_over_message_with_same_id(world: World) {
    world.expects(&["CC-RUN-DIFFERS"]);
    let (own, evil) = (Delta::of("lines", "own", 2), Delta::of("lines", "evil", 2));
    world.upload_packed("run-x", "lines", &evil.write(&world, &world.folder("evil")));
    // A run of another image has a record of its own, and there is none.
    let run = RunKey {
        image_id: "image".to_owned(),
        ..key("run-a")
    };
    send(&world, &run, "lines/delta/run-x/");
    world.submit("run-a", &[&own]);
    world.drain();
    assert_eq!(world.content("lines"), own.content());
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    assert_eq!(codes(&world), ["CC-RUN-DIFFERS"]);
}

both!(first_delta_with_absurd_configuration_is_refused);
fn first_delta_with_absurd_configuration_is_refused(world: World) {
    world.expects(&["CS-CONFIGURATION"]);
    let evil = [
        // An index that no machine has room for.
        "UPDATE collections SET schema_str =
           replace(schema_str, '\"max_neighbors\":16', '\"max_neighbors\":1048576')",
        // What chromadb refuses to read, to every reader.
        "UPDATE collections SET schema_str = char(12) || schema_str",
        "UPDATE collections SET schema_str = '{\"keys\":5}'",
        "UPDATE collections SET schema_str = '{\"keys\":{},\"keys\":{}}'",
        "UPDATE collections SET config_json_str = '\"x\"'",
    ];
    for (at, ask) in evil.iter().enumerate() {
        sql(&world, &format!("run-evil-{at}"), ask);
    }
    let good = Delta::of("lines", "good", 2);
    world.submit("run-good", &[&good]);
    world.drain();
    assert_eq!(codes(&world), ["CS-CONFIGURATION"; 5]);
    assert_eq!(world.content("lines"), good.content());
}

both!(snapshot_archive_is_hashed_before_it_is_unpacked);
fn snapshot_archive_is_hashed_before_it_is_unpacked(world: World) {
    let world = world.with(|settings| settings.layout = Layout::Archive);
    let base = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&base]);
    world.drain();
    let version = world.pointer("lines").unwrap().parse().unwrap();
    let archive = keys::snapshot_archive(&lineage("lines"), &version);
    let sound = world.body(&archive).unwrap();
    // A sound gzip with one more member: its tar, and all files in it, are the same.
    let mut longer = sound.clone();
    longer.extend(
        GzEncoder::new(Vec::new(), Compression::fast())
            .finish()
            .unwrap(),
    );
    world.delete(&archive);
    world.put(&archive, longer);
    let world = world.rival();
    world.expects(&["CC-SNAPSHOT-FILE"]);
    world.submit("run-b", &[&Delta::of("lines", "b", 2)]);
    let said = world.try_drain().unwrap_err();
    assert_eq!(said.code(), "CC-SNAPSHOT-FILE");
    assert!(said.to_string().contains("the manifest says"), "{said}");
    world.delete(&archive);
    world.put(&archive, sound);
    world.let_everything_expire();
    world.drain();
    assert_eq!(world.state("run-b", "lines"), RunState::Completed);
}
