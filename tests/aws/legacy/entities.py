"""entities: every lock and run item, as strict as a Python entity parser (contract 3.2, 3.3)."""

from __future__ import annotations

import json
import re
import uuid
from argparse import Namespace
from datetime import datetime
from typing import Any, Callable

from .clients import connect

COLLECTIONS = ("lines", "words")
STATES = ("PENDING", "PROCESSING", "COMPLETED", "FAILED")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


class Item:
    """An item's attributes; what is wrong with them is collected."""

    def __init__(self, attributes: dict[str, dict[str, Any]]) -> None:
        self.attributes = attributes
        self.errors: list[str] = []
        self.seen: set[str] = set()

    def value(self, name: str, kinds: str, check: Callable[[Any], Any]) -> Any:
        """The value if it is there, has one of the types and passes the check; else none."""
        self.seen.add(name)
        if name not in self.attributes:
            self.errors.append(f"{name} is missing")
            return None
        ((kind, value),) = self.attributes[name].items()
        if kind not in kinds.split("|"):
            self.errors.append(f"{name} has type {kind}, not {kinds}")
            return None
        if kind == "NULL":
            return None
        try:
            return check(value)
        except ValueError as error:
            self.errors.append(f"{name} is {value!r}: {error}")
            return None

    def keys(self, expected: dict[str, str]) -> None:
        """The keys are those that the fields make."""
        for name, text in expected.items():
            found = self.value(name, "S", str)
            if found is not None and found != text:
                self.errors.append(f"{name} is {found!r}, not {text!r}")

    def extra(self) -> list[str]:
        return sorted(set(self.attributes) - self.seen)


def filled(text: str) -> str:
    if not text:
        raise ValueError("empty")
    return text


def moment(text: str) -> str:
    datetime.fromisoformat(text)
    if not TIME.fullmatch(text):
        raise ValueError("not microseconds and +00:00")
    return text


def identifier(text: str) -> str:
    if str(uuid.UUID(text)) != text.lower():
        raise ValueError("not the usual form of a uuid")
    return text


def one_of(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"none of {', '.join(allowed)}")
        return text
    return check


def at_least(least: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        number = int(text)
        if number < least:
            raise ValueError(f"less than {least}")
        return number
    return check


def parse_lock(item: Item) -> dict[str, Any]:
    """The lock's id is only in its key. A lock has no attributes of others."""
    lock = {"owner": item.value("owner", "S", filled),
            "expires": item.value("expires", "S", moment),
            "collection": item.value("collection", "S", one_of(*COLLECTIONS)),
            "heartbeat": item.value("heartbeat", "S|NULL", moment)}
    start = f"LOCK#{lock['collection']}#"
    lock["lock_id"] = str(item.attributes["PK"].get("S", "")).removeprefix(start)
    item.keys({"PK": start + lock["lock_id"], "SK": "LOCK",
               "GSI1PK": f"LOCK#{lock['collection']}", "GSI1SK": f"EXPIRES#{lock['expires']}",
               "TYPE": "COMPACTION_LOCK"})
    if not lock["lock_id"]:
        item.errors.append("PK has no lock id")
    if extra := item.extra():
        item.errors.append(f"unknown attributes: {', '.join(extra)}")
    return lock


def parse_run(item: Item) -> dict[str, Any]:
    """Attributes of others are listed as `extra`."""
    run = {"run_id": item.value("run_id", "S", identifier),
           "image_id": item.value("image_id", "S", identifier),
           "receipt_id": item.value("receipt_id", "N", at_least(1)),
           "created_at": item.value("created_at", "S", moment),
           "updated_at": item.value("updated_at", "S|NULL", moment)}
    for name in COLLECTIONS:
        run |= {f"{name}_delta_prefix": item.value(f"{name}_delta_prefix", "S", filled),
                f"{name}_state": item.value(f"{name}_state", "S", one_of(*STATES)),
                f"{name}_started_at": item.value(f"{name}_started_at", "S|NULL", moment),
                f"{name}_finished_at": item.value(f"{name}_finished_at", "S|NULL", moment),
                f"{name}_error": item.value(f"{name}_error", "S|NULL", filled),
                f"{name}_merged_vectors": item.value(f"{name}_merged_vectors", "N", at_least(0))}
    receipt = f"RECEIPT#{run['receipt_id'] or 0:05d}"
    item.keys({"PK": f"IMAGE#{run['image_id']}",
               "SK": f"{receipt}#COMPACTION_RUN#{run['run_id']}",
               "GSI1PK": "RUNS", "GSI1SK": f"CREATED_AT#{run['created_at']}",
               "TYPE": "COMPACTION_RUN"})
    return run | {"extra": item.extra()}


PARSERS = {"COMPACTION_LOCK": ("locks", parse_lock), "COMPACTION_RUN": ("runs", parse_run)}


def entities(arguments: Namespace) -> int:
    """Only items without an error are among the locks and the runs."""
    found: dict[str, list[Any]] = {"locks": [], "runs": [], "errors": []}
    scan = connect("dynamodb", arguments.endpoint).get_paginator("scan")
    for page in scan.paginate(TableName=arguments.table, ConsistentRead=True):
        for attributes in page["Items"]:
            kind = attributes.get("TYPE", {}).get("S")
            if kind not in PARSERS:
                continue
            name, parse = PARSERS[kind]
            item = Item(attributes)
            parsed = parse(item)
            keys = {key: attributes[key].get("S") for key in ("PK", "SK")}
            found["errors"] += [keys | {"error": error} for error in item.errors]
            if not item.errors:
                found[name].append(parsed)
    print(json.dumps(found))
    return 1 if found["errors"] else 0
