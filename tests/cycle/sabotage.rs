//! Everything that can be wrong with one run, by name, with the code that its record must carry.

use std::path::Path;

use chroma_store::{ClosedStore, DATABASE_NAME, pack};
use rusqlite::Connection;

use crate::archive::Tar;
use crate::deltas::{Delta, upsert};
use crate::world::World;

/// One kind of bad run. `announce` uploads what it wants and sends the message.
pub(crate) struct Bad {
    pub(crate) name: &'static str,
    pub(crate) code: &'static str,
    announce: fn(&World, &str),
}

impl Bad {
    pub(crate) fn submit(&self, world: &World) {
        world.expects(&[self.code]);
        (self.announce)(world, self.name);
    }
}

macro_rules! bad {
    ($name:literal, $code:literal, $announce:expr) => {
        Bad {
            name: $name,
            code: $code,
            announce: $announce,
        }
    };
}

/// All kinds. They are bad beside a snapshot of `lines` with vectors of 4 elements and the cosine
/// space.
pub(crate) const ALL: [Bad; 29] = [
    bad!("missing-delta", "CC-DELTA-MISSING", |world, run| {
        world.announce(run, "lines");
    }),
    bad!("foreign-bucket", "CC-DELTA-BUCKET", |world, run| {
        world.announce_at(run, "lines", &format!("s3://elsewhere/lines/delta/{run}/"));
    }),
    bad!("loose-object-name", "CC-OBJECT-NAME", |world, run| {
        let prefix = world.prefix(run, "lines");
        world.upload_loose(&prefix, &good(world, run));
        world.put(&format!("{prefix}..\\escape"), "x");
        world.announce(run, "lines");
    }),
    bad!("no-archive", "CS-ARCHIVE-DAMAGED", |world, run| {
        packed(world, run, b"this is not a gzip tar".to_vec());
    }),
    bad!("flipped-byte", "CS-ARCHIVE-DAMAGED", |world, run| {
        let mut archive = pack(&good(world, run), &[], Vec::new()).unwrap();
        let middle = archive.len() / 2;
        archive[middle] ^= 0x10;
        packed(world, run, archive);
    }),
    bad!("truncated-archive", "CS-ARCHIVE-DAMAGED", |world, run| {
        let mut archive = pack(&good(world, run), &[], Vec::new()).unwrap();
        archive.truncate(archive.len() / 2);
        packed(world, run, archive);
    }),
    bad!(
        "archive-without-its-end",
        "CS-ARCHIVE-DAMAGED",
        |world, run| {
            let mut archive = pack(&good(world, run), &[], Vec::new()).unwrap();
            archive.truncate(archive.len() - 4);
            packed(world, run, archive);
        }
    ),
    bad!("path-traversal", "CS-ARCHIVE-ENTRY", |world, run| {
        let tar = with_database(world, run).file("../escape", b"x");
        packed(world, run, tar.gzip());
    }),
    bad!("absolute-path", "CS-ARCHIVE-ENTRY", |world, run| {
        let tar = with_database(world, run).file("/escape", b"x");
        packed(world, run, tar.gzip());
    }),
    bad!("symbolic-link", "CS-ARCHIVE-ENTRY", |world, run| {
        let tar = with_database(world, run).link(b'2', "./escape", "/etc/hostname");
        packed(world, run, tar.gzip());
    }),
    bad!("hard-link", "CS-ARCHIVE-ENTRY", |world, run| {
        let tar = with_database(world, run).link(b'1', "./escape", "chroma.sqlite3");
        packed(world, run, tar.gzip());
    }),
    bad!("long-name", "CS-ARCHIVE-LIMIT", |world, run| {
        let name = "a/".repeat(50_000);
        let tar = with_database(world, run).file_with_long_name(&name, b"x");
        packed(world, run, tar.gzip());
    }),
    bad!("large-pax-records", "CS-ARCHIVE-LIMIT", |world, run| {
        let comment = format!("100017 comment={}\n", "c".repeat(100_001));
        let tar = with_database(world, run).entry(b'x', "pax", comment.as_bytes());
        packed(world, run, tar.file("./a", b"x").gzip());
    }),
    bad!("name-too-long", "CS-ARCHIVE-ENTRY", |world, run| {
        let name = "n".repeat(300);
        let tar = with_database(world, run).file_with_long_name(&name, b"x");
        packed(world, run, tar.gzip());
    }),
    bad!("file-as-folder", "CS-ARCHIVE-ENTRY", |world, run| {
        let tar = with_database(world, run).file("./a", b"x");
        packed(world, run, tar.file("./a/b", b"x").gzip());
    }),
    bad!("folder-as-file", "CS-ARCHIVE-ENTRY", |world, run| {
        let tar = with_database(world, run).file("./a/b", b"x");
        packed(world, run, tar.file("./a", b"x").gzip());
    }),
    bad!("large-document", "CS-RECORD-LIMIT", |world, run| {
        sql(
            world,
            run,
            "UPDATE embeddings_queue SET metadata =
               '{\"chroma:document\": \"' || replace(hex(zeroblob(1 << 20)), '0', 'x') || '\"}'",
        );
    }),
    bad!(
        "large-configuration",
        "CS-CONFIGURATION-LIMIT",
        |world, run| {
            sql(
                world,
                run,
                "UPDATE collections SET config_json_str =
               '{\"a\": \"' || hex(zeroblob(40000)) || '\"}'",
            );
        }
    ),
    bad!("large-id", "CS-RECORD-LIMIT", |world, run| {
        sql(
            world,
            run,
            "UPDATE embeddings_queue SET id = hex(zeroblob(1 << 20)) WHERE seq_id = 2",
        );
    }),
    bad!("bomb", "CS-ARCHIVE-LIMIT", |world, run| {
        // Far over the ratio, and over what small archives are allowed anyway.
        changed(world, run, |dir| {
            std::fs::write(dir.join("zeros.bin"), vec![0; 20 << 20]).unwrap();
        });
    }),
    bad!("too-many-entries", "CS-ARCHIVE-LIMIT", |world, run| {
        changed(world, run, |dir| {
            for number in 0..50 {
                std::fs::write(dir.join(format!("{number}.bin")), "x").unwrap();
            }
        });
    }),
    bad!("no-database", "CS-NOT-CHROMA", |world, run| {
        packed(world, run, Tar::default().file("./readme", b"x").gzip());
    }),
    bad!("hot-journal", "CS-HOT-JOURNAL", |world, run| {
        changed(world, run, |dir| {
            std::fs::write(dir.join("chroma.sqlite3-journal"), "x").unwrap();
        });
    }),
    bad!("torn-database", "CS-TRUNCATED", |world, run| {
        changed(world, run, |dir| {
            let path = dir.join(DATABASE_NAME);
            let size = path.metadata().unwrap().len();
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_len(size / 2).unwrap();
        });
    }),
    bad!("damaged-pages", "CS-DAMAGED", |world, run| {
        changed(world, run, |dir| {
            let path = dir.join(DATABASE_NAME);
            let mut body = std::fs::read(&path).unwrap();
            let (start, end) = (body.len() / 3, body.len() * 2 / 3);
            body[start..end].fill(0xa5);
            std::fs::write(path, body).unwrap();
        });
    }),
    bad!("foreign-trigger", "CS-UNKNOWN-SCHEMA", |world, run| {
        sql(world, run, "CREATE VIEW foreign_view AS SELECT 1");
    }),
    bad!(
        "missing-collection",
        "CS-COLLECTION-MISSING",
        |world, run| {
            let store = Delta::of("words", run, 2).write(world, &world.folder(run));
            world.upload_packed(run, "lines", &store);
            world.announce(run, "lines");
        }
    ),
    bad!("wrong-dimension", "CS-DIMENSION", |world, run| {
        let mut operation = upsert(run, run, 1);
        operation.vector.as_mut().unwrap().truncate(12);
        let store = Delta::new("lines", vec![operation]).write(world, &world.folder(run));
        world.upload_packed(run, "lines", &store);
        world.announce(run, "lines");
    }),
    bad!("not-a-number", "CS-NOT-FINITE", |world, run| {
        // The first record is good: what it wrote must be gone as well.
        sql(
            world,
            run,
            "UPDATE embeddings_queue SET vector = x'0000c07f0000803f000000bf00000000'
             WHERE seq_id = 2",
        );
    }),
];

/// A delta of two records that would be good as it is.
pub(crate) fn good(world: &World, run: &str) -> ClosedStore {
    Delta::of("lines", run, 2).write(world, &world.folder(run))
}

/// Changes a delta's files after it was closed, and submits it packed.
pub(crate) fn changed(world: &World, run: &str, change: impl FnOnce(&Path)) {
    let store = good(world, run);
    change(store.dir());
    world.upload_packed(run, "lines", &store);
    world.announce(run, "lines");
}

/// Changes a delta's database with SQL.
pub(crate) fn sql(world: &World, run: &str, statement: &str) {
    changed(world, run, |dir| {
        let database = Connection::open(dir.join(DATABASE_NAME)).unwrap();
        database.execute_batch(statement).unwrap();
    });
}

fn with_database(world: &World, run: &str) -> Tar {
    let store = good(world, run);
    let body = std::fs::read(store.dir().join(DATABASE_NAME)).unwrap();
    Tar::default().file("./chroma.sqlite3", &body)
}

fn packed(world: &World, run: &str, archive: Vec<u8>) {
    world.upload_archive(run, "lines", archive);
    world.announce(run, "lines");
}
