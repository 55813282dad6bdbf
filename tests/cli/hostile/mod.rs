//! Hostile messages and deltas: the daemon handles them with bounded memory and disk, and still publishes
//! every other run.

mod crowd;
mod disk;
mod memory;
mod text;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use compactor_testkit::cli::{Said, Workdir};
use flate2::Compression;
use flate2::write::GzEncoder;
use rusqlite::Connection;
use serde_json::{Value, json};

/// Address space of a daemon in these tests, in KiB. Its threads take half of it.
const ADDRESS_SPACE: u64 = 1 << 20;

/// Drains the queue in the data directory `d` with [`ADDRESS_SPACE`].
fn drain(place: &Workdir, arguments: &str) -> Said {
    let binary = place.command(["run"]);
    let script = format!(
        "ulimit -v {ADDRESS_SPACE}; exec {} run --drain --data d --json {arguments}",
        binary.get_program().display()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .env("MALLOC_ARENA_MAX", "2")
        .current_dir(place.path(""));
    Said::by(&mut shell)
}

/// Puts a message into the queue without checking it.
fn send(place: &Workdir, body: &str, collection: &str) {
    let queue = Connection::open(place.path("d/coordination.sqlite3")).unwrap();
    let count = "SELECT 1 + coalesce(max(id), 0) FROM messages";
    let number: i64 = queue.query_row(count, [], |row| row.get(0)).unwrap();
    let attributes = json!({ "collection": collection }).to_string();
    let values = (format!("hostile-{number}"), body, attributes);
    let insert = "INSERT INTO messages (message_id, body, attributes, visible_at, hidden_at)
                  VALUES (?1, ?2, ?3, 0, 0)";
    queue.execute(insert, values).unwrap();
}

/// The body of a message that announces a run with its delta at `prefix`.
fn message(run: &str, prefix: &str) -> String {
    json!({
        "entity_type": "COMPACTION_RUN", "event_name": "INSERT",
        "entity_data": { "run_id": run, "words_delta_prefix": prefix },
    })
    .to_string()
}

/// Stores an archive as the delta of a run, and announces the run.
fn deliver(place: &Workdir, run: &str, archive: &[u8]) {
    let prefix = format!("words/delta/{run}/");
    let folder = place.path(format!("d/objects/{prefix}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("delta.tar.gz"), archive).unwrap();
    send(place, &message(run, &prefix), "words");
}

/// Packs a Chroma directory without checking it.
fn pack(dir: &Path) -> Vec<u8> {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    archive.append_dir_all(".", dir).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

/// An archive with one extension header of `bytes` bytes. The header is never wholly in memory.
fn extension(kind: tar::EntryType, begin: &str, bytes: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(kind);
    header.set_size(bytes);
    header.set_cksum();
    let mut archive = GzEncoder::new(Vec::new(), Compression::best());
    archive.write_all(header.as_bytes()).unwrap();
    archive.write_all(begin.as_bytes()).unwrap();
    let block = vec![b'a'; 1 << 20];
    let mut left = bytes - begin.len() as u64;
    while left > 0 {
        let size = left.min(block.len() as u64);
        archive.write_all(&block[..size as usize]).unwrap();
        left -= size;
    }
    archive.finish().unwrap()
}

/// A record of the table's stream that names `collections` collections.
fn stream_record(run: &str, collections: usize) -> String {
    let mut image = json!({
        "TYPE": {"S": "COMPACTION_RUN"}, "run_id": {"S": run}, "image_id": {"S": run},
    });
    for at in 0..collections {
        image[format!("c{at:04}_delta_prefix")] = json!({ "S": format!("c{at:04}/delta/{run}/") });
    }
    json!({ "eventName": "INSERT", "dynamodb": { "NewImage": image } }).to_string()
}

/// The error code of each dead letter, oldest first.
fn dead_letters(place: &Workdir) -> Vec<String> {
    let queue = Connection::open(place.path("d/coordination.sqlite3")).unwrap();
    let mut statement = queue
        .prepare("SELECT reason FROM dead_letters ORDER BY id")
        .unwrap();
    let reasons = statement.query_map([], |row| row.get(0)).unwrap();
    let code = |reason: String| reason.split(':').next().unwrap().to_owned();
    reasons.map(|reason| code(reason.unwrap())).collect()
}

/// The record of a run's part for `words`, as JSON.
fn part(place: &Workdir, run: &str) -> Value {
    let runs = place.say("runs --data d --limit 2000 --json").json();
    let mut runs = runs.as_array().unwrap().iter();
    let found = runs.find(|found| found["key"]["run_id"] == run);
    found.unwrap_or_else(|| panic!("no record of {run}"))["parts"]["words"].clone()
}
