"""Compares one collection of two directories through chromadb, and collects the differences."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy

from . import compat
from .content import Content, read_collection
from .filters import document_clauses, where_clauses
from .queries import Recall, Truth, query_vectors, recall_complaint, run_queries
from .values import ulps_apart


@dataclass
class Report:
    """Mismatches and how much was compared."""

    mismatches: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    stage: str = "first"
    recalls: dict[str, dict[str, Recall]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Recall)))

    def differ(self, place: str, text: str) -> None:
        self.mismatches.append(f"{place}: {text}")

    def recall(self, side: str) -> Recall:
        """The recall of one directory over all collections, in the current stage."""
        return self.recalls[self.stage][side]

    def recall_values(self) -> dict[str, dict[str, float]]:
        return {stage: {side: round(recall.value(), 4) for side, recall in sides.items()}
                for stage, sides in self.recalls.items()}

    def judge_recall(self) -> None:
        for stage, sides in self.recalls.items():
            complaint = recall_complaint(sides["merged"].value(), sides["reference"].value())
            if complaint:
                self.differ(f"stage {stage}", complaint)


@dataclass
class Pair:
    """The same collection in the merged and in the reference directory."""

    name: str
    merged: Any
    reference: Any
    space: str
    dim: int
    seed: int
    float_ulps: int
    report: Report

    def differ(self, text: str) -> None:
        self.report.differ(self.name, text)

    def compare(self) -> None:
        self.report.counts["collections"] += 1
        self.compare_collection()
        left, right = read_collection(self.merged), read_collection(self.reference)
        self.compare_records(left, right)
        if not right.ids:
            return
        rng = random.Random(f"filters {self.seed} {self.name}")
        where = where_clauses(right, rng)
        documents = document_clauses(right, rng)
        for clause in where:
            self.compare_filter({"where": clause})
        for clause in documents:
            self.compare_filter({"where_document": clause})
        both = [{"where": rng.choice(where), "where_document": rng.choice(documents)}
                for _ in range(10)] if documents else []
        for filters in both:
            self.compare_filter(filters)
        self.compare_pages(set(right.ids))
        filters = [{}] + [{"where": c} for c in rng.sample(where, min(12, len(where)))]
        filters += [{"where_document": c} for c in rng.sample(documents, min(8, len(documents)))]
        self.compare_queries(right, filters + both[:4])

    def compare_collection(self) -> None:
        for what, read in (("count", lambda c: c.count()), ("dimension", compat.dimension),
                           ("space", compat.hnsw_space), ("metadata", own_metadata)):
            left, right = read(self.merged), read(self.reference)
            if left != right:
                self.differ(f"{what} is {left!r}, expected {right!r}")

    def compare_records(self, left: Content, right: Content) -> None:
        if len(left.row) != len(left.ids):
            self.differ("get returns an id twice")
        for record_id in sorted(left.row.keys() - right.row.keys()):
            self.differ(f"id {record_id!r}: must not exist")
        for record_id in sorted(right.row.keys() - left.row.keys()):
            self.differ(f"id {record_id!r}: missing")
        for record_id in sorted(left.row.keys() & right.row.keys()):
            a, b = left.row[record_id], right.row[record_id]
            self.report.counts["records"] += 1
            for what, got, expected in (("document", left.documents[a], right.documents[b]),
                                        ("uri", left.uris[a], right.uris[b])):
                if got != expected:
                    self.differ(f"id {record_id!r} {what}: {got!r}, expected {expected!r}")
            self.compare_metadata(record_id, left.metadatas[a], right.metadatas[b])
            self.compare_vector(record_id, left.embeddings[a], right.embeddings[b])

    def compare_metadata(self, record_id: str, left: dict | None, right: dict | None) -> None:
        if left is None or right is None:
            if left is not right:
                self.differ(f"id {record_id!r} metadata: {left!r}, expected {right!r}")
            return
        absent = object()
        for key in sorted(left.keys() | right.keys()):
            got, expected = left.get(key, absent), right.get(key, absent)
            if not same_value(got, expected, self.float_ulps):
                got, expected = ("absent" if v is absent else repr(v) for v in (got, expected))
                self.differ(f"id {record_id!r} metadata {key!r}: {got}, expected {expected}")

    def compare_vector(self, record_id: str, left: numpy.ndarray, right: numpy.ndarray) -> None:
        if left.shape != right.shape:
            self.differ(f"id {record_id!r} embedding: shape {left.shape}, expected {right.shape}")
            return
        apart = numpy.linalg.norm(left.astype(numpy.float64) - right.astype(numpy.float64))
        size = numpy.linalg.norm(right.astype(numpy.float64))
        if not apart <= 1e-6 * size:
            self.differ(f"id {record_id!r} embedding: off by {apart:.3g}, its length is {size:.3g}")

    def compare_filter(self, filters: dict[str, Any]) -> set[str] | None:
        """The ids the filter selects in the reference; None when chromadb rejects it."""
        self.report.counts["filters"] += 1
        left = attempt(lambda: self.merged.get(include=[], **filters)["ids"])
        right = attempt(lambda: self.reference.get(include=[], **filters)["ids"])
        if isinstance(right, str):
            self.report.counts["filters_rejected"] += 1
            if not isinstance(left, str):
                self.differ(f"get {filters}: works, but the reference says {right}")
            return None
        if isinstance(left, str):
            self.differ(f"get {filters}: {left}")
            return set(right)
        self.report.counts["filters_with_results"] += bool(right)
        for record_id in sorted(set(left) ^ set(right)):
            state = "must not be found" if record_id in left else "not found"
            self.differ(f"get {filters}: id {record_id!r} {state}")
        return set(right)

    def compare_pages(self, expected: set[str]) -> None:
        step = max(1, len(expected) // 7)
        for side, collection in (("merged", self.merged), ("reference", self.reference)):
            seen: list[str] = []
            for offset in range(0, len(expected) + step, step):
                page = collection.get(limit=step, offset=offset, include=[])["ids"]
                seen += page
                if len(page) > step:
                    self.differ(f"{side}: get with limit {step} returns {len(page)} ids")
            if len(seen) != len(set(seen)):
                self.differ(f"{side}: get with limit and offset returns an id twice")
            for record_id in sorted(set(seen) ^ expected):
                self.differ(f"{side}: get with limit and offset: id {record_id!r} is "
                            + ("extra" if record_id in seen else "missing"))

    def compare_queries(self, right: Content, filters: list[dict[str, Any]]) -> None:
        truth = Truth(right, self.space)
        queries = query_vectors(right, self.dim, self.seed)
        for chosen in filters:
            allowed = None
            if chosen:
                allowed = self.compare_filter(chosen)
                if allowed is None:
                    continue
            self.query_both(truth, queries[::5] if chosen else queries, allowed, chosen)

    def query_both(self, truth: Truth, queries: numpy.ndarray, allowed: set[str] | None,
                   filters: dict[str, Any]) -> None:
        """The reference first: what 0.x gets wrong there is excused in the merged copy.

        0.x keeps answering with a record that was deleted, added and deleted again within
        one batch, and cannot answer a filtered query that matches too few records.
        """
        excused: set[str] = set()
        for side, collection in (("reference", self.reference), ("merged", self.merged)):
            self.report.counts["queries"] += len(queries)
            recall = self.report.recall(side)
            run = lambda: run_queries(collection, truth, queries, allowed, recall, excused, **filters)
            answers = attempt(run)
            if isinstance(answers, str):
                if compat.VERSION < (1,) and filters and "contigious 2D array" in answers:
                    self.report.counts["queries_unanswered"] += len(queries)
                else:
                    self.differ(f"{side}: query {filters}: {answers}")
                continue
            if side == "reference" and compat.VERSION < (1,) and answers.ghosts:
                self.report.counts["ghosts_of_reference"] += len(answers.ghosts)
                excused = answers.ghosts
                answers.wrong = [w for w in answers.wrong if "must not be returned" not in w]
            for text in answers.wrong:
                self.differ(f"{side}: {text}")


def own_metadata(collection: Any) -> dict[str, Any]:
    """Collection metadata without the keys by which 0.x configures HNSW."""
    return {k: v for k, v in (collection.metadata or {}).items() if not k.startswith("hnsw:")}


def same_value(left: Any, right: Any, float_ulps: int) -> bool:
    """Equal with the same type; True is not 1 and 1 is not 1.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(
            same_value(a, b, float_ulps) for a, b in zip(left, right))
    if isinstance(left, float) and float_ulps:
        return ulps_apart(left, right) <= float_ulps
    if isinstance(left, float):
        return left.hex() == right.hex()
    return bool(left == right)


def attempt(action: Callable[[], Any]) -> Any:
    """The result, or the error as text."""
    try:
        return action()
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
