"""make-delta: a delta directory made of random operations, and the log of them."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from . import compat, ops
from .base import make_maker, require_absent, require_support
from .content import read_collection
from .wal import log_state
from .values import Maker


def make_delta(arguments: Namespace) -> int:
    require_support(arguments)
    require_absent(arguments.out)
    base_ids = ops.read_json(arguments.base_ids) if arguments.base_ids else {}
    report: dict[str, Any] = {}
    with compat.session(arguments.out) as client:
        for name, size in ops.parse_collections(arguments.collections, arguments.records).items():
            collection = compat.create_collection(client, name, arguments.space,
                                                  arguments.threshold)
            writer = Writer(client, collection, make_maker("delta", name, arguments),
                            f"delta{arguments.seed}", list(base_ids.get(name, [])))
            writer.run(size, arguments.explicit_none)
            report[name] = {"ops": writer.performed}
        states = {name: read_collection(compat.get_collection(client, name)) for name in report}

    for name, entry in report.items():
        logged = sum(len(op["ids"]) for op in entry["ops"])
        entry |= log_state(arguments.out, name, logged)
        if entry["purged"]:
            entry["state"] = states[name].as_fields()
    ops.write_json(arguments.ops, {
        "chromadb": compat.VERSION_TEXT, "seed": arguments.seed, "space": arguments.space,
        "dim": arguments.dim, "threshold": arguments.threshold, "collections": report,
    })
    summary = {name: {"ops": len(entry["ops"]), "logged": entry["logged"],
                      "purged": entry["purged"], "live": len(states[name].ids)}
               for name, entry in report.items()}
    print(json.dumps({"chromadb": compat.VERSION_TEXT, "collections": summary}))
    return 0


class Writer:
    """Performs random operations on one collection and remembers them."""

    def __init__(self, client: Any, collection: Any, maker: Maker, prefix: str,
                 base_ids: list[str]) -> None:
        self.client = client
        self.collection = collection
        self.maker = maker
        self.rng = maker.rng
        self.prefix = prefix
        self.base_ids = base_ids
        self.own_ids: list[str] = []  # every id that add or upsert ever wrote here
        self.made = 0
        self.performed: list[ops.Operation] = []

    def run(self, size: int, explicit_none: bool) -> None:
        """The first operations of each kind come in order, so that small deltas see all kinds."""
        kinds = [self.add_new, self.upsert_mixed, self.add_existing, self.update_own,
                 self.update_base, self.delete_base, self.delete_own, self.revive]
        if compat.HAS_NONE_METADATA:
            kinds.append(self.remove_keys)
        weights = [5, 6, 2, 4, 4, 2, 2, 1, 2][: len(kinds)]
        largest = max(2, size // 15)
        logged = 0
        for number in range(10**9):
            if logged >= size:
                return
            kind = kinds[number] if number < len(kinds) else self.rng.choices(kinds, weights)[0]
            count = min(self.rng.randint(1, largest), size - logged)
            op = kind(count)
            if op is None or not op["ids"]:
                op = self.add_new(count)
            if explicit_none and op["op"] != "delete":
                op["explicit_none"] = True
            ops.apply(self.client, self.collection, op)
            self.performed.append(op)
            logged += len(op["ids"])
            if op["op"] in ("add", "upsert"):
                self.own_ids += [i for i in op["ids"] if i not in set(self.own_ids)]

    def fresh(self, count: int) -> list[str]:
        ids = [self.maker.record_id(self.prefix, self.made + n) for n in range(count)]
        self.made += count
        return ids

    def pick(self, pool: list[str], count: int) -> list[str]:
        return self.rng.sample(pool, min(len(pool), count))

    def mixed(self, count: int) -> list[str]:
        """New ids, ids of the base and ids of this delta, in random order, each once."""
        third = max(1, count // 3)
        ids = self.fresh(third) + self.pick(self.base_ids, third) + self.pick(self.own_ids, third)
        ids = list(dict.fromkeys(ids))
        self.rng.shuffle(ids)
        return ids[:max(1, count)]

    def add_new(self, count: int) -> ops.Operation:
        return ops.operation("add", **self.maker.batch(self.fresh(count)))

    def add_existing(self, count: int) -> ops.Operation:
        return ops.operation("add", **self.maker.batch(self.mixed(count)))

    def upsert_mixed(self, count: int) -> ops.Operation:
        """Sometimes without documents or metadata at all: the old ones must stay."""
        fields = self.maker.batch(self.mixed(count))
        for field in ("metadatas", "documents", "uris"):
            if self.rng.random() < 0.15:
                fields[field] = None
        return ops.operation("upsert", **fields)

    def revive(self, count: int) -> ops.Operation:
        """Writes ids that were deleted before."""
        dead = [i for op in self.performed if op["op"] == "delete" for i in op["ids"]]
        ids = self.pick(list(dict.fromkeys(dead)), count)
        return ops.operation("upsert", **self.maker.batch(ids))

    def update(self, ids: list[str]) -> ops.Operation:
        """A partial update: one field, or all of them."""
        chosen = self.rng.choice((("metadatas",), ("documents",), ("embeddings",), ("uris",),
                                  ("metadatas", "documents"), ops.FIELDS))
        return ops.operation("update", ids, **self.maker.changes(ids, chosen))

    def update_own(self, count: int) -> ops.Operation:
        return self.update(self.pick(self.own_ids, count))

    def update_base(self, count: int) -> ops.Operation:
        own = set(self.own_ids)
        return self.update(self.pick([i for i in self.base_ids if i not in own], count))

    def delete_own(self, count: int) -> ops.Operation:
        return ops.operation("delete", self.pick(self.own_ids, max(1, count // 3)))

    def delete_base(self, count: int) -> ops.Operation:
        own = set(self.own_ids)
        pool = [i for i in self.base_ids if i not in own]
        return ops.operation("delete", self.pick(pool, max(1, count // 2)))

    def remove_keys(self, count: int) -> ops.Operation:
        ids = self.pick(list(dict.fromkeys(self.base_ids + self.own_ids)), count)
        return ops.operation("update", ids, metadatas=[self.maker.removal() for _ in ids])
