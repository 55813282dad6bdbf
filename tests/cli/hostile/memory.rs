//! Small inputs that would make a careless reader allocate much memory.

use compactor_testkit::cli::Workdir;
use compactor_testkit::fixture::{tamper, words};
use rusqlite::Connection;

use super::{dead_letters, deliver, drain, extension, message, pack, part, send, stream_record};

use crate::COMPACTOR;

const LARGE: u64 = 700 << 20;

/// Checks that a daemon refuses one hostile input with `code`, and publishes a good run beside it.
fn refused(code: &'static str, settings: &str, hostile: impl FnOnce(&Workdir)) {
    let place = Workdir::new(COMPACTOR);
    place.expects(&[code]);
    words(&place, "good");
    place.write("c.toml", settings);
    place
        .say("submit words=good --data d --run-id good")
        .succeeds();
    hostile(&place);
    let said = drain(&place, "--config c.toml");
    let summary = said.json();
    assert_eq!(summary["completed"], 1, "{summary}");
    assert_eq!(part(&place, "good")["state"], "COMPLETED");
    assert_eq!(dead_letters(&place), [code]);
}

#[test]
fn archive_with_a_huge_name_is_refused_in_bounded_memory() {
    refused("CS-ARCHIVE-LIMIT", "", |place| {
        let archive = extension(tar::EntryType::GNULongName, "", LARGE);
        assert!(archive.len() < 4 << 20, "the archive is small");
        deliver(place, "evil", &archive);
    });
}

#[test]
fn archive_with_huge_pax_records_is_refused_in_bounded_memory() {
    refused("CS-ARCHIVE-LIMIT", "", |place| {
        let begin = format!("{LARGE} path=");
        let archive = extension(tar::EntryType::XHeader, &begin, LARGE);
        deliver(place, "evil", &archive);
    });
}

#[test]
fn delta_with_a_huge_document_is_refused_in_bounded_memory() {
    let settings = "[limits]\nratio = 100000\n";
    refused("CS-RECORD-LIMIT", settings, |place| {
        let dir = words(place, "evil");
        let sql = "UPDATE embeddings_queue SET metadata = '{\"chroma:document\": \"'
             || replace(hex(zeroblob(150 << 20)), '0', 'x') || '\"}' WHERE seq_id = 3";
        tamper(&dir, sql);
        deliver(place, "evil", &pack(&dir));
    });
}

#[test]
fn stream_record_of_too_many_collections_is_refused() {
    refused("CC-MESSAGE-COLLECTIONS", "", |place| {
        let record = stream_record("evil", 6000);
        assert!(record.len() < 300 << 10, "a queue would take it");
        send(place, &record, "words");
    });
}

#[test]
fn message_with_a_receipt_id_out_of_range_is_refused() {
    refused("CC-MESSAGE-FIELD", "", |place| {
        let body = message("evil", "words/delta/evil/");
        let receipt = format!("\"entity_data\":{{\"receipt_id\":{},", 1_u64 << 63);
        send(place, &body.replace("\"entity_data\":{", &receipt), "words");
    });
}

#[test]
fn message_with_malformed_attributes_is_refused() {
    for attributes in ["{\"collection\": 5}", "{nope", "[]", "", "null"] {
        refused("CC-MESSAGE-NO-COLLECTION", "", |place| {
            send(place, &message("evil", "words/delta/evil/"), "words");
            let queue = Connection::open(place.path("d/coordination.sqlite3")).unwrap();
            let change = "UPDATE messages SET attributes = ?1 WHERE message_id LIKE 'hostile%'";
            queue.execute(change, [attributes]).unwrap();
        });
    }
}

#[test]
fn message_with_a_huge_name_is_refused() {
    let long = "n".repeat(240 << 10);
    refused("CC-MESSAGE-PREFIX", "", |place| {
        send(place, &message("evil", &long), "words");
    });
    refused("CC-MESSAGE-IMAGE-ID", "", |place| {
        let body = message("evil", "words/delta/evil/");
        let image = format!("\"entity_data\":{{\"image_id\":\"{long}\",");
        send(place, &body.replace("\"entity_data\":{", &image), "words");
    });
}
