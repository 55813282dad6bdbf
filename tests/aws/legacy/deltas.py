"""Deltas: downloaded and merged one after the other (contract 1.5 and 4.3)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from . import chroma, files

BATCH = 250


def download(s3: Any, bucket: str, location: str, directory: Path) -> None:
    """An archive if there is one, else all objects; the location may name a bucket."""
    if location.startswith("s3://"):
        bucket, _, location = location.removeprefix("s3://").partition("/")
    prefix = location.strip("/") + "/"
    if files.download_archive(s3, bucket, f"{prefix}delta.tar.gz", directory):
        return
    if not files.download_objects(s3, bucket, prefix, directory):
        raise FileNotFoundError(f"nothing at s3://{bucket}/{prefix}")


def merge(directory: Path, target: Any) -> int:
    """Upserts the delta's collection of the same name; returns how many records it has."""
    with chroma.session(directory) as client:
        delta = chroma.existing_collection(client, target.name)
        found = delta.get(include=["documents", "embeddings", "metadatas"])
    ids = found["ids"]
    for start in range(0, len(ids), BATCH):
        part = slice(start, start + BATCH)
        target.upsert(ids=ids[part], embeddings=found["embeddings"][part],
                      metadatas=found["metadatas"][part], documents=found["documents"][part])
        verify(target, ids[part])
    return len(ids)


def verify(target: Any, ids: list[str]) -> None:
    """Everything upserted is there; looks three times, a second apart."""
    for pause in (1.0, 1.0, None):
        missing = set(ids) - set(target.get(ids=ids, include=[])["ids"])
        if not missing:
            return
        if pause is not None:
            time.sleep(pause)
    raise RuntimeError(f"{len(missing)} ids are missing after the upsert")
