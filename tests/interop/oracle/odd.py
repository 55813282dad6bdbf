"""make-odd and use-odd: directories as users have them, and whether chromadb can go on with them.

Each kind is a small directory that chromadb made and something happened to. What it has to hold
in the end is written beside it.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import random
import shutil
import sqlite3
import struct
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy

from . import compat, ops

NAME = "odd"
RECORDS, DIM, THRESHOLD = 60, 8, 20
# What chromadb changes in a graph it may no longer find itself: hnswlib's updates cut links.
MISSED = 3
PURGES_NOT = '{"automatically_purge":false,"_type":"EmbeddingsQueueConfigurationInternal"}'

# id: vector and document.
Expected = dict[str, tuple[list[float], str]]


def make_odd(arguments: Namespace) -> int:
    kind = KINDS[arguments.kind]
    rng = random.Random(f"odd {arguments.seed}")
    parameters = kind.parameters if isinstance(kind, Parameters) else {}
    with compat.session(arguments.out) as client:
        create(client, NAME, arguments.space, parameters)
    # Up to 0.5.5 nothing is purged, and there is no such table.
    if not isinstance(kind, Parameters) and compat.VERSION >= (0, 5, 6):
        with database(arguments.out) as connection:
            connection.execute("DELETE FROM embeddings_queue_config")
            connection.execute("INSERT INTO embeddings_queue_config (config_json_str) VALUES (?)",
                               (PURGES_NOT,))
    expected = invent(rng, "r", RECORDS, arguments.space)
    if arguments.kind == "last":
        expected = dict(list(expected.items())[-1:])
    with compat.session(arguments.out) as client:
        collection = compat.get_collection(client, NAME)
        for start in range(0, len(expected), 10):
            write(collection, "add", dict(list(expected.items())[start:start + 10]))
    if not isinstance(kind, Parameters):
        kind(arguments.out, expected, rng)
    ops.write_json(arguments.expected, expected)
    print(json.dumps({"chromadb": compat.VERSION_TEXT, "records": len(expected)}))
    return 0


class Parameters:
    """A collection with these HNSW parameters, by the names of 1.x."""

    def __init__(self, **parameters: int) -> None:
        self.parameters = parameters


def create(client: Any, name: str, space: str, parameters: dict[str, int]) -> None:
    parameters = {"sync_threshold": THRESHOLD, "batch_size": THRESHOLD // 2} | parameters
    if compat.HAS_CONFIGURATION:
        client.create_collection(name, configuration={"hnsw": {"space": space} | parameters},
                                 embedding_function=None)
        return
    old = {"max_neighbors": "M", "ef_construction": "construction_ef", "ef_search": "search_ef"}
    metadata = {f"hnsw:{old.get(key, key)}": value for key, value in parameters.items()}
    client.create_collection(name, metadata=metadata | {"hnsw:space": space},
                             embedding_function=None)


def invent(rng: random.Random, prefix: str, count: int, space: str) -> Expected:
    return {f"{prefix}{n}": (vector(rng, space), f"text {n} of {prefix}") for n in range(count)}


def vector(rng: random.Random, space: str) -> list[float]:
    """By inner product a vector is nearest to itself only among those of one length."""
    made = numpy.array([rng.uniform(-1, 1) for _ in range(DIM)])
    return list(made / numpy.linalg.norm(made) if space == "ip" else made)


def write(collection: Any, operation: str, records: Expected) -> None:
    getattr(collection, operation)(ids=list(records),
                                   embeddings=[vector for vector, _ in records.values()],
                                   documents=[text for _, text in records.values()])


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path / "chroma.sqlite3", isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def segment(path: Path) -> Path:
    """The folder of the index files."""
    with database(path) as connection:
        (found,), = connection.execute("SELECT id FROM segments WHERE scope = 'VECTOR'")
    return path / found


def execute(sql: str) -> Callable[[Path, Expected, random.Random], None]:
    def change(path: Path, expected: Expected, rng: random.Random) -> None:
        with database(path) as connection:
            connection.executescript(sql)
    return change


def spoil(name: str, change: Callable[[bytes], bytes | None]) -> Any:
    def changed(path: Path, expected: Expected, rng: random.Random) -> None:
        file = segment(path) / name
        content = change(file.read_bytes())
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
    return changed


def first_label_twice(level0: bytes) -> bytes:
    size = 4 + 4 * 32 + 4 * DIM + 8
    return level0[:2 * size - 8] + level0[size - 8:size] + level0[2 * size:]


def lower_total(pickled: bytes) -> bytes:
    """`total_elements_added`, from which the next label is counted."""
    class Data:
        def __setstate__(self, state: Any) -> None:
            self.__dict__ = dict(state)

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return Data if name == "PersistentData" else super().find_class(module, name)

    found = Unpickler(io.BytesIO(pickled)).load()
    state = found if isinstance(found, dict) else vars(found)
    state["total_elements_added"] = 3
    # Every version reads the plain form of 1.x in place of its own but 0.x.
    return pickle.dumps(state, 2)


def without_folder(path: Path, expected: Expected, rng: random.Random) -> None:
    shutil.rmtree(segment(path))


def with_the_index_of_another(path: Path, expected: Expected, rng: random.Random) -> None:
    other = path.with_name("other")
    with compat.session(other) as client:
        create(client, NAME, "l2", {})
        others = invent(rng, "other", 2 * THRESHOLD, "l2")
        write(compat.get_collection(client, NAME), "add", others)
    own = segment(path)
    shutil.rmtree(own)
    shutil.copytree(segment(other), own)
    shutil.rmtree(other)


def waiting_behind_progress(path: Path, expected: Expected, rng: random.Random) -> None:
    """chromadb accepts writes and drops them: an old blob was read as an integer."""
    poison(path, 1_200_000_000_000_000_000)
    waiting = invent(rng, "waiting", 5, "l2")
    with compat.session(path) as client:
        write(compat.get_collection(client, NAME), "add", waiting)
    expected |= waiting


def waiting_behind(*scopes: str) -> Any:
    """The same with the progress of other segments."""
    def change(path: Path, expected: Expected, rng: random.Random) -> None:
        waiting = invent(rng, "waiting", 5, "l2")
        with compat.session(path) as client:
            write(compat.get_collection(client, NAME), "add", waiting)
        for scope in scopes:
            poison(path, 1_200_000_000_000_000_000, scope)
        expected |= waiting
    return change


def ignored_adds(path: Path, expected: Expected, rng: random.Random) -> None:
    """Adds of ids that exist are logged, and ignored."""
    others = dict(zip(list(expected)[:3], invent(rng, "other", 3, "l2").values()))
    with compat.session(path) as client:
        write(compat.get_collection(client, NAME), "add", others)


def without_the_first_rows_and_index(path: Path, expected: Expected, rng: random.Random) -> None:
    """The log has nothing but ignored adds, whose vectors are not those of the records."""
    ignored_adds(path, expected, rng)
    execute(f"DELETE FROM embeddings_queue WHERE seq_id <= {RECORDS}")(path, expected, rng)
    spoil("data_level0.bin", lambda content: bytes(len(content)))(path, expected, rng)


def waiting_deletes(path: Path, expected: Expected, rng: random.Random) -> None:
    """Deletes that the index files have not seen, and a record whose row cannot be read."""
    gone = list(expected)[3:5]
    with compat.session(path) as client:
        compat.get_collection(client, NAME).delete(ids=gone)
    for record_id in gone:
        del expected[record_id]
    execute("UPDATE embeddings SET embedding_id = x'ff00' WHERE id = 10")(path, expected, rng)


def poison(path: Path, progress: int, scope: str = "METADATA") -> None:
    with database(path) as connection:
        (kind,), = connection.execute("SELECT DISTINCT typeof(seq_id) FROM max_seq_id")
        value = progress.to_bytes(8, "big") if kind == "blob" else progress
        connection.execute("UPDATE max_seq_id SET seq_id = ? WHERE segment_id ="
                           " (SELECT id FROM segments WHERE scope = ?)", (value, scope))


def reset_progress(arguments: Namespace) -> int:
    """What a user does by hand once told."""
    poison(arguments.dir, RECORDS)
    print("{}")
    return 0


def spoil_database(change: Callable[[bytes], bytes]) -> Any:
    def changed(path: Path, expected: Expected, rng: random.Random) -> None:
        file = path / "chroma.sqlite3"
        file.write_bytes(change(file.read_bytes()))
    return changed


def zero_a_page(database: bytes) -> bytes:
    """One in the middle, whatever it holds."""
    at = 4096 * (len(database) // 4096 // 2)
    return database[:at] + bytes(4096) + database[at + 4096:]


def zero_the_root_of(table: str) -> Any:
    def changed(path: Path, expected: Expected, rng: random.Random) -> None:
        with database(path) as connection:
            (root,), = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?",
                                          (table,))
        at = 4096 * (root - 1)
        zero = spoil_database(lambda content: content[:at] + bytes(4096) + content[at + 4096:])
        zero(path, expected, rng)
    return changed


def open_journal(path: Path, expected: Expected, rng: random.Random) -> None:
    (path / "chroma.sqlite3-journal").write_bytes(b"copied while it was written")


def without_vectors(path: Path, expected: Expected, rng: random.Random) -> None:
    """The log was purged, and the folder of the index files was lost in a copy."""
    execute("DELETE FROM embeddings_queue WHERE seq_id < (SELECT max(seq_id) FROM"
            " embeddings_queue)")(path, expected, rng)
    without_folder(path, expected, rng)


def purged(change: Any) -> Any:
    """The same where the log was purged: the index files are all that is left."""
    def changed(path: Path, expected: Expected, rng: random.Random) -> None:
        execute("DELETE FROM embeddings_queue WHERE seq_id < (SELECT max(seq_id) FROM"
                " embeddings_queue)")(path, expected, rng)
        change(path, expected, rng)
    return changed


def swapped_folders(path: Path, expected: Expected, rng: random.Random) -> None:
    """Those of two collections."""
    with compat.session(path) as client:
        create(client, "another", "l2", {})
        collection = compat.get_collection(client, "another")
        others = invent(rng, "other", 2 * THRESHOLD, "l2")
        for start in range(0, len(others), 10):
            write(collection, "add", dict(list(others.items())[start:start + 10]))
    swap_folders(path)


def swapped_with_a_narrower_one(path: Path, expected: Expected, rng: random.Random) -> None:
    """Those of two collections with the same ids and vectors of other lengths; the log tells of
    neither."""
    with compat.session(path) as client:
        create(client, "narrower", "l2", {})
        collection = compat.get_collection(client, "narrower")
        others = {i: (vector[:DIM // 2], text) for i, (vector, text) in expected.items()}
        for start in range(0, len(others), 10):
            write(collection, "add", dict(list(others.items())[start:start + 10]))
    execute("DELETE FROM embeddings_queue WHERE seq_id < (SELECT max(seq_id) FROM"
            " embeddings_queue)")(path, expected, rng)
    swap_folders(path)


def swap_folders(path: Path) -> None:
    with database(path) as connection:
        folders = [path / name for name, in
                   connection.execute("SELECT id FROM segments WHERE scope = 'VECTOR'")]
    folders[0].rename(path / "aside")
    folders[1].rename(folders[0])
    (path / "aside").rename(folders[1])


def dent(level0: bytes) -> bytes:
    """Some records in the middle of the file."""
    return level0[:4000] + bytes(800) + level0[4800:]


def without_index_rows(path: Path, expected: Expected, rng: random.Random) -> None:
    """A row that SQLite's own index does not know of, as a crash of the disk leaves it."""
    name = "embedding_metadata_string_value"
    with database(path) as connection:
        connection.executescript("PRAGMA writable_schema = ON")
        row = connection.execute("SELECT * FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        connection.execute("DELETE FROM sqlite_master WHERE name = ?", (name,))
    with database(path) as connection:
        connection.execute("INSERT INTO embedding_metadata (id, key, string_value)"
                           " SELECT id, 'more', 'unknown to the index' FROM embeddings LIMIT 3")
        connection.executescript("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)


def without_rows(path: Path, expected: Expected, rng: random.Random) -> None:
    """Records that only SQLite's own index knows, as an older page in place of a newer one leaves it."""
    execute("DELETE FROM embeddings_queue WHERE seq_id < (SELECT max(seq_id) FROM"
            " embeddings_queue)")(path, expected, rng)
    with database(path) as connection:
        connection.executescript("PRAGMA writable_schema = ON")
        table = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'embeddings'"
                                   " AND type = 'table'").fetchone()[0]
        indexes = connection.execute("SELECT * FROM sqlite_master WHERE tbl_name = 'embeddings'"
                                     " AND type = 'index'").fetchall()
        connection.execute("DELETE FROM sqlite_master WHERE tbl_name = 'embeddings'"
                           " AND type = 'index'")
        plain = table.replace("UNIQUE (segment_id, embedding_id)", "CHECK (1)")
        assert plain != table, table
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'embeddings'", (plain,))
    with database(path) as connection:
        connection.execute("DELETE FROM embeddings WHERE id > (SELECT max(id) - 20 FROM embeddings)")
        connection.executescript("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'embeddings'", (table,))
        for index in indexes:
            connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", index)


def drift(path: Path, expected: Expected, rng: random.Random) -> None:
    folder = path / f"{segment(path).name}.drift-20260102"
    shutil.copytree(segment(path), folder)


def waiting_without_a_whole_log(path: Path, expected: Expected, rng: random.Random) -> None:
    execute("DELETE FROM embeddings_queue WHERE seq_id < (SELECT max(seq_id) FROM"
            " embeddings_queue)")(path, expected, rng)
    waiting_behind_progress(path, expected, rng)


KINDS: dict[str, Any] = {
    "threshold-10^10": Parameters(sync_threshold=10**10),
    "threshold-maxsize": Parameters(sync_threshold=sys.maxsize),
    "m-5000": Parameters(max_neighbors=5000),
    "ef-negative": Parameters(ef_search=-1),
    "ef-10^10": Parameters(ef_construction=10**10, ef_search=10**10),
    "waiting-behind-progress": waiting_behind_progress,
    "waiting-log-purged": waiting_without_a_whole_log,
    "vector-progress-beyond": waiting_behind("VECTOR"),
    "both-progress-beyond": waiting_behind("METADATA", "VECTOR"),
    "ignored-adds": ignored_adds,
    "deletes-wait": waiting_deletes,
    "length-cut": spoil("length.bin", lambda content: content[:17]),
    "length-missing": spoil("length.bin", lambda content: None),
    "label-twice": spoil("data_level0.bin", first_label_twice),
    "level0-zeroed": spoil("data_level0.bin", lambda content: bytes(len(content))),
    "links-cut": spoil("link_lists.bin", lambda content: content[:3]),
    "ids-torn": spoil("index_metadata.pickle", lambda content: content[:40]),
    "index-missing": without_folder,
    "index-of-another": with_the_index_of_another,
    "full-text-torn": execute("DELETE FROM embedding_fulltext_search_data WHERE id ="
                              " (SELECT max(id) FROM embedding_fulltext_search_data)"),
    "full-text-missing": execute("DROP TABLE embedding_fulltext_search"),
    "full-text-index-zeroed": zero_the_root_of("embedding_fulltext_search_data"),
    "full-text-zeroed": zero_the_root_of("embedding_fulltext_search_content"),
    "documents-lost": execute("DELETE FROM embedding_metadata WHERE key = 'chroma:document'"
                              " AND id < 5"),
    "configuration-broken": execute("UPDATE collections SET config_json_str = '{bad'"),
    "tenant-missing": execute("DELETE FROM tenants"),
    "wal-mode": execute("PRAGMA journal_mode=WAL; PRAGMA wal_checkpoint(TRUNCATE)"),
    "sqlite-index-incomplete": without_index_rows,
    "rows-lost": without_rows,
    "migration-differs": execute("UPDATE migrations SET sql = sql || ' ' WHERE dir = 'sysdb'"
                                 " AND version = 3"),
    "no-dimension": execute("UPDATE collections SET dimension = NULL"),
    "log-emptied": execute("DELETE FROM embeddings_queue"),
    "total-too-low": spoil("index_metadata.pickle", lambda content: lower_total(content)),
    "folder-of-nobody": drift,
    "free-pages": execute("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(500000));"
                          " DROP TABLE t"),
    "database-cut": spoil_database(lambda content: content[:len(content) // 2]),
    "database-header-zeroed": spoil_database(lambda content: bytes(100) + content[100:]),
    "database-page-zeroed": spoil_database(zero_a_page),
    "open-journal": open_journal,
    "vectors-lost": without_vectors,
    "header-missing": purged(spoil("header.bin", lambda content: None)),
    "header-zeroed": purged(spoil("header.bin", lambda content: bytes(len(content)))),
    "level0-dented": purged(spoil("data_level0.bin", dent)),
    "level0-cut": purged(spoil("data_level0.bin", lambda content: content[:4000])),
    "folders-swapped": purged(swapped_folders),
    "folders-swapped-same-ids": swapped_with_a_narrower_one,
    "dimension-wrong": execute("UPDATE collections SET dimension = 3"),
    "dimension-wrong-purged": purged(execute("UPDATE collections SET dimension = 3")),
    "progress-dropped": execute("DROP TABLE max_seq_id"),
    "progress-deleted": execute("DELETE FROM max_seq_id"),
    "progress-deleted-purged": purged(execute("DELETE FROM max_seq_id")),
    "vector-segment-missing": purged(execute("DELETE FROM segments WHERE scope = 'VECTOR'")),
    "metadata-segment-missing": purged(execute("DELETE FROM segments WHERE scope = 'METADATA'")),
    "database-row-missing": execute("DELETE FROM databases"),
    "sqlite-index-zeroed": zero_the_root_of("embedding_metadata_string_value"),
    "sqlite-key-zeroed": zero_the_root_of("sqlite_autoindex_embeddings_1"),
    "lengths-zeroed": spoil("length.bin", lambda content: bytes(len(content))),
    "lengths-zeroed-purged": purged(spoil("length.bin", lambda content: bytes(len(content)))),
    "add-ignored-index-lost": without_the_first_rows_and_index,
    "log-row-broken": execute("UPDATE embeddings_queue SET metadata = '{' WHERE seq_id = 30"),
    "pickle-byte": purged(spoil("index_metadata.pickle", lambda content: bytes(1) + content[1:])),
    "pickle-longer": spoil("index_metadata.pickle", lambda content: content + b"more"),
    "migrations-missing": execute("DELETE FROM migrations WHERE version > 2"),
    "table-missing": execute("DROP TABLE collection_metadata"),
    "collection-row-missing": execute("DELETE FROM collections"),
    "last": execute("SELECT 1"),
    "sound": execute("SELECT 1"),
}


def upgrade(arguments: Namespace) -> int:
    """Opens a directory, which this version migrates.

    It counts in a second session. While chromadb 1.5.9 adds columns to the tables of 0.4.24, a
    connection of its pool may still hold the old schema, and then it panics with
    ColumnNotFound("bool_value"): 4 of 150 first sessions on a busy machine.
    """
    with compat.session(arguments.dir):
        pass
    with compat.session(arguments.dir) as client:
        print(json.dumps({"records": compat.get_collection(client, NAME).count()}))
    return 0


def use_odd(arguments: Namespace) -> int:
    expected: Expected = {i: (vector, text)
                          for i, (vector, text) in ops.read_json(arguments.expected).items()}
    wrong = look(arguments.dir, expected, "at first", 0)
    if arguments.space:
        wrong += other_parameters(arguments)
    if not wrong:
        with compat.session(arguments.dir) as client:
            collection = compat.get_collection(client, NAME)
            rng, space = random.Random("later"), compat.hnsw_space(collection)
            later = invent(rng, "later", 2 * THRESHOLD, space)
            write(collection, "add", later)
            expected |= later
            changed = {i: invented for i, invented in
                       zip(list(expected)[:10], invent(rng, "changed", 10, space).values())}
            write(collection, "upsert", changed)
            expected |= changed
            gone = list(expected)[10:20]
            collection.delete(ids=gone)
            for record_id in gone:
                del expected[record_id]
        wrong = look(arguments.dir, expected, "after more writes", MISSED)
    for text in wrong:
        print(text)
    print(json.dumps({"chromadb": compat.VERSION_TEXT, "records": len(expected)}))
    return 1 if wrong else 0


def other_parameters(arguments: Namespace) -> list[str]:
    """Space and M, as chromadb reads them, as it measures, and as the files say."""
    with compat.session(arguments.dir) as client:
        collection = compat.get_collection(client, NAME)
        space = compat.hnsw_space(collection)
        vector = collection.get(limit=1, include=["embeddings"])["embeddings"][0]
        found = collection.query(query_embeddings=[[2 * x for x in vector]], n_results=1)
        distance = found["distances"][0][0]
    # Twice a vector is as far away as it is long, but points the same way.
    squared = float(numpy.dot(vector, vector))
    expected = {"l2": squared, "cosine": 0.0, "ip": 1 - 2 * squared}[arguments.space]
    header = (segment(arguments.dir) / "header.bin").read_bytes()
    links = struct.unpack_from("<Q", header, 76)[0]
    wrong = []
    if space != arguments.space or not numpy.isclose(distance, expected, atol=1e-4):
        wrong.append(f"the space is {space}, the distance {distance} instead of {expected}")
    # What users gave to 0.x is carried along, and shown.
    shown = (collection.metadata or {}).get("hnsw:space", arguments.space)
    if shown != arguments.space:
        wrong.append(f"the metadata say that the space is {shown}")
    if links != arguments.m:
        wrong.append(f"M is {links}")
    return wrong


def look(path: Path, expected: Expected, when: str, missed: int) -> list[str]:
    """Whether chromadb holds and finds what it must; so many may be missed by their vectors."""
    with compat.session(path) as client:
        collection = compat.get_collection(client, NAME)
        held = collection.get(include=["embeddings", "documents"])
        if set(held["ids"]) != set(expected):
            return [f"{when}: {len(held['ids'])} ids instead of {len(expected)}"]
        for record_id, vector, text in zip(held["ids"], held["embeddings"], held["documents"]):
            if text != expected[record_id][1]:
                return [f"{when}: {record_id} is {text!r}"]
            if not numpy.allclose(vector, expected[record_id][0], atol=1e-5):
                return [f"{when}: {record_id} has another vector"]
            found = collection.get(where_document={"$contains": text}, include=[])["ids"]
            if record_id not in found:
                return [f"{when}: {record_id} is not found by its text"]
        nearest = collection.query(query_embeddings=[vector for vector, _ in expected.values()],
                                   n_results=1, include=[])["ids"]
        lost = [i for i, (found,) in zip(expected, nearest) if found != i]
        return [f"{when}: not found by their vectors: {lost}"] if len(lost) > missed else []
