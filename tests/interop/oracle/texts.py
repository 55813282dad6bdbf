"""texts: chromadb goes on with a full-text index that our binary wrote in many merges.

chromadb's own SQLite is older than ours. Documents change back and forth over many merges;
then chromadb searches them, deletes and changes some, adds others, and searches again.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from argparse import Namespace
from pathlib import Path
from typing import Any

from . import compat
from .combinations import run_binary

NAME = "texts"
WORDS = ("amber", "basalt", "cobalt", "drift", "ember", "flint", "garnet", "harbour")
RECORDS = 400
# Those that change do so again and again, above a large old segment of the index.
CHANGING, CHANGED = 30, 10
ADDED_LATER = 300

Documents = dict[str, str]


class Maker:
    """Invents documents; with `nul`, a third of them holds a NUL character."""

    def __init__(self, seed: int, nul: bool) -> None:
        self.rng = random.Random(f"texts {seed} {nul}")
        self.nul = nul

    def text(self) -> str:
        words = self.rng.sample(WORDS, 3)
        nul = self.nul and self.rng.random() < 0.35
        return ("\0" if nul else " ").join((" ".join(words[:2]), words[2]))

    def texts(self, ids: list[str]) -> Documents:
        return {record_id: self.text() for record_id in ids}


def texts(arguments: Namespace) -> int:
    maker = Maker(arguments.seed, arguments.nul)
    arguments.out.mkdir()
    base, delta, merged = (arguments.out / name for name in ("base", "delta", "merged"))
    documents = maker.texts([f"r{n}" for n in range(RECORDS)])
    create(base, documents)
    changing = maker.rng.sample(sorted(documents), CHANGING)
    for number in range(arguments.merges):
        changed = maker.texts(maker.rng.sample(changing, CHANGED))
        # A record that no document is changed of must do no harm to the others.
        create(delta, changed | {f"new{number}": maker.text()} if number % 2 else changed)
        if number % 2:
            documents |= read(delta)
        documents |= changed
        run_binary(arguments.binary, "store", "merge", "--base", base, "--delta", delta,
                   "--out", merged)
        shutil.rmtree(base)
        shutil.rmtree(delta)
        merged.rename(base)
    for command in arguments.then:
        run_binary(arguments.binary, "store", command, base)
    wrong = judge(base, documents, "after the merges") or go_on(base, documents, maker)
    if not wrong:
        run_binary(arguments.binary, "store", "verify", "--full", base)
    for text in wrong:
        print(text)
    print(json.dumps({"chromadb": compat.VERSION_TEXT, "sqlite": sqlite3.sqlite_version,
                      "records": len(documents)}))
    return 1 if wrong else 0


def create(path: Path, documents: Documents) -> None:
    with compat.session(path) as client:
        write(compat.create_collection(client, NAME, "l2", 5000), "add", documents)


def write(collection: Any, operation: str, documents: Documents) -> None:
    vectors = [[float(len(text)), 1.0, 2.0] for text in documents.values()]
    getattr(collection, operation)(ids=list(documents), embeddings=vectors,
                                   documents=list(documents.values()))


def read(path: Path) -> Documents:
    with compat.session(path) as client:
        found = compat.get_collection(client, NAME).get(include=["documents"])
    return dict(zip(found["ids"], found["documents"]))


def go_on(path: Path, documents: Documents, maker: Maker) -> list[str]:
    """What users do next: the documents with NUL first, for whose deletion the index must match."""
    with compat.session(path) as client:
        collection = compat.get_collection(client, NAME)
        with_nul = [i for i, text in documents.items() if "\0" in text]
        gone = with_nul or maker.rng.sample(sorted(documents), len(documents) // 4)
        collection.delete(ids=gone)
        for record_id in gone:
            del documents[record_id]
        maker.nul = False
        changed = maker.texts(maker.rng.sample(sorted(documents), len(documents) // 2))
        write(collection, "upsert", changed)
        documents |= changed
        # One by one: each begins a segment of the index, and SQLite merges them.
        for number in range(ADDED_LATER // 50):
            added = maker.texts([f"later{number}-{n}" for n in range(50)])
            write(collection, "add", added)
            documents |= added
        last = maker.rng.sample(sorted(documents), len(documents) // 3)
        collection.delete(ids=last)
        for record_id in last:
            del documents[record_id]
    return judge(path, documents, "after more writes")


def judge(path: Path, documents: Documents, when: str) -> list[str]:
    """What chromadb finds for each word against the documents, and what SQLite says of the index."""
    wrong = []
    with compat.session(path) as client:
        collection = compat.get_collection(client, NAME)
        for word in WORDS:
            found = set(collection.get(where_document={"$contains": word}, include=[])["ids"])
            # Up to a NUL a document is found by all versions, what follows by some of them.
            sure = {i for i, text in documents.items() if word in text.split("\0")[0]}
            able = {i for i, text in documents.items() if word in text}
            if not sure <= found <= able:
                odd = sorted(sure - found) + sorted(found - able)
                wrong.append(f"{when}: {word!r}: {odd}")
        held = collection.get(include=["documents"])
        if dict(zip(held["ids"], held["documents"])) != documents:
            wrong.append(f"{when}: other documents")
    copy = path.with_name("copy.sqlite3")
    shutil.copyfile(path / "chroma.sqlite3", copy)
    connection = sqlite3.connect(copy)
    try:
        connection.execute("INSERT INTO embedding_fulltext_search (embedding_fulltext_search)"
                           " VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        wrong.append(f"{when}: SQLite {sqlite3.sqlite_version}: {error}")
    finally:
        connection.close()
    return wrong
