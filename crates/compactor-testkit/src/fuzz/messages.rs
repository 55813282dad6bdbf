//! Any bytes as a message give a run, an ignored message or an error. A delta that the daemon admits or
//! announces belongs to its own collection and is never a snapshot.

use compactor_core::keys::{DeltaLocation, bucket_fault};
use compactor_core::message::{Announcement, CompactionMessage, Decoded, InsertedRun};
use compactor_core::message::{decode, encode};
use compactor_core::ports::{Attributes, WallTime};
use compactor_daemon::Admission;

/// Takes the input as the body of a message; after a zero byte, as attributes, lines `name=value`.
pub fn check(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (body, lines) = (text(), text());
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    let attributes: Attributes = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    match decode(&body, &attributes) {
        Ok(Decoded::Run(message)) => {
            let prefix = &message.location.prefix;
            assert!(
                prefix.ends_with('/') && !prefix.starts_with('/'),
                "{prefix}"
            );
            assert!(prefix.split('/').all(|part| part != ".."), "{prefix}");
            for (name, value) in &attributes {
                assert!(message.attributes.contains_key(name), "{name}={value}");
            }
            let _ = is_let_in(&message);
        }
        Ok(Decoded::Inserted(run)) => announce(&run),
        Ok(Decoded::Unhandled { .. } | Decoded::Ignored { .. }) => {}
        Err(refused) => assert!(refused.error.code().starts_with("CC-")),
    }
}

/// Whether the daemon admits the run. A daemon that admits deltas from everywhere still admits no snapshot.
fn is_let_in(message: &CompactionMessage) -> bool {
    let CompactionMessage {
        collection,
        location: DeltaLocation { bucket, prefix },
        ..
    } = message;
    let everywhere = Admission {
        prefixes: vec![String::new()],
        ..Admission::default()
    };
    if everywhere.of_run(message).is_ok() {
        let snapshots = format!("{collection}/snapshot/");
        assert!(!prefix.starts_with(&snapshots), "{prefix}");
        let fault = bucket.as_deref().and_then(bucket_fault);
        assert_eq!(fault, None, "{bucket:?}");
    }
    match Admission::default().of_run(message) {
        Ok(()) => {
            let run = prefix.strip_prefix(&format!("{collection}/delta/"));
            assert!(run.is_some_and(|run| run.len() > 1), "{prefix}");
            true
        }
        Err(error) => {
            assert!(error.code().starts_with("CC-"), "{error}");
            false
        }
    }
}

/// Announces an inserted record as the daemon does: one message for each admitted collection.
fn announce(run: &InsertedRun) {
    assert!(!run.deltas.is_empty());
    let admission = Admission::default();
    if run.deltas.len() > admission.stream_collections {
        return;
    }
    for delta in &run.deltas {
        let (collection, prefix) = delta;
        let Ok(location) = DeltaLocation::parse(prefix) else {
            continue;
        };
        if admission.of_delta(collection, &location).is_err() {
            continue;
        }
        let announcement = Announcement {
            key: &run.key,
            deltas: std::slice::from_ref(delta),
            at: WallTime(0),
            region: &run.region,
            stream_record_id: "00000000",
        };
        let (body, attributes) = encode(&announcement, collection).expect("its own delta");
        match decode(&body, &attributes) {
            Ok(Decoded::Run(message)) => {
                assert_eq!((&message.key, &message.location), (&run.key, &location));
                assert_eq!(
                    (&message.collection, &message.delta_prefix),
                    (collection, prefix)
                );
                assert!(is_let_in(&message), "{prefix}");
            }
            other => panic!("{body} is announced and then {other:?}"),
        }
    }
}
