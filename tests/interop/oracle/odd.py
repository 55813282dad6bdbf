"""make-odd and use-odd: directories as users have them, and whether chromadb goes on with them."""

from __future__ import annotations

import json
import random
import struct
from argparse import Namespace
from pathlib import Path

import numpy

from . import compat, ops
from .damage import KINDS, poison
from .odd_records import (NAME, RECORDS, THRESHOLD, Expected, Parameters, create, database, invent,
                          segment, write)

# What chromadb changes in a graph it may no longer find itself: hnswlib's updates cut links.
MISSED = 3
PURGES_NOT = '{"automatically_purge":false,"_type":"EmbeddingsQueueConfigurationInternal"}'


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


def reset_progress(arguments: Namespace) -> int:
    """What a user does by hand once told."""
    poison(arguments.dir, RECORDS)
    print("{}")
    return 0


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
    """What chromadb does not hold or find; it may miss `missed` records by their vectors."""
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
