"""Filters that fit the data: where and where_document clauses made from a collection's content."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

from . import compat
from .content import Content

Clause = dict[str, Any]


def where_clauses(content: Content, rng: random.Random) -> list[Clause]:
    """Every operator on every kind of value, then combinations of those clauses."""
    scalars, arrays = values_by_key(content)
    clauses: list[Clause] = []
    for key, kinds in scalars.items():
        for kind, values in kinds.items():
            pick = lambda count: [rng.choice(values) for _ in range(count)]
            clauses += [{key: pick(1)[0]}, {key: {"$eq": pick(1)[0]}}, {key: {"$ne": pick(1)[0]}}]
            clauses += [{key: {"$in": pick(3)}}, {key: {"$nin": pick(3)}}]
            if kind in (int, float):
                clauses += [{key: {op: pick(1)[0]}} for op in ("$gt", "$gte", "$lt", "$lte")]
    for key, kinds in arrays.items():
        for values in kinds.values():
            clauses += [{key: {"$contains": rng.choice(values)}} for _ in range(2)]
            clauses += [{key: {"$not_contains": rng.choice(values)}}]
    clauses += [{"no such key": 1}, {"no such key": {"$ne": "x"}}]
    return clauses + combinations(clauses, rng, 30)


def combinations(clauses: list[Clause], rng: random.Random, count: int) -> list[Clause]:
    if len(clauses) < 3:
        return []
    made: list[Clause] = []
    for _ in range(count):
        inner = {rng.choice(("$and", "$or")): rng.sample(clauses, 2)}
        made.append(rng.choice((inner, {rng.choice(("$and", "$or")): [rng.choice(clauses), inner]})))
    return made


def values_by_key(content: Content) -> tuple[dict[str, dict[type, list]], dict[str, dict[type, list]]]:
    """Per key and type the values seen: plain ones, and elements of lists."""
    scalars: dict[str, dict[type, list]] = defaultdict(lambda: defaultdict(list))
    arrays: dict[str, dict[type, list]] = defaultdict(lambda: defaultdict(list))
    for record_id in sorted(content.ids):
        for key, value in sorted((content.metadatas[content.row[record_id]] or {}).items()):
            if isinstance(value, list):
                arrays[key][type(value[0])] += value
            else:
                scalars[key][type(value)].append(value)
    return dict(sorted(scalars.items())), dict(sorted(arrays.items())) if compat.HAS_ARRAYS else {}


def document_clauses(content: Content, rng: random.Random) -> list[Clause]:
    """Substring searches that together find every document that has any text."""
    documents = [content.documents[content.row[i]] or "" for i in sorted(content.ids)]
    texts = cover(documents) + samples(documents, rng)
    clauses: list[Clause] = [{"$contains": text} for text in texts]
    clauses += [{"$not_contains": text} for text in texts[::5]]
    if len(texts) > 2:
        for _ in range(12):
            pair = [{rng.choice(("$contains", "$not_contains")): t} for t in rng.sample(texts, 2)]
            clauses.append({rng.choice(("$and", "$or")): pair})
    return clauses


def cover(documents: list[str]) -> list[str]:
    """Few short texts such that each non-empty document contains one of them (greedy)."""
    windows = [{d[n:n + 3] for n in range(max(1, len(d) - 2))} - {""} for d in documents]
    open_rows = {n for n, found in enumerate(windows) if found}
    chosen: list[str] = []
    while open_rows:
        counts = Counter(w for n in sorted(open_rows) for w in sorted(windows[n]))
        best, _ = max(counts.items(), key=lambda item: (item[1], item[0]))
        chosen.append(best)
        open_rows = {n for n in open_rows if best not in windows[n]}
    return chosen


def samples(documents: list[str], rng: random.Random) -> list[str]:
    """Random pieces of documents, some long, and one that no document contains."""
    long_enough = [d for d in documents if len(d) >= 4]
    texts = ["surely nowhere in there"]
    for document in rng.sample(long_enough, min(25, len(long_enough))):
        start = rng.randrange(len(document) - 3)
        texts.append(document[start:start + rng.randint(3, 20)])
    return texts
