"""The collection that the odd directories have, and its records."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Any, Iterator

import numpy

from . import compat

NAME = "odd"
RECORDS, DIM, THRESHOLD = 60, 8, 20

# id: vector and document.
Expected = dict[str, tuple[list[float], str]]


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
