"""flushes: a directory stays as good as chromadb's own while many deltas are merged into it.

Each merge takes the result of the one before. Meanwhile chromadb applies the same operations to
a copy of the base. At the end both must hold and find the same; then chromadb writes on in both,
past the sync threshold, and they are compared once more in a new process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Sequence

import numpy

from . import compat
from .clouds import Cloud
from .combinations import Combination, combinations, conclude, run_binary, tell
from .search import Complain, Records, Search, create_collection, judge, write
from .segment import read_segment

NAME = "flushes"
FLUSHED, REFERENCE = "flushed", "reference"
EXPECTED = "expected.npz"

# add, upsert, update or delete; the ids; the vectors, if any.
Step = tuple[str, list[str], numpy.ndarray | None]


class Story:
    """Invents operations and knows what is there after them."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.records: Records = {}
        self.made = 0

    def fresh(self, count: int) -> list[str]:
        self.made += count
        return [f"r{n}" for n in range(self.made - count, self.made)]

    def some(self, count: int) -> list[str]:
        return [str(i) for i in self.cloud.rng.permutation(list(self.records))[:count]]

    def written(self, name: str, ids: list[str]) -> Step:
        vectors = self.cloud.vectors(len(ids))
        self.records.update(zip(ids, vectors))
        return name, ids, vectors

    def deleted(self, ids: list[str]) -> Step:
        for record_id in ids:
            del self.records[record_id]
        return "delete", ids, None

    def delta(self, records: int) -> list[Step]:
        """Changes a tenth, deletes a twentieth, adds 15 % of the base's records."""
        live = len(self.records)
        return [self.written("update", self.some(live // 10)), self.deleted(self.some(live // 20)),
                self.written("add", self.fresh(records * 15 // 100))]

    def later(self, threshold: int) -> list[Step]:
        """Twice the sync threshold and more."""
        def mixed() -> Step:
            return self.written("upsert", self.some(threshold // 2) + self.fresh(threshold // 2 + 3))

        return [mixed(), self.deleted(self.some(threshold // 3)),
                mixed(), self.deleted(self.some(threshold // 5))]

    def search(self, space: str, queries: int) -> Search:
        vectors = numpy.stack(list(self.records.values()))
        return Search(space, dict(self.records), self.cloud.queries(vectors, queries))


def apply(collection: Any, steps: Sequence[Step]) -> None:
    for name, ids, vectors in steps:
        if vectors is None:
            collection.delete(ids=ids)
        else:
            write(collection, name, ids, vectors)


def flushes(arguments: Namespace) -> int:
    made = combinations(arguments)
    for combination in made:
        combination.attempt(lambda one=combination: run(one, arguments))
    compared_again(made)
    for combination in made:
        tell(combination)
    return conclude(made)


def run(combination: Combination, arguments: Namespace) -> None:
    folder = combination.folder()
    folder.mkdir(parents=True)
    story = Story(combination.cloud(arguments.seed))
    base = [story.written("add", story.fresh(arguments.records))]
    deltas = [story.delta(arguments.records) for _ in range(arguments.flushes)]
    search = story.search(combination.space, arguments.queries)

    flushed, reference = folder / FLUSHED, folder / REFERENCE
    make(flushed, combination.space, arguments.threshold, base)
    shutil.copytree(flushed, reference)
    for steps in deltas:
        flush(combination, arguments, steps)
    with compat.session(reference) as client:
        collection = compat.get_collection(client, NAME)
        for steps in deltas:
            apply(collection, steps)

    elements = read_segment(flushed, NAME).elements
    later = story.later(arguments.threshold)
    recalls = {}
    for path in (reference, flushed):
        with compat.session(path) as client:
            collection = compat.get_collection(client, NAME)
            recalls[path.name] = search.check(collection, combination.complain(path.name))
            apply(collection, later)
    judge(recalls[FLUSHED], recalls[REFERENCE], combination.complain(FLUSHED))
    combination.result |= {"recall": recalls[FLUSHED], "reference_recall": recalls[REFERENCE],
                           "records": len(search.ids), "elements": elements}
    last = story.search(combination.space, arguments.queries)
    numpy.savez(folder / EXPECTED, ids=last.ids, vectors=last.vectors, queries=last.queries,
                space=last.space, elements=elements)


def make(path: Path, space: str, threshold: int, steps: Sequence[Step]) -> None:
    path.mkdir()
    with compat.session(path) as client:
        apply(create_collection(client, NAME, space, threshold), steps)


def flush(combination: Combination, arguments: Namespace, steps: Sequence[Step]) -> None:
    """Merges one more delta, whose log stays whole."""
    folder = combination.folder()
    delta, out, flushed = folder / "delta", folder / "out", folder / FLUSHED
    operations = sum(len(ids) for _, ids, _ in steps)
    make(delta, combination.space, operations + 1000, steps)
    if len(read_segment(delta, NAME).waiting) != operations:
        raise RuntimeError("chromadb did not keep the delta's log whole")
    run_binary(arguments.binary, "store", "merge", "--base", flushed, "--delta", delta, "--out", out)
    shutil.rmtree(flushed)
    shutil.rmtree(delta)
    out.rename(flushed)
    waiting = len(read_segment(flushed, NAME).waiting)
    if waiting >= arguments.threshold:
        combination.complain(FLUSHED)(f"{waiting} operations wait in the queue after a merge")


def compared_again(made: list[Combination]) -> None:
    """All that are right so far, in one new process."""
    right = [one for one in made if not one.report.mismatches]
    if not right:
        return
    command = [sys.executable, "-m", "oracle", "reopen-flushes"]
    command += [word for one in right for word in ("--dir", str(one.folder()))]
    package_parent = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=package_parent, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    for number, one in enumerate(right):
        if number >= len(lines):
            said = done.stderr.splitlines()[-5:] or [f"exit status {done.returncode}"]
            one.complain("in a new process")("; ".join(said))
            continue
        told = json.loads(lines[number])
        for text in told.pop("wrong"):
            one.complain("in a new process")(text)
        one.result |= told


def reopen_flushes(arguments: Namespace) -> int:
    """Prints one line of JSON for each folder; used by flushes."""
    for folder in arguments.dir:
        wrong: list[str] = []
        told: dict[str, Any] = {}
        try:
            told = reopened(folder, wrong.append)
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
        print(json.dumps(told | {"wrong": wrong}), flush=True)
    return 0


def reopened(folder: Path, complain: Complain) -> dict[str, Any]:
    with numpy.load(folder / EXPECTED) as kept:
        ids = [str(i) for i in kept["ids"]]
        search = Search(str(kept["space"]), dict(zip(ids, kept["vectors"])), kept["queries"])
        elements = int(kept["elements"])
    recalls = {}
    for side in (REFERENCE, FLUSHED):
        with compat.session(folder / side) as client:
            collection = compat.get_collection(client, NAME)
            recalls[side] = search.check(collection, lambda text: complain(f"{side}: {text}"))
    judge(recalls[FLUSHED], recalls[REFERENCE], complain)
    segment = read_segment(folder / FLUSHED, NAME)
    if segment.elements <= elements:
        complain(f"the graph has {segment.elements} elements, {elements} before chromadb wrote")
    if segment.ids() != set(ids):
        complain(f"vectors of {len(segment.ids())} ids are stored, of {len(ids)} expected")
    return {"later_recall": recalls[FLUSHED], "later_reference_recall": recalls[REFERENCE],
            "later_elements": segment.elements}
