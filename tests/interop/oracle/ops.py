"""Operations as data: applying one to a collection, reading and writing operation files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Sequence

from . import compat
from .content import read_collection

FIELDS = ("embeddings", "metadatas", "documents", "uris")

# One operation: {"op": add|upsert|update|delete, "ids": [...], <field>: [...] or None}.
# None in place of a document or uri means "not given", so an old one stays. Only if the
# operation has "explicit_none" does it mean "remove", as in a list passed to chromadb 0.x.
Operation = dict[str, Any]


def operation(name: str, ids: list[str], **fields: Any) -> Operation:
    return {"op": name, "ids": ids} | {field: fields.get(field) for field in FIELDS}


def apply(client: Any, collection: Any, op: Operation) -> None:
    """Performs the operation, in pieces no larger than chromadb accepts."""
    explicit = op.get("explicit_none", False)
    split = compat.NONE_REMOVES and not explicit
    for group in by_presence(op) if split else [range(len(op["ids"]))]:
        for start in range(0, len(group), compat.max_batch(client)):
            rows = group[start:start + compat.max_batch(client)]
            perform(client, collection, select(op, rows, drop_none=split))
    if explicit and not compat.NONE_REMOVES and op["op"] in ("upsert", "update"):
        remove_texts(collection, op)


def by_presence(op: Operation) -> list[list[int]]:
    """Row numbers, grouped by whether the row has a document and whether it has a uri."""
    groups: dict[tuple[bool, ...], list[int]] = {}
    for row in range(len(op["ids"])):
        present = tuple(op[f] is not None and op[f][row] is not None for f in ("documents", "uris"))
        groups.setdefault(present, []).append(row)
    return list(groups.values())


def select(op: Operation, rows: Sequence[int], drop_none: bool) -> Operation:
    fields = {field: [op[field][row] for row in rows] for field in FIELDS if op[field] is not None}
    for field in ("documents", "uris"):
        if drop_none and field in fields and None in fields[field]:
            del fields[field]
    return operation(op["op"], [op["ids"][row] for row in rows], **fields)


def perform(client: Any, collection: Any, op: Operation) -> None:
    if op["op"] == "delete":
        collection.delete(ids=op["ids"])
    elif op["op"] == "update" and op["embeddings"] is None and op["documents"] is not None:
        compat.update_without_vector(client, collection, op["ids"], op["metadatas"],
                                     op["documents"], op["uris"])
    else:
        given = {field: op[field] for field in FIELDS if op[field] is not None}
        getattr(collection, op["op"])(ids=op["ids"], **given)


def remove_texts(collection: Any, op: Operation) -> None:
    """Removes documents and uris where 0.x does; 1.x can only delete and add the record again."""
    for field in ("documents", "uris"):
        gone = [i for i, text in zip(op["ids"], op[field] or []) if text is None]
        if not gone:
            continue
        fields = read_collection(collection, gone).as_fields()
        if not fields["ids"]:
            continue
        fields[field] = None
        fields["metadatas"] = [metadata or None for metadata in fields["metadatas"]]
        collection.delete(ids=fields["ids"])
        collection.add(**{name: value for name, value in fields.items() if value is not None})


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def parse_collections(text: str, records: int) -> dict[str, int]:
    """'words,lines:20' with 300 records gives {'words': 300, 'lines': 20}."""
    sizes: dict[str, int] = {}
    for item in text.split(","):
        name, _, size = item.partition(":")
        sizes[name] = int(size) if size else records
    return sizes
