"""use-created: works with empty directories that were not made by chromadb.

To chromadb they must be like its own: it finds the collection and its space, writes past the
sync threshold, deletes, queries, makes a second collection, and finds all of it again in a
new process.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy

from . import compat, wal
from .content import read_collection
from .queries import Recall, Truth, query_vectors, run_queries
from .values import Maker

DIM = 8
FEW = 30
# More than the sync threshold, which is chromadb's default in such a directory.
MANY = 1100
SECOND = "made-by-chromadb"

Vectors = dict[str, list[float]]


def use_created(arguments: Namespace) -> int:
    for item in arguments.dir:
        space, _, directory = item.partition("=")
        if arguments.reopened:
            reopen(Path(directory), space, arguments)
        else:
            use(Path(directory), space, arguments)
    if not arguments.reopened:
        command = [sys.executable, "-m", "oracle", "use-created", *sys.argv[2:], "--reopened"]
        package_parent = Path(__file__).resolve().parent.parent
        subprocess.run(command, cwd=package_parent, check=True, stdout=subprocess.DEVNULL)
    print(json.dumps({"chromadb": compat.VERSION_TEXT, "records": len(first(arguments, "l2")[1])}))
    return 0


def first(arguments: Namespace, space: str) -> tuple[list[tuple[str, Any]], Vectors]:
    """The operations, and the vectors that are there afterwards; the same in both processes."""
    maker = Maker(random.Random(f"created {arguments.seed} {space}"), DIM, space=space)
    vectors: Vectors = {}
    steps: list[tuple[str, Any]] = []

    def write(name: str, ids: list[str]) -> None:
        batch = maker.batch(ids)
        steps.append((name, batch))
        vectors.update(zip(batch["ids"], batch["embeddings"]))

    def delete(ids: list[str]) -> None:
        steps.append(("delete", {"ids": ids}))
        for record_id in ids:
            del vectors[record_id]

    few = [maker.record_id("few", n) for n in range(FEW)]
    write("add", few)
    write("upsert", few[3:9] + [maker.record_id("more", n) for n in range(5)])
    delete(few[7:12])
    many = [maker.record_id("many", n) for n in range(MANY)]
    for start in range(0, MANY, 275):
        write("add", many[start:start + 275])
    delete(many[10:300:7])
    return steps, vectors


def use(directory: Path, space: str, arguments: Namespace) -> None:
    steps, vectors = first(arguments, space)
    with compat.session(directory) as client:
        expect(compat.collection_names(client), [arguments.collection], "collections")
        # As a user gets it, who names no embedding function.
        collection = client.get_collection(arguments.collection)
        expect(collection.count(), 0, "count")
        expect(compat.dimension(collection), None, "dimension")
        expect_space(collection, space)
        for number, (name, fields) in enumerate(steps):
            getattr(collection, name)(**fields)
            if number == 2:
                expect(collection.count(), FEW, "count after few records")
                check_queries(collection, space, arguments.seed)
        compare(collection, vectors, space, arguments.seed)
        compat.create_collection(client, SECOND, "l2", 1000).add(ids=["a"], embeddings=[[1.0, 2.0]])
    expect(wal.synced(directory, arguments.collection), True, "synced")


def reopen(directory: Path, space: str, arguments: Namespace) -> None:
    vectors = first(arguments, space)[1]
    with compat.session(directory) as client:
        expect(compat.collection_names(client), sorted([arguments.collection, SECOND]), "collections")
        collection = compat.get_collection(client, arguments.collection)
        expect_space(collection, space)
        compare(collection, vectors, space, arguments.seed + 1)
        expect(compat.get_collection(client, SECOND).get()["ids"], ["a"], "second collection")


def expect_space(collection: Any, space: str) -> None:
    expect(compat.hnsw_space(collection), space, "space")
    expect(compat.sync_threshold(collection), 1000, "sync threshold")


def compare(collection: Any, vectors: Vectors, space: str, seed: int) -> None:
    content = read_collection(collection)
    expect(sorted(content.ids), sorted(vectors), "ids")
    for record_id, row in content.row.items():
        wanted = numpy.asarray(vectors[record_id], dtype=numpy.float32)
        if not numpy.allclose(content.embeddings[row], wanted, rtol=1e-6, atol=0.0):
            # Chroma keeps vectors of the cosine space as they were given, in its log and index.
            raise SystemExit(f"id {record_id!r}: {content.embeddings[row]}, expected {wanted}")
    check_queries(collection, space, seed)


def check_queries(collection: Any, space: str, seed: int) -> None:
    """Distances show the space that is really in use."""
    content = read_collection(collection)
    recall = Recall()
    queries = query_vectors(content, DIM, seed)
    answers = run_queries(collection, Truth(content, space), queries, None, recall, set())
    expect(answers.wrong, [], "queries")
    # The graph is chromadb's own, made by several threads: its recall is not ours to judge.
    if recall.value() < 0.9:
        raise SystemExit(f"recall is only {recall.value()}")


def expect(found: Any, wanted: Any, what: str) -> None:
    if found != wanted:
        raise SystemExit(f"{compat.VERSION_TEXT}: {what}: {found!r}, expected {wanted!r}")
