"""watch: reads the published snapshot again and again, as a Python reader gets it.

What it finds must always be whole runs, and never fewer than before. A run's records are named
RUN-NUMBER; the file `runs` has one line per run: its name and how many records it has.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from .clients import connect
from .reader import all_records
from .snapshot import Snapshots


class Place(Protocol):
    """Where snapshots are."""

    def download(self, directory: Path) -> str | None: ...


class Folder:
    """Objects as files, under their keys."""

    def __init__(self, root: Path, collection: str) -> None:
        self.snapshots = root / collection / "snapshot"

    def download(self, directory: Path) -> str | None:
        pointer = self.snapshots / "latest-pointer.txt"
        if not pointer.exists():
            return None
        version = pointer.read_text(encoding="utf-8").strip()
        shutil.copytree(self.snapshots / "timestamped" / version, directory)
        return version


def watch(arguments: Namespace) -> int:
    """Until standard input ends, and then once more."""
    if arguments.root is not None:
        place: Place = Folder(arguments.root, arguments.collection)
    else:
        s3 = connect("s3", arguments.endpoint)
        place = Snapshots(s3, arguments.bucket, arguments.collection)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    reads, versions, before = 0, set[str](), set[str]()
    while True:
        is_last = ended.is_set()
        version, records = read(place, arguments.collection)
        reads += 1
        if version is not None:
            versions.add(version)
        before = check(records, before, arguments.runs, version)
        if is_last:
            break
        ended.wait(0.05)
    records.sort(key=lambda record: record["id"])
    arguments.out.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    print(json.dumps({"reads": reads, "versions": len(versions), "records": len(records)}))
    return 0


def read(place: Place, collection: str) -> tuple[str | None, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory(prefix="chroma-watch-") as scratch:
        directory = Path(scratch) / "snapshot"
        version = place.download(directory)
        return version, [] if version is None else all_records(directory, collection)


def check(records: list[dict[str, Any]], before: set[str], runs: Path,
          version: str | None) -> set[str]:
    """The runs that are there."""
    lines = runs.read_text(encoding="utf-8").splitlines()
    expected = {name: int(count) for name, count in (line.split() for line in lines)}
    found = Counter(record["id"].rpartition("-")[0] for record in records)
    for name, count in found.items():
        if expected.get(name) != count:
            raise SystemExit(f"{version} has {count} records of {name}, not {expected.get(name)}")
    if lost := before - found.keys():
        raise SystemExit(f"{version} has lost {sorted(lost)}")
    return set(found)
