"""Makes the deltas of many runs and the reference, all with real chromadb."""

from __future__ import annotations

import argparse
import json
import random
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import chromadb
from legacy import chroma

COLLECTIONS = ("lines", "words", "pages")
RECORDS = 4
DIMENSION = 8

Records = dict[str, list[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="many", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory to create")
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    arguments.out.mkdir()
    runs: dict[str, list[str]] = {}
    kept: dict[str, list[Records]] = {name: [] for name in COLLECTIONS}
    for number in range(arguments.runs):
        run = f"run-{number:03}"
        # The first one makes every collection; most others have one or two.
        count = 3 if number == 0 else chance.choices((1, 2, 3), (6, 3, 1))[0]
        runs[run] = sorted(chance.sample(COLLECTIONS, count))
        for collection in runs[run]:
            records = invent(chance, run, collection, DIMENSION)
            pack(records, collection, arguments.out / f"{run}-{collection}.tar.gz")
            kept[collection].append(records)
    wide = invent(chance, "wide", "words", DIMENSION + 1)
    pack(wide, "words", arguments.out / "wide-words.tar.gz")
    write(arguments.out / "runs.json", runs)
    write(arguments.out / "reference.json",
          {name: reference(deltas, name) for name, deltas in kept.items()})


def invent(chance: random.Random, run: str, collection: str, dimension: int) -> Records:
    """Records of one delta. The last one is in every delta of the collection, always the same.

    Floats are such that chromadb 1.x reads them back bit for bit.
    """
    ids = [f"{run}-{collection}-{number}" for number in range(RECORDS - 1)] + ["shared"]
    common = random.Random(collection)
    sources = [chance] * (RECORDS - 1) + [common]
    return {
        "ids": ids,
        "embeddings": [[source.gauss(0, 1) for _ in range(dimension)] for source in sources],
        "documents": [f"{name}: {source.choice(('größe', 'price', '総額'))} {source.random()}"
                      for name, source in zip(ids, sources)],
        "metadatas": [{"number": source.randint(-5, 2**40), "share": source.randint(0, 4096) / 4096,
                       "good": source.random() < 0.5, "text": f"t{source.randint(0, 9)}"}
                      for source in sources],
    }


def pack(records: Records, collection: str, archive: Path) -> None:
    """A delta as producers write it."""
    with tempfile.TemporaryDirectory() as scratch:
        with chroma.session(Path(scratch)) as client:
            client.create_collection(collection, embedding_function=None).upsert(**records)
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(scratch, arcname=".")


def reference(deltas: list[Records], name: str) -> list[dict[str, Any]]:
    """What chromadb has after all upserts, sorted by id."""
    client = chromadb.EphemeralClient()
    collection = client.create_collection(f"reference-{name}", embedding_function=None)
    for records in deltas:
        collection.upsert(**records)
    found = collection.get(include=["documents", "embeddings", "metadatas"])
    rows = zip(found["ids"], found["documents"], found["metadatas"], found["embeddings"])
    return sorted(({"id": i, "document": d, "metadata": m, "embedding": [float(x) for x in e]}
                   for i, d, m, e in rows), key=lambda row: row["id"])


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False))


if __name__ == "__main__":
    main()
