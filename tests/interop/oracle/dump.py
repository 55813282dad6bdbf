"""dump: the whole content of a directory as JSON, records sorted by id."""

from __future__ import annotations

import json
import shutil
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from . import compat, ops
from .content import Content, read_collection


def dump(arguments: Namespace) -> int:
    collections: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy"
        shutil.copytree(arguments.dir, copy)
        with compat.session(copy) as client:
            for name in compat.collection_names(client):
                collection = compat.get_collection(client, name)
                collections.append({
                    "name": name,
                    "dimension": compat.dimension(collection),
                    "records": records(read_collection(collection)),
                })
    ops.write_json(arguments.out, {"chromadb": compat.VERSION_TEXT, "collections": collections})
    print(json.dumps({c["name"]: len(c["records"]) for c in collections}))
    return 0


def records(content: Content) -> list[dict[str, Any]]:
    fields = content.as_fields()
    rows = [
        {"id": i, "document": d, "uri": u, "metadata": m, "embedding": e}
        for i, d, u, m, e in zip(fields["ids"], fields["documents"], fields["uris"],
                                 fields["metadatas"], fields["embeddings"])
    ]
    return sorted(rows, key=lambda row: row["id"])
