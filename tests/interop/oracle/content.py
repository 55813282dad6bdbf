"""The whole content of a collection, as chromadb returns it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

INCLUDE = ["embeddings", "metadatas", "documents", "uris"]


@dataclass
class Content:
    """Parallel lists in the order chromadb gave them; vectors as float32 rows."""

    ids: list[str]
    embeddings: numpy.ndarray
    metadatas: list[dict[str, Any] | None]
    documents: list[str | None]
    uris: list[str | None]

    def __post_init__(self) -> None:
        self.row = {record_id: n for n, record_id in enumerate(self.ids)}

    def as_fields(self) -> dict[str, Any]:
        """JSON-ready; every float32 becomes the Python float of the same value."""
        return {
            "ids": self.ids,
            "embeddings": self.embeddings.astype(numpy.float64).tolist(),
            "metadatas": self.metadatas,
            "documents": self.documents,
            "uris": self.uris,
        }


def read_collection(collection: Any, only: list[str] | None = None) -> Content:
    found = collection.get(ids=only, include=INCLUDE)
    ids = list(found["ids"])
    vectors = numpy.asarray(found["embeddings"] if ids else [], dtype=numpy.float32)
    return Content(
        ids=ids,
        embeddings=vectors.reshape(len(ids), -1) if ids else numpy.zeros((0, 0), numpy.float32),
        metadatas=[None if m is None else dict(m) for m in found["metadatas"]],
        documents=list(found["documents"]),
        uris=list(found["uris"]),
    )
