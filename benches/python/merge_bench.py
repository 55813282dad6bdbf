"""Times a compactor written in Python: chromadb reads each delta and upserts it into the base.

    merge_bench.py make  --dir D                build a base and the deltas (once)
    merge_bench.py merge --dir D --case C --out O   merge the deltas of a case, timed

The cases: ``ten`` deltas into a base, ``hundred`` deltas into an empty directory.

``merge`` prints one JSON line. Its time covers open, get, upsert and close of every
directory, but neither the copy of the base nor the start of the interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import chromadb
import numpy
from chromadb.config import Settings

COLLECTION = "words"
DIMENSION = 1536
BASE_RECORDS = 14_816
DELTAS = 10
DELTA_RECORDS = 150
DELTA_NEW = 120  # the other 30 exist in the base
CLUSTERS = 64
SEED = 2024
HUNDRED = 100
MARKER = "made-2.json"
VOCABULARY = (
    "river stone lantern harbor velvet copper meadow winter signal orchard thunder paper "
    "größer straße naïve 文書 検索 quiet engine marble"
).split()


class Source:
    """Seeded records: unit vectors around common centres, ten metadata keys, a short document."""

    def __init__(self) -> None:
        self.rng = numpy.random.default_rng(SEED)
        self.centres = unit(self.rng.standard_normal((CLUSTERS, DIMENSION)))

    def batch(self, ids: list[str]) -> dict[str, Any]:
        cluster = self.rng.integers(0, CLUSTERS, len(ids))
        noise = unit(self.rng.standard_normal((len(ids), DIMENSION)))
        vectors = unit(self.centres[cluster] + 0.7 * noise).astype(numpy.float32)
        return {
            "ids": ids,
            "embeddings": vectors,
            "metadatas": [self.metadata(int(c)) for c in cluster],
            "documents": [self.words(12) for _ in ids],
        }

    def words(self, count: int) -> str:
        return " ".join(VOCABULARY[n] for n in self.rng.integers(0, len(VOCABULARY), count))

    def metadata(self, cluster: int) -> dict[str, Any]:
        number = self.rng.integers
        return {
            "cluster": cluster,
            "source": f"feed-{number(0, 40)}",
            "language": ("de", "en", "ja")[number(0, 3)],
            "title": self.words(3),
            "length": int(number(10, 5000)),
            "created": int(number(1_600_000_000, 1_700_000_000)),
            "score": float(number(0, 10_000)) / 10_000,
            "weight": float(number(0, 1_000)) / 8,
            "public": bool(number(0, 2)),
            "reviewed": bool(number(0, 2)),
        }


def unit(rows: numpy.ndarray) -> numpy.ndarray:
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def open_client(directory: Path) -> Any:
    return chromadb.PersistentClient(
        path=str(directory), settings=Settings(anonymized_telemetry=False)
    )


def close_client(client: Any) -> None:
    if hasattr(client, "close"):
        client.close()
    else:
        client._system.stop()
        client._identifier_to_system.pop(client._identifier)


def write(directory: Path, source: Source, ids: list[str], step: int) -> None:
    client = open_client(directory)
    collection = client.create_collection(COLLECTION, embedding_function=None)
    for start in range(0, len(ids), step):
        collection.add(**source.batch(ids[start:start + step]))
    close_client(client)


def make(directory: Path) -> None:
    marker = directory / MARKER
    if marker.exists():
        print(marker.read_text(encoding="utf-8"))
        return
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    started = time.perf_counter()
    source = Source()
    base_ids = [f"record-{n}" for n in range(BASE_RECORDS)]
    write(directory / "base", source, base_ids, 1000)
    base_seconds = time.perf_counter() - started
    for number, ids in enumerate(portions(base_ids, HUNDRED)):
        write(directory / f"hundred-{number:02d}", source, ids, len(ids))
    for delta in range(DELTAS):
        new = [f"delta-{delta}-{n}" for n in range(DELTA_NEW)]
        old = source.rng.choice(BASE_RECORDS, DELTA_RECORDS - DELTA_NEW, replace=False)
        ids = new + [base_ids[n] for n in old]
        write(directory / f"ten-{delta:02d}", source, ids, DELTA_RECORDS)
    facts = {
        "chromadb": chromadb.__version__,
        "base_records": BASE_RECORDS,
        "deltas": DELTAS,
        "delta_records": DELTA_RECORDS,
        "dimension": DIMENSION,
        "base_seconds": round(base_seconds, 2),
        "seconds": round(time.perf_counter() - started, 2),
    }
    marker.write_text(json.dumps(facts), encoding="utf-8")
    print(json.dumps(facts))


def portions(ids: list[str], count: int) -> list[list[str]]:
    """Splits the ids into parts of nearly equal size."""
    return [ids[len(ids) * n // count:len(ids) * (n + 1) // count] for n in range(count)]


def merge(directory: Path, case: str, out: Path) -> None:
    if not (directory / MARKER).exists():
        raise SystemExit("run make first")
    if out.exists():
        raise SystemExit(f"already exists: {out}")
    if case == "ten":
        shutil.copytree(directory / "base", out)
    os.sync()  # the copy is on disk before the clock starts

    started = time.perf_counter()
    base = open_client(out)
    collection = base.get_or_create_collection(COLLECTION, embedding_function=None)
    records = 0
    for delta in sorted(directory.glob(f"{case}-*")):
        client = open_client(delta)
        found = client.get_collection(COLLECTION, embedding_function=None).get(
            include=["embeddings", "metadatas", "documents"])
        close_client(client)
        collection.upsert(ids=found["ids"], embeddings=found["embeddings"],
                          metadatas=found["metadatas"], documents=found["documents"])
        records += len(found["ids"])
    close_client(base)
    seconds = time.perf_counter() - started

    peak = peak_rss_bytes()
    client = open_client(out)
    count = client.get_collection(COLLECTION, embedding_function=None).count()
    close_client(client)
    print(json.dumps({"seconds": round(seconds, 4), "records": records, "count_after": count,
                      "peak_rss_bytes": peak}))


def peak_rss_bytes() -> int:
    """VmHWM where the kernel has it: unlike ru_maxrss it starts anew with each program."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make_parser = commands.add_parser("make")
    make_parser.add_argument("--dir", type=Path, required=True)
    merge_parser = commands.add_parser("merge")
    merge_parser.add_argument("--dir", type=Path, required=True)
    merge_parser.add_argument("--case", choices=("ten", "hundred"), required=True)
    merge_parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.command == "make":
        make(arguments.dir)
    else:
        merge(arguments.dir, arguments.case, arguments.out)


if __name__ == "__main__":
    main()
