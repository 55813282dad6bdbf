"""Times vector indexes used from Python: hnswlib's C++, usearch and chromadb.

    index_peers.py make --dir D                            vectors and exact answers (once)
    index_peers.py run --dir D --engine E --threads T      build, save, load, insert; timed

E is ``hnswlib``, ``usearch`` or ``chromadb``; ``make`` needs only numpy. All graphs have M 16,
ef_construction 100 and ef 100. hnswlib and usearch use the inner product of vectors that are
already unit, which orders them as the cosine does; chromadb uses its cosine space.

``make`` writes rows of little-endian f32 (``base.f32``, ``more.f32``, ``queries.f32``) and, for
each query, the numbers of its ten nearest rows as u32: ``truth_base.u32`` among the base,
``truth_all.u32`` among both, where the rows of ``more`` follow those of the base.

``run`` prints one JSON line. Building and inserting are timed alone, without reading the
vectors or making a collection; loading is timed apart. Each phase for each engine:

    hnswlib   builds in one call; is loaded with room for both files; inserts in one call
    usearch   the same, but it cannot reserve room: growing is part of the insertion
    chromadb  upserts batches of 1000 (build) and 150 (insert), ids and vectors only, and so
              writes its queue, SQLite and index files meanwhile; loading is a new client and
              its first query

``chroma-hnswlib`` and ``hnswlib`` are the same module: ``version`` says which one answered.
chromadb takes every CPU it may run on and ignores ``num_threads``: with fewer threads than
CPUs its process is bound to the first T of them (Linux only).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy

DIMENSION = 1536
BASE_ROWS = 14_816
MORE_ROWS = 1_500
QUERIES = 200
NEAREST = 10
CLUSTERS = 64
NOISE = 0.7
SEED = 2024
M = 16
EF_CONSTRUCTION = 100
EF = 100
BUILD_BATCH = 1000
INSERT_BATCH = 150
# Below the last batch of the base (816), so that the files hold all of it. With chromadb's own
# 1000 these records would wait in its queue and be indexed by the first query after opening.
SYNC_THRESHOLD = 800
COLLECTION = "vectors"
MARKER = "made.json"


class Engine(Protocol):
    """One index on its way through the phases; a row's label is its number."""

    version: str

    def build(self, rows: numpy.ndarray) -> None:
        """Indexes the base."""

    def save(self) -> None:
        """Writes the index and lets go of it."""

    def load(self) -> None:
        """Reads what ``save`` wrote."""

    def insert(self, rows: numpy.ndarray) -> None:
        """Adds rows behind the base."""

    def search(self, queries: numpy.ndarray) -> list[list[int]]:
        """The nearest rows of each query."""


class Hnswlib:
    """hnswlib's C++: chroma's wheel (SSE) or upstream's source, built for this CPU."""

    def __init__(self, directory: Path, threads: int) -> None:
        import hnswlib

        self.version = distribution("hnswlib", "chroma-hnswlib")
        self.file = str(directory / "index.hnswlib")
        self.threads = threads
        self.new: Callable[[], Any] = lambda: hnswlib.Index(space="ip", dim=DIMENSION)
        self.index = self.new()

    def build(self, rows: numpy.ndarray) -> None:
        self.index.init_index(
            max_elements=len(rows), M=M, ef_construction=EF_CONSTRUCTION, random_seed=SEED)
        self.add(rows, 0)

    def save(self) -> None:
        self.index.save_index(self.file)
        self.index = None

    def load(self) -> None:
        self.index = self.new()
        self.index.load_index(self.file, max_elements=BASE_ROWS + MORE_ROWS)

    def insert(self, rows: numpy.ndarray) -> None:
        self.add(rows, BASE_ROWS)

    def add(self, rows: numpy.ndarray, first: int) -> None:
        self.index.add_items(rows, range(first, first + len(rows)), num_threads=self.threads)

    def search(self, queries: numpy.ndarray) -> list[list[int]]:
        self.index.set_ef(EF)
        labels, _ = self.index.knn_query(queries, k=NEAREST, num_threads=self.threads)
        return labels.tolist()


class Usearch:
    """usearch with f32 vectors; it picks its kernels when it runs."""

    def __init__(self, directory: Path, threads: int) -> None:
        from usearch.index import Index

        self.version = distribution("usearch")
        self.file = str(directory / "index.usearch")
        self.threads = threads
        self.new: Callable[[], Any] = lambda: Index(
            ndim=DIMENSION, metric="ip", dtype="f32", connectivity=M,
            expansion_add=EF_CONSTRUCTION, expansion_search=EF)
        self.index = self.new()

    def build(self, rows: numpy.ndarray) -> None:
        self.add(rows, 0)

    def save(self) -> None:
        self.index.save(self.file)
        self.index = None

    def load(self) -> None:
        self.index = self.new()
        self.index.load(self.file)

    def insert(self, rows: numpy.ndarray) -> None:
        self.add(rows, BASE_ROWS)

    def add(self, rows: numpy.ndarray, first: int) -> None:
        import numpy

        keys = numpy.arange(first, first + len(rows), dtype=numpy.uint64)
        self.index.add(keys, rows, threads=self.threads)

    def search(self, queries: numpy.ndarray) -> list[list[int]]:
        return self.index.search(queries, NEAREST, threads=self.threads).keys.tolist()


class Chromadb:
    """A persistent client; what it costs includes its queue and its SQLite tables."""

    def __init__(self, directory: Path, threads: int) -> None:
        bind(threads)
        self.version = distribution("chromadb")
        self.directory = directory / "chroma"
        self.client = self.open()
        self.collection = self.client.create_collection(
            COLLECTION,
            embedding_function=None,
            configuration={"hnsw": {
                "space": "cosine",
                "ef_construction": EF_CONSTRUCTION,
                "ef_search": EF,
                "max_neighbors": M,
                "num_threads": threads,
                "sync_threshold": SYNC_THRESHOLD,
            }})

    def open(self) -> Any:
        import chromadb
        from chromadb.config import Settings

        return chromadb.PersistentClient(
            path=str(self.directory), settings=Settings(anonymized_telemetry=False))

    def build(self, rows: numpy.ndarray) -> None:
        self.upsert(rows, 0, BUILD_BATCH)

    def save(self) -> None:
        self.client.close()
        self.collection = self.client = None

    def load(self) -> None:
        self.client = self.open()
        self.collection = self.client.get_collection(COLLECTION, embedding_function=None)
        self.collection.query(query_embeddings=[[1.0] * DIMENSION], n_results=1, include=[])

    def insert(self, rows: numpy.ndarray) -> None:
        self.upsert(rows, BASE_ROWS, INSERT_BATCH)

    def upsert(self, rows: numpy.ndarray, first: int, step: int) -> None:
        for start in range(0, len(rows), step):
            part = rows[start:start + step]
            ids = [str(first + start + n) for n in range(len(part))]
            self.collection.upsert(ids=ids, embeddings=part)

    def search(self, queries: numpy.ndarray) -> list[list[int]]:
        found = self.collection.query(query_embeddings=queries, n_results=NEAREST, include=[])
        return [[int(name) for name in names] for names in found["ids"]]


ENGINES: dict[str, Callable[[Path, int], Engine]] = {
    "hnswlib": Hnswlib,
    "usearch": Usearch,
    "chromadb": Chromadb,
}


def distribution(*names: str) -> str:
    """Name and version of the one that is installed."""
    for name in names:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    raise SystemExit(f"not installed: {' or '.join(names)}")


def bind(threads: int) -> None:
    """Keeps this process on as many CPUs; before the first import that starts threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def unit(rows: numpy.ndarray) -> numpy.ndarray:
    import numpy

    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


class Source:
    """Seeded unit vectors around common centres, as in merge_bench.py."""

    def __init__(self) -> None:
        import numpy

        self.rng = numpy.random.default_rng(SEED)
        self.centres = unit(self.rng.standard_normal((CLUSTERS, DIMENSION)))

    def rows(self, count: int) -> numpy.ndarray:
        cluster = self.rng.integers(0, CLUSTERS, count)
        noise = unit(self.rng.standard_normal((count, DIMENSION)))
        return unit(self.centres[cluster] + NOISE * noise).astype("<f4")


def nearest(rows: numpy.ndarray, queries: numpy.ndarray) -> numpy.ndarray:
    """Exact, in f64: the rows with the greatest inner product, greatest first."""
    scores = queries.astype("f8") @ rows.astype("f8").T
    return (-scores).argsort(axis=1, kind="stable")[:, :NEAREST].astype("<u4")


def make(directory: Path) -> None:
    import numpy

    marker = directory / MARKER
    if marker.exists():
        print(marker.read_text(encoding="utf-8"))
        return
    directory.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    source = Source()
    base, more, queries = (source.rows(count) for count in (BASE_ROWS, MORE_ROWS, QUERIES))
    base.tofile(directory / "base.f32")
    more.tofile(directory / "more.f32")
    queries.tofile(directory / "queries.f32")
    nearest(base, queries).tofile(directory / "truth_base.u32")
    nearest(numpy.concatenate([base, more]), queries).tofile(directory / "truth_all.u32")
    facts = {
        "numpy": numpy.__version__,
        "base_rows": BASE_ROWS,
        "more_rows": MORE_ROWS,
        "queries": QUERIES,
        "nearest": NEAREST,
        "dimension": DIMENSION,
        "seconds": round(time.perf_counter() - started, 2),
    }
    marker.write_text(json.dumps(facts), encoding="utf-8")
    print(json.dumps(facts))


def read(file: Path, kind: str, columns: int) -> numpy.ndarray:
    import numpy

    return numpy.fromfile(file, dtype=kind).reshape(-1, columns)


def recall(found: list[list[int]], truth: numpy.ndarray) -> float:
    """The share of the true neighbours that were found."""
    hits = sum(len(set(a) & set(b)) for a, b in zip(found, truth.tolist(), strict=True))
    return round(hits / truth.size, 5)


def timed(action: Callable[..., None], *arguments: Any) -> float:
    started = time.perf_counter()
    action(*arguments)
    return round(time.perf_counter() - started, 4)


def measure(engine: Engine, directory: Path) -> dict[str, float]:
    """All phases in turn; the rows of one phase are let go before the next."""
    queries = read(directory / "queries.f32", "<f4", DIMENSION)
    truth_base = read(directory / "truth_base.u32", "<u4", NEAREST)
    truth_all = read(directory / "truth_all.u32", "<u4", NEAREST)
    base = read(directory / "base.f32", "<f4", DIMENSION)
    build_seconds = timed(engine.build, base)
    del base
    build_recall = recall(engine.search(queries), truth_base)
    engine.save()
    load_seconds = timed(engine.load)
    more = read(directory / "more.f32", "<f4", DIMENSION)
    insert_seconds = timed(engine.insert, more)
    return {
        "build_seconds": build_seconds,
        "build_recall": build_recall,
        "load_seconds": load_seconds,
        "insert_seconds": insert_seconds,
        "insert_recall": recall(engine.search(queries), truth_all),
    }


def run(directory: Path, name: str, threads: int) -> None:
    if not (directory / MARKER).exists():
        raise SystemExit("run make first")
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=directory) as scratch:
        engine = ENGINES[name](Path(scratch), threads)
        figures = measure(engine, directory)
        peak = peak_rss_bytes()
    print(json.dumps({"engine": name, "version": engine.version, "threads": threads, **figures,
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


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make_parser = commands.add_parser("make")
    make_parser.add_argument("--dir", type=Path, required=True)
    run_parser = commands.add_parser("run")
    run_parser.add_argument("--dir", type=Path, required=True)
    run_parser.add_argument("--engine", choices=sorted(ENGINES), required=True)
    run_parser.add_argument("--threads", type=positive, default=1)
    arguments = parser.parse_args()
    if arguments.command == "make":
        make(arguments.dir)
    else:
        run(arguments.dir, arguments.engine, arguments.threads)


if __name__ == "__main__":
    main()
