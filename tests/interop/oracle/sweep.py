"""sweep: merges of all sizes, judged by chromadb.

Each case is a base of some records, deltas that chromadb made, one merge by our binary, and what
chromadb finds in the result. The share is what the tests run; all of it is a task of its own.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import numpy

from . import compat

NAME = "sweep"
BASE_RECORDS = 100
LARGE_BASE_RECORDS = 5
SAMPLE = 40
# Of so many; a search in a graph is not exact.
MISSED = 3
CLOUDS, SPREAD = 64, 0.3
# No larger merge than this many elements of vectors: chromadb has to make the deltas.
MOST = 12_000 * 1536 * 2
KEEPS_LOG = 10**9


@dataclass(frozen=True)
class Case:
    name: str
    records: int
    deltas: int
    dim: int
    purged: bool = False
    metadata_bytes: int = 0
    document_bytes: int = 0
    updates_and_deletes: bool = False

    def content(self, n: int) -> tuple[dict[str, Any], str]:
        metadata: dict[str, Any] = {"number": n, "even": n % 2 == 0}
        if self.metadata_bytes:
            metadata["large"] = f"{n} " + "m" * self.metadata_bytes
        return metadata, f"document {n} " + "d" * self.document_bytes


def all_cases() -> Iterator[Case]:
    for records in (1, 900, 1_100, 2_600, 12_000):
        for deltas in (1, 2, 3, 8):
            for dim in (64, 1536):
                if records * deltas * dim <= MOST:
                    yield Case("adds", records, deltas, dim)
    for dim in (64, 1536):
        yield Case("adds, log purged", 2_600, 3, dim, purged=True)
    yield Case("metadata of 9 KB", 1_100, 3, 64, metadata_bytes=9_000)
    yield Case("metadata of 9 KB", 1_100, 3, 1536, metadata_bytes=9_000, purged=True)
    yield Case("documents of 1 MB", 60, 3, 64, document_bytes=1_000_000)
    yield Case("updates, then deletes", 15_000, 2, 64, updates_and_deletes=True)
    yield Case("updates, then deletes", 2_600, 2, 1536, updates_and_deletes=True)


def share() -> Iterator[Case]:
    yield Case("adds", 1, 8, 64)
    yield Case("adds", 990, 2, 1536)
    yield Case("adds, log purged", 1_100, 2, 64, purged=True)
    yield Case("adds", 2_600, 3, 64)
    yield Case("adds", 12_000, 1, 64)
    yield Case("metadata of 9 KB", 900, 2, 64, metadata_bytes=9_000)
    yield Case("documents of 1 MB", 4, 2, 64, document_bytes=1_000_000)
    yield Case("updates, then deletes", 2_600, 2, 64, updates_and_deletes=True)


def sweep(arguments: Namespace) -> int:
    failed = 0
    print("| case | records | deltas | elements | merge, s | result |")
    print("|---|---|---|---|---|---|")
    for case in all_cases() if arguments.all else share():
        shutil.rmtree(arguments.out, ignore_errors=True)
        arguments.out.mkdir(parents=True)
        seconds, wrong = run(case, arguments)
        failed += bool(wrong)
        print(f"| {case.name} | {case.records} | {case.deltas} | {case.dim} | {seconds:.1f} |"
              f" {wrong or 'as chromadb'} |", flush=True)
    shutil.rmtree(arguments.out, ignore_errors=True)
    print(json.dumps({"chromadb": compat.VERSION_TEXT, "failed": failed}))
    return 1 if failed else 0


def run(case: Case, arguments: Namespace) -> tuple[float, str]:
    base, merged = arguments.out / "base", arguments.out / "merged"
    few = LARGE_BASE_RECORDS if case.document_bytes else BASE_RECORDS
    whole = range(case.records if case.updates_and_deletes else few)
    write(base, case, "base", whole, 1000)
    expected = {f"base{n}": n for n in whole}
    deltas = []
    for number in range(case.deltas):
        delta = arguments.out / f"delta{number}"
        deltas.append(delta)
        if case.updates_and_deletes:
            with collection_of(delta, KEEPS_LOG) as collection:
                if number % 2 == 0:
                    put(collection, "upsert", case, "base", whole)
                else:
                    delete(collection, [f"base{n}" for n in whole][:-1])
            continue
        threshold = 1000 if case.purged else KEEPS_LOG
        prefix = f"delta{number}-"
        write(delta, case, prefix, range(case.records), threshold)
        expected |= {f"{prefix}{n}": n for n in range(case.records)}
    if case.updates_and_deletes:
        expected = {f"base{case.records - 1}": case.records - 1}

    command = [arguments.binary, "store", "merge", "--json", "--base", base, "--out", merged]
    for delta in deltas:
        command += ["--delta", delta]
    before = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - before
    if done.returncode:
        return seconds, done.stderr.strip().replace("|", "/")[:200]
    return seconds, judge(merged, case, expected)


def judge(merged: Path, case: Case, expected: dict[str, int]) -> str:
    with collection_of(merged, None) as collection:
        if collection.count() != len(expected):
            return f"{collection.count()} records instead of {len(expected)}"
        ids = random.Random(1).sample(sorted(expected), min(SAMPLE, len(expected)))
        held = collection.get(ids=ids, include=["embeddings", "documents", "metadatas"])
        missed = 0
        rows = zip(held["ids"], held["embeddings"], held["documents"], held["metadatas"])
        for record_id, held_vector, document, metadata in rows:
            if not numpy.array_equal(numpy.float32(held_vector), vector(case, record_id)):
                return f"{record_id} has another vector"
            if (metadata, document) != case.content(expected[record_id]):
                return f"{record_id} has other metadata or another document"
            found = collection.query(query_embeddings=[held_vector], n_results=1, include=["distances"])
            missed += found["distances"][0][0] > 1e-6
            text = collection.get(where_document={"$contains": document[:20]}, include=[])["ids"]
            if record_id not in text:
                return f"{record_id} is not found by its text"
    return f"{missed} of {len(ids)} are not found by their vectors" if missed > MISSED else ""


def vector(case: Case, record_id: str) -> Any:
    """The same for the same id, in one of some clouds, as real ones are."""
    def drawn(*seed: int) -> Any:
        return numpy.random.default_rng(seed).standard_normal(case.dim, dtype=numpy.float32)

    own = list(record_id.encode())
    return drawn(sum(own) % CLOUDS) + numpy.float32(SPREAD) * drawn(*own)


def write(path: Path, case: Case, prefix: str, numbers: range, threshold: int) -> None:
    with collection_of(path, threshold) as collection:
        put(collection, "add", case, prefix, numbers)


@contextlib.contextmanager
def collection_of(path: Path, threshold: int | None) -> Iterator[Any]:
    """The collection; a threshold makes it."""
    with compat.session(path) as client:
        if threshold is None:
            yield compat.get_collection(client, NAME)
        else:
            yield compat.create_collection(client, NAME, "l2", threshold)


def put(collection: Any, operation: str, case: Case, prefix: str, numbers: range) -> None:
    step = max(1, min(2_000, 20_000_000 // max(1, case.document_bytes + case.metadata_bytes)))
    for start in range(numbers.start, numbers.stop, step):
        part = range(start, min(start + step, numbers.stop))
        contents = [case.content(n) for n in part]
        getattr(collection, operation)(
            ids=[f"{prefix}{n}" for n in part],
            embeddings=numpy.stack([vector(case, f"{prefix}{n}") for n in part]),
            metadatas=[metadata for metadata, _ in contents],
            documents=[document for _, document in contents])


def delete(collection: Any, ids: list[str]) -> None:
    """Ids that the delta does not have are logged all the same."""
    for start in range(0, len(ids), 2_000):
        collection.delete(ids=ids[start:start + 2_000])
