"""What a collection must hold and find, and whether chromadb's answers are that."""

from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy

from . import compat
from .content import read_collection
from .queries import NEIGHBOURS, Recall

SEARCH_EF = 100
BATCH = 1000
BRUTE_FORCE = 10
# How much worse than the graph that chromadb made itself a graph may be.
ALLOWED_LOSS = 0.005

Complain = Callable[[str], None]
Records = dict[str, numpy.ndarray]


def create_collection(client: Any, name: str, space: str, threshold: int) -> Any:
    """With the search ef of most versions said explicitly: that of 0.5 would be 10.

    0.x searches the last batch by brute force, in Python: a small one leaves the work to the graph,
    which is what is compared.
    """
    batch = max(3, min(BRUTE_FORCE, threshold // 2))
    if compat.HAS_CONFIGURATION:
        hnsw = {"space": space, "sync_threshold": threshold, "batch_size": batch,
                "ef_search": SEARCH_EF}
        return client.create_collection(name, configuration={"hnsw": hnsw},
                                        embedding_function=None)
    metadata = {"hnsw:space": space, "hnsw:sync_threshold": threshold, "hnsw:batch_size": batch,
                "hnsw:search_ef": SEARCH_EF}
    return client.create_collection(name, metadata=metadata, embedding_function=None)


def write(collection: Any, name: str, ids: Sequence[str], vectors: numpy.ndarray) -> None:
    """add, upsert or update, with a little metadata for what may be new."""
    for start in range(0, len(ids), BATCH):
        part = list(ids[start:start + BATCH])
        given: dict[str, Any] = {"ids": part, "embeddings": list(vectors[start:start + BATCH])}
        if name != "update":
            given["metadatas"] = [{"n": start + n} for n in range(len(part))]
        getattr(collection, name)(**given)


class Search:
    """The records, and queries with the exact distances of all records to each."""

    def __init__(self, space: str, records: Records, queries: numpy.ndarray) -> None:
        self.space = space
        self.queries = queries
        self.ids = list(records)
        self.row = {record_id: n for n, record_id in enumerate(self.ids)}
        self.vectors = numpy.stack(list(records.values()))
        q, v = queries.astype(numpy.float64), self.vectors.astype(numpy.float64)
        lengths = numpy.linalg.norm(q, axis=1)[:, None], numpy.linalg.norm(v, axis=1)[None, :]
        if space == "l2":
            self.scale = lengths[0] ** 2 + lengths[1] ** 2
            self.distances = self.scale - 2.0 * (q @ v.T)
        elif space == "ip":
            self.scale = 1.0 + lengths[0] * lengths[1]
            self.distances = 1.0 - q @ v.T
        else:
            self.scale = numpy.full((len(q), len(v)), 2.0)
            self.distances = 1.0 - (q @ v.T) / (lengths[0] * lengths[1])

    def check(self, collection: Any, complain: Complain) -> float:
        """The recall of the collection; complains about everything else that is wrong."""
        if collection.count() != len(self.ids):
            complain(f"count is {collection.count()}, expected {len(self.ids)}")
        self.check_vectors(collection, complain)
        return self.check_queries(collection, complain)

    def check_vectors(self, collection: Any, complain: Complain) -> None:
        content = read_collection(collection)
        if len(content.ids) != len(content.row):
            complain("get returns an id twice")
        for record_id in sorted(content.row.keys() - self.row.keys()):
            complain(f"id {record_id!r} must not exist")
        for record_id in sorted(self.row.keys() - content.row.keys()):
            complain(f"id {record_id!r} is missing")
        both = [record_id for record_id in self.ids if record_id in content.row]
        if not both:
            return
        got = content.embeddings[[content.row[i] for i in both]].astype(numpy.float64)
        wanted = self.vectors[[self.row[i] for i in both]].astype(numpy.float64)
        if got.shape != wanted.shape:
            complain(f"embeddings have the shape {got.shape}, expected {wanted.shape}")
            return
        apart = numpy.linalg.norm(got - wanted, axis=1) / numpy.linalg.norm(wanted, axis=1)
        # Chroma keeps vectors of the cosine space normalised, and their lengths.
        limit = 1e-6 if self.space == "cosine" else 0.0
        for record_id, off in zip(both, apart):
            if not off <= limit:
                complain(f"id {record_id!r} embedding: off by {off:.3g} of its length")

    def check_queries(self, collection: Any, complain: Complain) -> float:
        wanted = min(NEIGHBOURS, len(self.ids))
        recall = Recall()
        returned = collection.query(query_embeddings=list(self.queries), n_results=wanted,
                                    include=["distances"])
        for number, exact in enumerate(self.distances):
            ids, told = list(returned["ids"][number]), list(returned["distances"][number])
            if len(set(ids)) != len(ids) or len(ids) != wanted:
                complain(f"query {number} returns {len(ids)} ids, {len(set(ids))} different ones, "
                         f"expected {wanted}")
            if told != sorted(told):
                complain(f"query {number}: distances are not sorted")
            limit = numpy.partition(exact, wanted - 1)[wanted - 1]
            recall.wanted += wanted
            for record_id, distance in zip(ids, told):
                row = self.row.get(record_id)
                if row is None:
                    complain(f"query {number} returns id {record_id!r}, which does not exist")
                    continue
                scale = self.scale[number, row]
                if not abs(distance - exact[row]) <= 1e-4 * abs(exact[row]) + 1e-5 * scale:
                    complain(f"query {number}: id {record_id!r} has the distance {distance}, "
                             f"expected {exact[row]}")
                recall.found += bool(exact[row] <= limit + 1e-6 * scale)
        return recall.value()


def judge(recall: float, reference: float, complain: Complain) -> None:
    if recall < reference - ALLOWED_LOSS - 1e-9:
        complain(f"recall is {recall:.4f}, that of chromadb's own graph is {reference:.4f}")
