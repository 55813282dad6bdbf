"""make-reference: chromadb itself applies operation files to a copy of a base.

This defines what a merge must result in: a delta whose log is complete is replayed
operation by operation; of a delta whose log was purged only the state is left, and
that is upserted as a whole. A record of that state without document or uri leaves the
base's document or uri alone.
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
            for op in entry["ops"]:
                ops.apply(client, collection, op)
        elif entry["state"]["ids"]:
            ops.apply(client, collection, upsert_of(entry["state"]))


def upsert_of(state: dict[str, Any]) -> ops.Operation:
    """chromadb may return empty metadata but does not accept it; none at all means the same."""
    metadatas = [metadata or None for metadata in state["metadatas"]]
    return ops.operation("upsert", **(state | {"metadatas": metadatas}))
