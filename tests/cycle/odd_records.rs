//! Records that are odd but perhaps allowed: each run is either merged or refused for itself, and
//! the good run beside it is published all the same.

use compactor_core::RunState;

use crate::deltas::Delta;
use crate::sabotage::sql;
use crate::world::{Kind, World};

/// What is done to the second record of a delta, as its log and its segment have it.
const ODD: [(&str, &str); 20] = [
    (
        "operation-9",
        "UPDATE embeddings_queue SET operation = 9 WHERE seq_id = 2",
    ),
    (
        "no-vector",
        "UPDATE embeddings_queue SET vector = NULL WHERE seq_id = 2",
    ),
    (
        "empty-vector",
        "UPDATE embeddings_queue SET vector = x'' WHERE seq_id = 2",
    ),
    (
        "odd-vector",
        "UPDATE embeddings_queue SET vector = x'00000000000000' WHERE seq_id = 2",
    ),
    (
        "text-vector",
        "UPDATE embeddings_queue SET vector = 'four bytes and more' WHERE seq_id = 2",
    ),
    (
        "no-encoding",
        "UPDATE embeddings_queue SET encoding = NULL WHERE seq_id = 2",
    ),
    (
        "foreign-encoding",
        "UPDATE embeddings_queue SET encoding = 'INT32' WHERE seq_id = 2",
    ),
    (
        "no-json",
        "UPDATE embeddings_queue SET metadata = '{' WHERE seq_id = 2",
    ),
    (
        "json-nan",
        "UPDATE embeddings_queue SET metadata = '{\"a\": NaN}' WHERE seq_id = 2",
    ),
    (
        "json-nested",
        "UPDATE embeddings_queue SET metadata = '{\"a\": {\"b\": 1}}' WHERE seq_id = 2",
    ),
    (
        "json-huge-int",
        "UPDATE embeddings_queue SET metadata = '{\"a\": 18446744073709551615}' WHERE seq_id = 2",
    ),
    (
        "empty-key",
        "UPDATE embeddings_queue SET metadata = '{\"\": 1}' WHERE seq_id = 2",
    ),
    (
        "document-int",
        "UPDATE embeddings_queue SET metadata = '{\"chroma:document\": 7}' WHERE seq_id = 2",
    ),
    (
        "document-nul",
        "UPDATE embeddings_queue SET metadata = '{\"chroma:document\": \"a\\u0000b\"}'
         WHERE seq_id = 2",
    ),
    (
        "document-empty",
        "UPDATE embeddings_queue SET metadata = '{\"chroma:document\": \"\"}' WHERE seq_id = 2",
    ),
    (
        "foreign-reserved-key",
        "UPDATE embeddings_queue SET metadata = '{\"chroma:other\": \"x\"}' WHERE seq_id = 2",
    ),
    (
        "metadata-bytes",
        "UPDATE embeddings_queue SET metadata = x'ff00' WHERE seq_id = 2",
    ),
    (
        "metadata-no-text",
        "UPDATE embeddings_queue SET metadata = CAST(x'7b22ff223a317d' AS TEXT) WHERE seq_id = 2",
    ),
    (
        "empty-id",
        "UPDATE embeddings_queue SET id = '' WHERE seq_id = 2;
         UPDATE embeddings SET embedding_id = '' WHERE id = 2",
    ),
    (
        "no-text-id",
        "UPDATE embeddings_queue SET id = CAST(x'ff' AS TEXT) WHERE seq_id = 2;
         UPDATE embeddings SET embedding_id = CAST(x'ff' AS TEXT) WHERE id = 2",
    ),
];

fn beside_a_good_run(kind: Kind, with_base: bool) {
    for (name, statement) in ODD {
        let world = World::with_max_receives(kind, 1);
        world.expects(&[name]);
        if with_base {
            world.submit("run-base", &[&Delta::of("lines", "base", 3)]);
            world.drain();
        }
        sql(&world, name, statement);
        let good = Delta::of("lines", "good", 2);
        world.submit("run-good", &[&good]);
        world.drain();
        let part = world.part("run-good", "lines");
        assert_eq!(part.state, RunState::Completed, "{name}: {:?}", part.error);
        let snapshot = world.snapshot("lines").unwrap();
        for (id, record) in good.content() {
            assert_eq!(snapshot.content.get(&id), Some(&record), "{name}");
        }
        let part = world.part(name, "lines");
        let merged = snapshot.lineage().contains(&name);
        match part.state {
            RunState::Completed => assert!(merged && part.merged_vectors == 2, "{name}"),
            RunState::Failed => {
                assert!(!merged && world.depth().dead == 1, "{name}");
                let code = world.code(name, "lines");
                assert!(
                    code.starts_with("CS-") && code != "CS-SQLITE",
                    "{name}: {code}"
                );
            }
            other => panic!("{name} is {other}"),
        }
    }
}

#[test]
fn odd_record_does_not_block_good_run_on_snapshot() {
    beside_a_good_run(Kind::Fakes, true);
}

#[test]
fn odd_record_does_not_block_good_run_without_snapshot() {
    beside_a_good_run(Kind::Fakes, false);
}
