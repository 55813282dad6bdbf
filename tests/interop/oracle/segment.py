"""Looks into a collection's index files: what they hold, and what still waits in the queue."""

from __future__ import annotations

import pickle
import struct
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .wal import collection_id, connect

ELEMENTS_OFFSET = 20
DELETE = 3
UPDATE = 1


@dataclass
class Segment:
    """The vectors of one collection as they are stored."""

    elements: int  # in the graph, those included that are marked as deleted
    indexed: set[str]
    waiting: list[tuple[int, str]]  # operation and id, in the order of the queue

    def ids(self) -> set[str]:
        """The ids that have a vector once the queue is applied."""
        found = set(self.indexed)
        for code, record_id in self.waiting:
            if code == DELETE:
                found.discard(record_id)
            elif code != UPDATE:
                found.add(record_id)
        return found


def read_segment(directory: Path, name: str) -> Segment:
    with closing(connect(directory)) as db:
        collection = collection_id(db, name)
        segment, done = db.execute(
            "SELECT s.id, m.seq_id FROM segments s LEFT JOIN max_seq_id m ON m.segment_id = s.id "
            "WHERE s.scope = 'VECTOR' AND s.collection = ?", (collection,)).fetchone()
        done = int.from_bytes(done, "big") if isinstance(done, bytes) else done or 0
        waiting = db.execute(
            "SELECT operation, id FROM embeddings_queue WHERE topic = ? AND seq_id > ? "
            "ORDER BY seq_id", (f"persistent://default/default/{collection}", done)).fetchall()
    header = directory / segment / "header.bin"
    elements = 0
    if header.exists():
        (elements,) = struct.unpack_from("<Q", header.read_bytes(), ELEMENTS_OFFSET)
    return Segment(elements, indexed_ids(directory / segment / "index_metadata.pickle"), waiting)


def indexed_ids(path: Path) -> set[str]:
    """Ids of the pickle, which holds an object of chromadb 0.x or a dict."""
    if not path.exists():
        return set()
    with path.open("rb") as file:
        loaded = Unpickler(file).load()
    state: dict[str, Any] = loaded if isinstance(loaded, dict) else vars(loaded)
    return set(state["id_to_label"])


class Unpickler(pickle.Unpickler):
    """Needs no chromadb that still has the class."""

    def find_class(self, module: str, name: str) -> Any:
        return type(name, (), {})
