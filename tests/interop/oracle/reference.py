"""make-reference: chromadb itself applies operation files to a copy of a base.

This defines what a merge must result in: a delta whose log is complete is replayed
operation by operation, an add of an id that is new to the delta as an upsert; of a
delta whose log was purged only the state is left, and that is upserted as a whole. A
record of that state without document or uri leaves the base's document or uri alone.
"""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from typing import Any

from . import compat, ops
from .base import require_absent


def make_reference(arguments: Namespace) -> int:
    require_absent(arguments.out)
    shutil.copytree(arguments.base, arguments.out)
    with compat.session(arguments.out) as client:
        for path in arguments.ops:
            apply_file(client, ops.read_json(path))
        counts = {name: compat.get_collection(client, name).count()
                  for name in compat.collection_names(client)}
    print(json.dumps({"chromadb": compat.VERSION_TEXT, "count": counts}))
    return 0


def apply_file(client: Any, file: dict[str, Any]) -> None:
    present = set(compat.collection_names(client))
    for name, entry in file["collections"].items():
        if name in present:
            collection = compat.get_collection(client, name)
        else:
            collection = compat.create_collection(client, name, file["space"], file["threshold"])
        if not entry["purged"]:
            own: set[str] = set()
            for op in entry["ops"]:
                for part in for_base(op, own):
                    ops.apply(client, collection, part)
        elif entry["state"]["ids"]:
            ops.apply(client, collection, upsert_of(entry["state"]))


def for_base(op: ops.Operation, own: set[str]) -> list[ops.Operation]:
    """The operation as the base must take it; `own` are the delta's ids, and is kept up to date."""
    ids = set(op["ids"])
    if op["op"] == "delete":
        own -= ids
    elif op["op"] == "upsert":
        own |= ids
    if op["op"] != "add":
        return [op]
    new = [row for row, id in enumerate(op["ids"]) if id not in own]
    known = [row for row, id in enumerate(op["ids"]) if id in own]
    own |= ids
    parts = [(kind, rows) for kind, rows in (("upsert", new), ("add", known)) if rows]
    return [rows_of(op, rows) | {"op": kind} for kind, rows in parts]


def rows_of(op: ops.Operation, rows: list[int]) -> ops.Operation:
    """Some rows of an operation, nulls included."""
    fields = {field: [op[field][row] for row in rows] for field in ops.FIELDS if op[field] is not None}
    return op | fields | {"ids": [op["ids"][row] for row in rows]}


def upsert_of(state: dict[str, Any]) -> ops.Operation:
    """chromadb may return empty metadata but does not accept it; none at all means the same."""
    metadatas = [metadata or None for metadata in state["metadatas"]]
    return ops.operation("upsert", **(state | {"metadatas": metadatas}))
