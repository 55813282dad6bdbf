"""flushed: the graph that our binary makes of queued vectors is as good as chromadb's own."""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

from . import compat
from .combinations import Combination, combinations, conclude, run_binary, tell
from .search import Search, create_collection, judge, write
from .segment import read_segment

NAME = "flushed"
# What our binary is to do with the directory.
ENGINES = {
    "native": ["flush"],
    "rebuild": ["rebuild", "--engine", "native"],
    "hnsw-rs": ["rebuild", "--engine", "hnsw-rs"],
}


def flushed(arguments: Namespace) -> int:
    made = combinations(arguments)
    for combination in made:
        combination.attempt(lambda one=combination: run(one, arguments))
        tell(combination)
    return conclude(made)


def run(combination: Combination, arguments: Namespace) -> None:
    """chromadb makes its graph once, from the records that ours are made of too."""
    queued = combination.folder() / "queued"
    queued.mkdir(parents=True)
    cloud = combination.cloud(arguments.seed)
    vectors = cloud.vectors(arguments.records)
    records = {f"r{n}": vector for n, vector in enumerate(vectors)}
    with compat.session(queued) as client:
        threshold = arguments.records + 1000
        collection = create_collection(client, NAME, combination.space, threshold)
        write(collection, "add", list(records), vectors)
    if (left := read_segment(queued, NAME)).indexed or len(left.waiting) != len(records):
        raise RuntimeError(f"chromadb keeps only {len(left.waiting)} records in its queue")

    search = Search(combination.space, records, cloud.queries(vectors, arguments.queries))
    folders = {}
    for engine in arguments.engine:
        folder = folders[engine] = combination.folder() / f"flushed-{engine}"
        shutil.copytree(queued, folder)
        command, *options = ENGINES[engine]
        run_binary(arguments.binary, "store", command, folder, *options)
        check_files(combination, engine, folder, set(records))

    reference = answers(combination, search, "chromadb's own", queued)
    recalls = {engine: answers(combination, search, engine, folder)
               for engine, folder in folders.items()}
    for engine, recall in recalls.items():
        judge(recall, reference, combination.complain(engine))
    combination.result |= {"recall": min(recalls.values()), "reference_recall": reference}
    if len(recalls) > 1:
        combination.result["recalls"] = recalls


def check_files(combination: Combination, engine: str, folder: Path, ids: set[str]) -> None:
    """Everything is in the index files, so that chromadb makes no graph of its own."""
    complain = combination.complain(engine)
    segment = read_segment(folder, NAME)
    if segment.waiting:
        complain(f"{len(segment.waiting)} operations still wait in the queue")
    if segment.indexed != ids:
        complain(f"{len(segment.indexed)} ids are indexed, expected all {len(ids)}")
    if segment.elements < len(ids):
        complain(f"{segment.elements} elements in the graph, expected {len(ids)}")


def answers(combination: Combination, search: Search, place: str, folder: Path) -> float:
    """The recall that chromadb has in the directory."""
    with compat.session(folder) as client:
        collection = compat.get_collection(client, NAME)
        return search.check(collection, combination.complain(place))
