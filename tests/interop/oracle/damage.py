"""What happened to the odd directories, kind by kind.

What a directory has to hold in the end is written beside it.
"""

from __future__ import annotations

import pickle
import random
import shutil
import sys
from pathlib import Path
from typing import Any, Callable

from . import compat
from .odd_records import (DIM, NAME, RECORDS, THRESHOLD, Expected, Parameters, create, database,
                          invent, segment, vector, write)


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


def change_maps(change: Callable[[dict[str, Any]], None], as_dict: bool = False) -> Any:
    """The id maps with another state. 0.x keeps an instance of its class; of a dict in its place
    every other version reads as much."""
    def changed(content: bytes) -> bytes:
        found = pickle.loads(content)
        state = found if isinstance(found, dict) else vars(found)
        change(state)
        return pickle.dumps(state if as_dict else found, pickle.HIGHEST_PROTOCOL)
    return spoil("index_metadata.pickle", changed)


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


def records_beyond_progress(path: Path, expected: Expected, rng: random.Random) -> None:
    """A write raised half-way in chromadb 0.x: some of its records are there, not their progress."""
    waiting = invent(rng, "waiting", 5, "l2")
    with compat.session(path) as client:
        write(compat.get_collection(client, NAME), "add", waiting)
    poison(path, RECORDS + 2)
    expected |= waiting


def extreme_lengths(path: Path, expected: Expected, rng: random.Random) -> None:
    """Vectors whose squares vanish or overflow: chromadb takes them, and keeps little of them."""
    values = [1e-45, 1e-38, 1e-30, 1e-25, 1e-22, 1e20, 3e38, 0.0]
    odd = {f"odd{n}": ([value] * DIM, f"text {n}") for n, value in enumerate(values)}
    others = invent(rng, "other", 2 * THRESHOLD, "cosine")
    with compat.session(path) as client:
        collection = compat.get_collection(client, NAME)
        write(collection, "add", odd)
        write(collection, "add", others)


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
    """Records that only SQLite's own index knows: an older page stands in place of a newer one."""
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
        connection.execute("DELETE FROM embeddings WHERE id >"
                           " (SELECT max(id) - 20 FROM embeddings)")
        connection.executescript("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'embeddings'", (table,))
        for index in indexes:
            connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", index)


def without_found_pages(path: Path, expected: Expected, rng: random.Random) -> None:
    """The full-text index has more than one page, and nothing says which terms are where."""
    letters = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=4000))
    longer = {f"longer{n}": (vector(rng, "l2"), letters[200 * n:200 * (n + 1)]) for n in range(20)}
    with compat.session(path) as client:
        write(compat.get_collection(client, NAME), "add", longer)
    expected |= longer
    execute("DELETE FROM embedding_fulltext_search_idx")(path, expected, rng)


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
    "m-40000": Parameters(max_neighbors=40000),
    "ef-negative": Parameters(ef_search=-1),
    "ef-10^10": Parameters(ef_construction=10**10, ef_search=10**10),
    "waiting-behind-progress": waiting_behind_progress,
    "waiting-log-purged": waiting_without_a_whole_log,
    "vector-progress-beyond": waiting_behind("VECTOR"),
    "both-progress-beyond": waiting_behind("METADATA", "VECTOR"),
    "records-beyond-progress": records_beyond_progress,
    "lengths-extreme": extreme_lengths,
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
    "full-text-pages-lost": without_found_pages,
    "full-text-zeroed": zero_the_root_of("embedding_fulltext_search_content"),
    "value-not-text": purged(execute("INSERT INTO embedding_metadata (id, key, string_value)"
                                     " VALUES (5, 'topic', CAST(x'ff' AS TEXT))")),
    "name-not-text": execute("INSERT INTO collection_metadata (collection_id, key, str_value)"
                             " SELECT id, 'note', CAST(x'ff41' AS TEXT) FROM collections"),
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
    # From which the next label is counted.
    "total-too-low": change_maps(lambda state: state.update(total_elements_added=3)),
    "pickle-dict": purged(change_maps(lambda state: None, as_dict=True)),
    "pickle-class": purged(spoil("index_metadata.pickle", lambda content: content.replace(
        b"PersistentData", b"PersistentDate"))),
    "pickle-dimension": purged(change_maps(lambda state: state["dimensionality"] is None or
                                           state.update(dimensionality=DIM + 1))),
    "pickle-seqs-lost": purged(change_maps(lambda state: state["id_to_seq_id"].clear())),
    "folder-of-nobody": drift,
    "free-pages": execute("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(500000));"
                          " DROP TABLE t"),
    "database-cut": spoil_database(lambda content: content[:len(content) // 2]),
    "database-header-zeroed": spoil_database(lambda content: bytes(100) + content[100:]),
    "database-page-zeroed": spoil_database(zero_a_page),
    "open-journal": open_journal,
    "vectors-lost": without_vectors,
    "header-missing": purged(spoil("header.bin", lambda content: None)),
    "header-m": purged(spoil("header.bin", lambda content: content[:76] + bytes(8) + content[84:])),
    "header-scale": purged(spoil("header.bin", lambda content: content[:84] + bytes(8) +
                                 content[92:])),
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
