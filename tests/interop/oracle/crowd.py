"""make-crowd and use-crowd: many small collections in one directory."""

from __future__ import annotations

import json
from argparse import Namespace

from . import compat


def make_crowd(arguments: Namespace) -> int:
    """Collections `crowd-0` and on, each with records `PREFIX0` and on."""
    ids = [f"{arguments.prefix}{n}" for n in range(arguments.records)]
    vectors = [[float(n), 1.0, 2.0] for n in range(len(ids))]
    with compat.session(arguments.out) as client:
        for at in range(arguments.collections):
            collection = client.create_collection(f"crowd-{at}", embedding_function=None)
            collection.add(ids=ids, embeddings=vectors, documents=[f"{at} {i}" for i in ids])
    print(json.dumps({"chromadb": compat.VERSION_TEXT}))
    return 0


def use_crowd(arguments: Namespace) -> int:
    """How many records each collection has, and whether its own documents came to it."""
    counts: dict[int, int] = {}
    strange = []
    with compat.session(arguments.dir) as client:
        for at in range(arguments.collections):
            collection = compat.get_collection(client, f"crowd-{at}")
            found = collection.get(include=["documents"])
            counts[len(found["ids"])] = counts.get(len(found["ids"]), 0) + 1
            pairs = zip(found["ids"], found["documents"])
            if any(text != f"{at} {i}" for i, text in pairs):
                strange.append(at)
    print(json.dumps({"counts": counts, "strange": strange}))
    return 0
