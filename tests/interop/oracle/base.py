"""make-base: a snapshot directory written by chromadb in several batches."""

from __future__ import annotations

import json
import random
from argparse import Namespace
from typing import Any

from . import compat, ops
from .values import Maker


def make_base(arguments: Namespace) -> int:
    require_support(arguments)
    require_absent(arguments.out)
    live: dict[str, list[str]] = {}
    with compat.session(arguments.out) as client:
        for name, size in ops.parse_collections(arguments.collections, arguments.records).items():
            maker = make_maker("base", name, arguments)
            collection = compat.create_collection(client, name, arguments.space,
                                                  arguments.threshold)
            fill(client, collection, maker, size, arguments.explicit_none)
            live[name] = list(collection.get(include=[])["ids"])
    if arguments.ids_out:
        ops.write_json(arguments.ids_out, live)
    print(json.dumps({"chromadb": compat.VERSION_TEXT, "live": {n: len(i) for n, i in live.items()}}))
    return 0


def make_maker(role: str, name: str, arguments: Namespace) -> Maker:
    rng = random.Random(f"{role} {arguments.seed} {name}")
    return Maker(rng, arguments.dim, arguments.rich_level, arguments.floats, arguments.space)


def require_support(arguments: Namespace) -> None:
    if arguments.rich_level == "array" and not compat.HAS_ARRAYS:
        raise SystemExit("list metadata needs chromadb 1.5 or newer")
    if arguments.explicit_none and not compat.NONE_REMOVES:
        raise SystemExit("--explicit-none needs chromadb 0.x")


def require_absent(path: Any) -> None:
    if path.exists():
        raise SystemExit(f"already exists: {path}")


def fill(client: Any, collection: Any, maker: Maker, size: int, explicit_none: bool) -> None:
    """Batches of new records, with updates and deletes of earlier ones in between."""
    rng = maker.rng

    def write(name: str, ids: list[str], **fields: Any) -> None:
        op = ops.operation(name, ids, **fields) | {"explicit_none": explicit_none}
        ops.apply(client, collection, op)

    step = max(1, size // 12)
    written: list[str] = []
    while len(written) < size:
        count = min(size - len(written), rng.randint(max(1, step // 2), step * 2))
        new = [maker.record_id("base", len(written) + offset) for offset in range(count)]
        if rng.random() < 0.5:
            write("add", **maker.batch(new))
        else:
            again = rng.sample(written, min(len(written), count // 5))
            write("upsert", **maker.batch(again + new))
        written += new
        changed = rng.sample(written, max(1, count // 10))
        write("update", changed, **maker.changes(changed, ("metadatas",)))
        changed = rng.sample(written, max(1, count // 10))
        write("update", changed, **maker.changes(changed, ("embeddings", "documents")))
        if len(written) > 5:
            write("delete", rng.sample(written, max(1, count // 14)))
