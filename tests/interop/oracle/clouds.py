"""Vectors to search among, in clusters or without any structure, and queries for them."""

from __future__ import annotations

import zlib

import numpy

KINDS = ("clustered", "uniform")
CENTRES = 32
NOISE = 0.75
# By how much the lengths of clustered vectors vary. With ip, long vectors crowd out all others.
LENGTHS = {"l2": (0.95, 1.05), "ip": (0.95, 1.05), "cosine": (0.3, 3.0)}
# How far a query that is near a record is from it, relative to the spread of the coordinates.
NEAR = 0.3


class Cloud:
    """All vectors of one test; a seed fixes them."""

    def __init__(self, kind: str, space: str, dim: int, seed: int) -> None:
        self.rng = numpy.random.default_rng([seed, dim, zlib.crc32(f"{kind} {space}".encode())])
        self.kind = kind
        self.dim = dim
        self.lengths = LENGTHS[space]
        self.centres = self.rng.standard_normal((CENTRES, dim))

    def vectors(self, count: int) -> numpy.ndarray:
        if self.kind == "uniform":
            return self.rng.uniform(-1.0, 1.0, (count, self.dim)).astype(numpy.float32)
        made = self.centres[self.rng.integers(0, CENTRES, count)]
        made = made + NOISE * self.rng.standard_normal(made.shape)
        return (made * self.rng.uniform(*self.lengths, (count, 1))).astype(numpy.float32)

    def queries(self, records: numpy.ndarray, count: int) -> numpy.ndarray:
        """Half of them near one of the records, half anywhere in the cloud."""
        near = records[self.rng.integers(0, len(records), count // 2)]
        near = near + NEAR * records.std() * self.rng.standard_normal(near.shape)
        return numpy.concatenate([near.astype(numpy.float32), self.vectors(count - len(near))])
