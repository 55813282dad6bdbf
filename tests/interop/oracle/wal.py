"""Looks into a directory's sqlite file: is a collection's log complete, are vectors synced."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def connect(directory: Path) -> sqlite3.Connection:
    """Read-only, so that looking never changes the directory."""
    return sqlite3.connect(f"file:{(directory / 'chroma.sqlite3').resolve()}?mode=ro", uri=True)


def log_state(directory: Path, name: str, logged: int) -> dict[str, Any]:
    """Whether the log of the collection still holds all of the `logged` records.

    seq ids are shared by all collections, so a gap below the largest one only says
    that some log was purged; the number of rows of the topic says whether this one was.
    """
    with closing(connect(directory)) as db:
        topic = f"persistent://default/default/{collection_id(db, name)}"
        (rows,) = db.execute("SELECT count(*) FROM embeddings_queue WHERE topic = ?", (topic,)).fetchone()
        (all_rows, last) = db.execute("SELECT count(*), max(seq_id) FROM embeddings_queue").fetchone()
    if rows > logged:
        raise RuntimeError(f"{name}: {rows} rows in the log, only {logged} were written")
    purged = rows < logged
    if purged and all_rows == last:
        raise RuntimeError(f"{name}: {rows} of {logged} rows, but the log has no gap")
    return {"purged": purged, "logged": logged, "rows": rows}


def synced(directory: Path, name: str) -> bool:
    """Whether chromadb has written the collection's vectors to HNSW files at least once."""
    with closing(connect(directory)) as db:
        found = db.execute(
            "SELECT count(*) FROM max_seq_id m JOIN segments s ON s.id = m.segment_id "
            "WHERE s.scope = 'VECTOR' AND s.collection = ?", (collection_id(db, name),)).fetchone()
    return bool(found[0])


def collection_id(db: sqlite3.Connection, name: str) -> str:
    (found,) = db.execute("SELECT id FROM collections WHERE name = ?", (name,)).fetchone()
    return str(found)
