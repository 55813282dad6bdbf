"""What differs between chromadb versions: opening, closing, creating, listing."""

from __future__ import annotations

import contextlib
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Iterator

import chromadb
from chromadb.config import Settings

# chromadb.__version__ is wrong in at least one release (1.3.3 says 1.3.2).
VERSION_TEXT: str = version("chromadb")
VERSION: tuple[int, ...] = tuple(int(part) for part in VERSION_TEXT.split(".")[:3])

HAS_CONFIGURATION = VERSION >= (1, 0, 0)
HAS_NONE_METADATA = VERSION >= (1, 0, 21)
HAS_ARRAYS = VERSION >= (1, 5, 0)
# None within a list of documents or uris: 0.x logs an explicit null, which removes the
# old text (and makes every 1.x that replays the log panic); 1.x keeps the old text.
NONE_REMOVES = VERSION < (1, 0, 0)


@contextlib.contextmanager
def session(directory: Path, tenant: str = chromadb.DEFAULT_TENANT,
            database: str = chromadb.DEFAULT_DATABASE) -> Iterator[Any]:
    """A client on the directory, closed for good when the block ends."""
    client = chromadb.PersistentClient(
        path=str(directory), settings=Settings(anonymized_telemetry=False),
        tenant=tenant, database=database,
    )
    try:
        yield client
    finally:
        close(client)
        expect_settled(directory)


def close(client: Any) -> None:
    """Stops the client; other clients of this process stay usable.

    Before 1.5.2 there is no close(), and clear_system_cache() forgets every client of
    the process, so only the client's own entry is removed.
    """
    if hasattr(client, "close"):
        client.close()
        return
    client._system.stop()
    # Misspelt up to 0.4.
    name = "_identifier_to_system" if VERSION >= (0, 5, 0) else "_identifer_to_system"
    getattr(client, name).pop(client._identifier)


def expect_settled(directory: Path) -> None:
    """Fails when sqlite side files outlive the client (1.x closes a little later)."""
    deadline = time.monotonic() + 5.0
    while True:
        left = [name for suffix in ("-journal", "-wal", "-shm")
                if (name := directory / f"chroma.sqlite3{suffix}").exists()]
        if not left:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"left behind: {', '.join(map(str, left))}")
        time.sleep(0.01)


def create_collection(client: Any, name: str, space: str, threshold: int) -> Any:
    """An empty collection with the given HNSW space and sync threshold."""
    if threshold < 3:
        raise SystemExit("the sync threshold must be at least 3 (chromadb 0.x refuses less)")
    batch = max(3, min(100, threshold // 2))
    metadata: dict[str, Any] = {"origin": "interop", "größe": 7}
    if HAS_CONFIGURATION:
        hnsw = {"space": space, "sync_threshold": threshold, "batch_size": batch}
        return client.create_collection(name, configuration={"hnsw": hnsw}, metadata=metadata,
                                        embedding_function=None)
    metadata |= {"hnsw:space": space, "hnsw:sync_threshold": threshold, "hnsw:batch_size": batch}
    return client.create_collection(name, metadata=metadata, embedding_function=None)


def get_collection(client: Any, name: str) -> Any:
    return client.get_collection(name, embedding_function=None)


def collection_names(client: Any) -> list[str]:
    """0.6 lists names, every other version lists collections."""
    listed = client.list_collections()
    return sorted(str(item) if isinstance(item, str) else str(item.name) for item in listed)


def dimension(collection: Any) -> int | None:
    return collection._model.dimension


def sync_threshold(collection: Any) -> int:
    """The threshold in force; hnsw:* metadata wins because 0.x directories keep it there."""
    metadata = collection.metadata or {}
    if "hnsw:sync_threshold" in metadata:
        return int(metadata["hnsw:sync_threshold"])
    if HAS_CONFIGURATION:
        return int(collection.configuration_json["hnsw"]["sync_threshold"])
    return 1000


def hnsw_space(collection: Any) -> str:
    metadata = collection.metadata or {}
    if "hnsw:space" in metadata:
        return str(metadata["hnsw:space"])
    if HAS_CONFIGURATION:
        return str(collection.configuration_json["hnsw"]["space"])
    return "l2"


def max_batch(client: Any) -> int:
    return int(client.get_max_batch_size())


def update_without_vector(client: Any, collection: Any, ids: list[str], metadatas: Any,
                          documents: Any, uris: Any) -> None:
    """An update with documents but no vectors.

    The public API would compute vectors with an embedding function here, so this
    calls the layer below it, which writes the same log rows.
    """
    client._server._update(collection.id, ids, None, metadatas, documents, uris)
