"""check: a merged directory must be indistinguishable from the reference, now and later.

Works on private copies. Compares, lets chromadb write the same further operations to
both, compares again, closes, and compares once more in a new process.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from . import compat, ops, wal
from .compare import Pair, Report
from .values import Maker

SHOWN = 20


def check(arguments: Namespace) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        merged, reference = Path(scratch) / "merged", Path(scratch) / "reference"
        shutil.copytree(arguments.merged, merged)
        shutil.copytree(arguments.reference, reference)
        report = Report()
        recalls: dict[str, Any] = {}
        stage(report, "at first", lambda: first_process(arguments, merged, reference, report))
        if not report.mismatches:
            check_synced(merged, reference, report)
        if not report.mismatches:
            found, recalls = reopened(arguments, merged, reference)
            report.mismatches += found
    return finish(report, recalls)


def compare_in_place(arguments: Namespace) -> int:
    report = Report(stage="reopened")

    def run() -> None:
        with pairs(arguments, arguments.merged, arguments.reference, report) as found:
            for pair, _, _ in found:
                pair.compare()

    stage(report, "compare", run)
    return finish(report)


def first_process(arguments: Namespace, merged: Path, reference: Path, report: Report) -> None:
    with pairs(arguments, merged, reference, report) as found:
        for pair, _, _ in found:
            pair.compare()
        if report.mismatches:
            return
        report.stage = "later"
        for pair, merged_client, reference_client in found:
            pair.name += " after more writes"
            for op in later_operations(pair, arguments.cross_limit, report):
                ops.apply(merged_client, pair.merged, op)
                ops.apply(reference_client, pair.reference, op)
            pair.compare()


@contextmanager
def pairs(arguments: Namespace, merged: Path, reference: Path,
          report: Report) -> Iterator[list[tuple[Pair, Any, Any]]]:
    """Both directories open, and the collections that both have."""
    with compat.session(merged) as left, compat.session(reference) as right:
        names = compat.collection_names(right)
        for name in sorted(set(names) ^ set(compat.collection_names(left))):
            report.differ(name, "collection is missing" if name in names else "unexpected collection")
        yield [
            (Pair(name, compat.get_collection(left, name), compat.get_collection(right, name),
                  arguments.space, arguments.dim, arguments.seed, arguments.float_ulps, report),
             left, right)
            for name in sorted(set(names) & set(compat.collection_names(left)))
        ]


def later_operations(pair: Pair, cross_limit: int, report: Report) -> list[ops.Operation]:
    """Upserts, adds, updates and deletes, and enough adds to cross the sync threshold."""
    maker = Maker(random.Random(f"later {pair.seed} {pair.name}"), pair.dim, space=pair.space)
    rng = maker.rng
    existing = sorted(pair.reference.get(include=[])["ids"])
    fresh = (maker.record_id(f"later{pair.seed}", n) for n in range(10**9))

    def old(share: int) -> list[str]:
        return rng.sample(existing, min(len(existing), max(5, len(existing) // share)))

    def new(count: int) -> list[str]:
        return [next(fresh) for _ in range(count)]

    def update(field: str) -> ops.Operation:
        ids = old(20)
        return ops.operation("update", ids, **maker.changes(ids, (field,)))

    made = [
        ops.operation("upsert", **maker.batch(old(10) + new(15))),
        ops.operation("add", **maker.batch(new(10) + old(30))),
        update("metadatas"), update("documents"), update("embeddings"), update("uris"),
        ops.operation("delete", old(15)),
        ops.operation("upsert", **maker.batch(old(20))),
    ]
    threshold = compat.sync_threshold(pair.reference)
    if threshold + 60 <= cross_limit:
        report.counts["crossed"] += 1
        missing = threshold + 60
        while missing > 0:
            count = min(missing, 250)
            made.append(ops.operation("add", **maker.batch(new(count))))
            missing -= count
    else:
        made.append(ops.operation("add", **maker.batch(new(100))))
    made.append(ops.operation("delete", old(25) + new(3)))
    return [op for op in made if op["ids"]]


def check_synced(merged: Path, reference: Path, report: Report) -> None:
    """Where the reference has written HNSW files by now, the merged copy must have too."""
    with compat.session(reference) as client:
        names = compat.collection_names(client)
    for name in names:
        if wal.synced(reference, name) and not wal.synced(merged, name):
            report.differ(name, "chromadb did not write the merged copy's vectors to HNSW files")
        report.counts["synced"] += wal.synced(merged, name)


def reopened(arguments: Namespace, merged: Path, reference: Path) -> tuple[list[str], dict[str, Any]]:
    """What a fresh process finds different, and the recall it saw."""
    command = [sys.executable, "-m", "oracle", "compare", "--merged", str(merged),
               "--reference", str(reference), "--seed", str(arguments.seed + 1),
               "--space", arguments.space, "--dim", str(arguments.dim),
               "--float-ulps", str(arguments.float_ulps)]
    package_parent = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=package_parent, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [], json.loads(done.stdout.splitlines()[-1])["recall"]
    lines = done.stdout.splitlines() or done.stderr.splitlines()[-5:]
    return [f"in a new process: {line}" for line in lines or [f"exit status {done.returncode}"]], {}


def stage(report: Report, name: str, action: Any) -> None:
    """Runs the action; an unexpected error of chromadb is a mismatch as well."""
    try:
        action()
    except Exception as error:
        import traceback

        traceback.print_exc()
        report.differ(name, f"{type(error).__name__}: {error}")


def finish(report: Report, more_recalls: dict[str, Any] | None = None) -> int:
    report.judge_recall()
    if not report.mismatches:
        recalls = report.recall_values() | (more_recalls or {})
        print(json.dumps({"ok": True, "chromadb": compat.VERSION_TEXT, **report.counts,
                          "recall": recalls}))
        return 0
    for text in report.mismatches[:SHOWN]:
        print(text)
    if len(report.mismatches) > SHOWN:
        print(f"... and {len(report.mismatches) - SHOWN} more mismatches")
    return 1
