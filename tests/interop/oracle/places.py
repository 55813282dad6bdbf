"""make-places and use-places: collections of one name in several databases and tenants."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings

from . import compat

NAME = "places"


def make_places(arguments: Namespace) -> int:
    """One collection per place, `tenant/database`, with records `PREFIX0` to `PREFIXn`."""
    for place in arguments.place:
        where, prefix, count = place.split("=")[0], *place.split("=")[1].split(":")
        tenant, database = where.split("/")
        add_place(arguments.out, tenant, database)
        with client_of(arguments.out, tenant, database) as client:
            collection = client.get_or_create_collection(NAME, embedding_function=None)
            ids = [f"{prefix}{n}" for n in range(int(count))]
            collection.add(ids=ids, embeddings=[[float(n), 1.0, 2.0] for n in range(len(ids))],
                           documents=[f"text of {i}" for i in ids])
    print(json.dumps({"chromadb": compat.VERSION_TEXT}))
    return 0


def use_places(arguments: Namespace) -> int:
    """What each collection has, in order of ids, after one more record was written to it."""
    found = {}
    for place in arguments.place:
        tenant, database = place.split("/")
        with client_of(arguments.dir, tenant, database) as client:
            collection = client.get_collection(NAME, embedding_function=None)
            found[place] = sorted(collection.get(include=[])["ids"])
            collection.add(ids=["later"], embeddings=[[9.0, 9.0, 9.0]], documents=["later"])
            nearest = collection.query(query_embeddings=[[9.0, 9.0, 9.0]], n_results=1)
            if nearest["ids"] != [["later"]] or collection.count() != len(found[place]) + 1:
                found[place].append("the later one is not found")
    print(json.dumps(found))
    return 0


def add_place(path: Path, tenant: str, database: str) -> None:
    settings = Settings(anonymized_telemetry=False, is_persistent=True, persist_directory=str(path))
    admin = chromadb.AdminClient(settings)
    try:
        for make in (lambda: admin.create_tenant(tenant),
                     lambda: admin.create_database(database, tenant)):
            try:
                make()
            except Exception as error:
                if "exist" not in str(error).lower():
                    raise
    finally:
        admin._system.stop() if hasattr(admin, "_system") else None
        type(admin)._identifier_to_system.pop(str(path), None)


def client_of(path: Path, tenant: str, database: str) -> Any:
    return compat.session(path, tenant, database)
