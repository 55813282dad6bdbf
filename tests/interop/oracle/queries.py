"""Vector queries against brute force: distances must be right, neighbours nearly all found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy

from .content import Content

NEIGHBOURS = 10


@dataclass
class Recall:
    """How many of the true neighbours were found, over many queries."""

    found: int = 0
    wanted: int = 0

    def value(self) -> float:
        return self.found / self.wanted if self.wanted else 1.0


def recall_complaint(merged: float, reference: float) -> str | None:
    """Both should find 99 %.

    Graphs that chromadb updated in place can contain elements that no search reaches,
    so when the reference itself is a little worse, the merged copy may be as well.
    """
    if reference < 0.97:
        return f"recall of the reference is only {reference:.4f}"
    if merged < 0.99 and (merged < 0.97 or merged < reference - 0.01):
        return f"recall is {merged:.4f}, that of the reference is {reference:.4f}"
    return None


@dataclass
class Answers:
    """What is wrong with the answers, and which ids in them do not exist at all."""

    wrong: list[str] = field(default_factory=list)
    ghosts: set[str] = field(default_factory=set)


@dataclass
class Truth:
    """The reference's vectors, prepared for brute force in float64."""

    content: Content
    space: str
    vectors: numpy.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.vectors = self.content.embeddings.astype(numpy.float64)

    def distances(self, query: numpy.ndarray) -> numpy.ndarray:
        q = query.astype(numpy.float64)
        if self.space == "l2":
            return ((self.vectors - q) ** 2).sum(axis=1)
        if self.space == "ip":
            return 1.0 - self.vectors @ q
        return 1.0 - (self.vectors @ q) / (numpy.linalg.norm(self.vectors, axis=1) * numpy.linalg.norm(q))

    def tolerance(self, query: numpy.ndarray) -> numpy.ndarray:
        """Per record how far chromadb's float32 distance may be off."""
        lengths = numpy.linalg.norm(self.vectors, axis=1)
        size = numpy.linalg.norm(query.astype(numpy.float64))
        scale = {"l2": lengths**2 + size**2, "ip": 1.0 + lengths * size}.get(self.space, 2.0)
        return 1e-4 * numpy.abs(self.distances(query)) + 1e-5 * scale


def query_vectors(content: Content, dim: int, seed: int, count: int = 20) -> numpy.ndarray:
    """Half of them anywhere, half near a record."""
    rng = numpy.random.default_rng(seed)
    made = rng.standard_normal((count, dim))
    if len(content.ids):
        rows = [content.row[i] for i in sorted(content.ids)]
        near = rng.integers(0, len(rows), count // 2)
        made[: count // 2] = content.embeddings[[rows[n] for n in near]] + 0.1 * made[: count // 2]
    return made.astype(numpy.float32)


def run_queries(collection: Any, truth: Truth, queries: numpy.ndarray, allowed: set[str] | None,
                recall: Recall, excused: set[str], **filters: Any) -> Answers:
    """Queries the collection; ghosts in `excused` are only reported as ghosts."""
    mask = numpy.array([allowed is None or i in allowed for i in truth.content.ids], dtype=bool)
    wanted = min(NEIGHBOURS, int(mask.sum()))
    answers = Answers()
    if not wanted:
        return answers
    returned = collection.query(query_embeddings=queries.tolist(), n_results=wanted,
                                include=["distances"], **filters)
    for number, query in enumerate(queries):
        place = f"query {number} {filters}:"
        expected = truth.distances(query)
        tolerance = truth.tolerance(query)
        ids, distances = returned["ids"][number], returned["distances"][number]
        ghosts = {i for i in ids if i not in truth.content.row}
        answers.ghosts |= ghosts
        places = wanted - len(ghosts & excused)
        limit = numpy.sort(expected[mask])[places - 1]
        recall.wanted += places
        if len(set(ids)) != len(ids):
            answers.wrong.append(f"{place} an id is returned twice")
        if list(distances) != sorted(distances):
            answers.wrong.append(f"{place} distances are not sorted")
        for record_id, distance in zip(ids, distances):
            row = truth.content.row.get(record_id)
            if row is None and record_id in excused:
                continue
            if row is None or not mask[row]:
                answers.wrong.append(f"{place} id {record_id!r} must not be returned")
                continue
            if not abs(distance - expected[row]) <= tolerance[row]:
                answers.wrong.append(f"{place} id {record_id!r} distance {distance}, "
                                     f"expected {expected[row]}")
            recall.found += bool(places and expected[row] <= limit + tolerance[row])
    return answers
