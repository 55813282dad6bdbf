"""read: all records of the published snapshot, as a Python reader gets them."""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from . import chroma
from .clients import connect
from .snapshot import Snapshots

PAGE = 1000
FIELDS = ["documents", "metadatas", "embeddings"]


def read(arguments: Namespace) -> int:
    """Without a pointer there is no version and there are no records."""
    s3 = connect("s3", arguments.endpoint)
    with tempfile.TemporaryDirectory(prefix="chroma-read-") as scratch:
        directory = Path(scratch) / "snapshot"
        version = Snapshots(s3, arguments.bucket, arguments.collection).download(directory)
        records = [] if version is None else all_records(directory, arguments.collection)
    records.sort(key=lambda record: record["id"])
    text = json.dumps({"version": version, "records": records}, ensure_ascii=False)
    arguments.out.write_text(text, encoding="utf-8")
    print(json.dumps({"version": version, "records": len(records)}))
    return 0


def all_records(directory: Path, name: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    with chroma.session(directory) as client:
        collection = chroma.existing_collection(client, name)
        while (page := collection.get(limit=PAGE, offset=len(records), include=FIELDS))["ids"]:
            columns = (page["ids"], page["documents"], page["metadatas"], page["embeddings"])
            for record_id, document, metadata, embedding in zip(*columns):
                records.append({"id": record_id, "document": document,
                                "metadata": None if metadata is None else dict(metadata),
                                "embedding": [float(number) for number in embedding]})
    return records
