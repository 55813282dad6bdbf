"""Invents records: awkward but valid ids, vectors, metadata, documents and uris."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

ID_SHAPES = (
    "{p}-{n}", "{p}-{n:06d}", "{p} with spaces {n}", "{p}-文書-{n}", "{p}-😀👩‍👩‍👧-{n}",
    "{p}'s \"quoted\" {n}", "#{p}/{n}?a=%20&b", "{p}-e\u0301-{n}", " {p} padded {n} ", "{p}\\{n}\tTab",
    "-- {p}; DROP TABLE x; {n}", "{p}-" + "long" * 40 + "-{n}",
)
WORDS = (
    "river stone lantern harbor velvet copper meadow Winter signal orchard thunder paper "
    "größer straße naïve façade Ångström ключ слово 文書 検索 データ 한국어 emoji😀 100% under_score "
    "it's \"quoted\" back\\slash <tag> a&b tail. Zürich"
).split()
INTEGERS = (0, 1, -1, 7, 255, -32768, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, -(2**53) - 1,
            2**63 - 1, -(2**63))
# chromadb 1.x parses its log with an approximate float parser; these survive it.
FLOATS = (0.1, -0.1, 1e-300, 1e300, -0.0, 0.0, 1 / 3, 2.0, -2.5, 3.0, 1e16, 0.5, 1e22)
STRINGS = ("", " ", "plain", "naïve", "日本語のテキスト", "😀", "it's", "\"q\"", "line\nbreak",
           "null", "0", "true", "x" * 3000, "100%_done", "e\u0301", "\u00e9")
LENGTHS = {"l2": (2.0, 4.0), "ip": (2.9, 3.1), "cosine": (0.3, 9.0)}
COLORS = ("red", "green", "blue", "grün", "赤")


@dataclass
class Maker:
    """Every value comes from one seeded generator, so a seed fixes all data."""

    rng: random.Random
    dim: int
    level: str = "scalar"
    floats: str = "stable"
    space: str = "l2"

    def record_id(self, prefix: str, number: int) -> str:
        return ID_SHAPES[number % len(ID_SHAPES)].format(p=prefix, n=number)

    def vector(self) -> list[float]:
        """Random direction and length, components exactly representable as float32.

        Lengths vary much only with cosine: HNSW recall would suffer in the other spaces.
        """
        parts = [self.rng.gauss(0.0, 1.0) for _ in range(self.dim)]
        length = self.rng.uniform(*LENGTHS[self.space])
        scale = length / math.sqrt(sum(part * part for part in parts))
        return [float32(part * scale) for part in parts]

    def number(self) -> float:
        if self.rng.random() < 0.4:
            return self.rng.choice(FLOATS)
        if self.floats == "any":
            return self.rng.uniform(-1.0, 1.0) * 10.0 ** self.rng.randint(-250, 250)
        return self.rng.randint(-(10**9), 10**9) / 10 ** self.rng.randint(1, 9)

    def integer(self) -> int:
        return self.rng.choice(INTEGERS) if self.rng.random() < 0.4 else self.rng.randint(-500, 500)

    def text(self) -> str:
        if self.rng.random() < 0.5:
            return self.rng.choice(STRINGS)
        return " ".join(self.rng.choices(WORDS, k=self.rng.randint(1, 4)))

    def flag(self) -> bool:
        return self.rng.random() < 0.5

    def scalar(self) -> Any:
        return self.rng.choice((self.text, self.integer, self.number, self.flag))()

    def array(self) -> list[Any]:
        kind = self.rng.choice((self.text, self.integer, self.number, self.flag))
        return [kind() for _ in range(self.rng.randint(1, 5))]

    def metadata(self) -> dict[str, Any] | None:
        """Sometimes none at all; otherwise a random choice of keys, "mixed" of any type."""
        if self.rng.random() < 0.12:
            return None
        makers = {
            "color": lambda: self.rng.choice(COLORS), "rank": lambda: self.rng.randint(0, 20),
            "score": self.number, "flag": self.flag, "big": self.integer, "text": self.text,
            "mixed": self.scalar, "ключ": self.text, "key with 'quotes\" #1": self.integer,
            "😀": self.flag,
        }
        if self.level == "array":
            makers |= {
                "tags": lambda: self.rng.choices(COLORS, k=self.rng.randint(1, 4)),
                "ints": lambda: [self.integer() for _ in range(self.rng.randint(1, 4))],
                "reals": lambda: [self.number() for _ in range(self.rng.randint(1, 4))],
                "flags": lambda: [self.flag() for _ in range(self.rng.randint(1, 3))],
                "mixed": lambda: self.array() if self.flag() else self.scalar(),
            }
        made = {key: make() for key, make in makers.items() if self.rng.random() < 0.55}
        return made or {"color": "red"}

    def removal(self) -> dict[str, Any]:
        """Metadata for an update that deletes keys: None means delete."""
        changed = self.metadata() or {"rank": 3}
        for key in self.rng.sample(("color", "rank", "score", "flag", "mixed", "ключ", "tags"), 3):
            changed[key] = None
        return changed

    def document(self) -> str | None:
        draw = self.rng.random()
        if draw < 0.12:
            return None
        if draw < 0.14:
            return ""
        if draw < 0.17:
            return self.rng.choice(("a", "é", "ab", "日本", "😀"))
        length = 400 if draw > 0.99 else self.rng.randint(2, 12)
        return " ".join(self.rng.choices(WORDS, k=length)) + f" no{self.rng.randint(0, 99999)}"

    def uri(self) -> str | None:
        if self.rng.random() < 0.7:
            return None
        return f"file:///données/{self.rng.randint(0, 999)} a#b.txt"

    def batch(self, ids: list[str]) -> dict[str, Any]:
        """All fields for the ids, as the arguments of add or upsert."""
        return {
            "ids": ids,
            "embeddings": [self.vector() for _ in ids],
            "metadatas": [self.metadata() for _ in ids],
            "documents": [self.document() for _ in ids],
            "uris": [self.uri() for _ in ids],
        }

    def changes(self, ids: list[str], fields: tuple[str, ...]) -> dict[str, Any]:
        """Only these fields, each with a value for every id, as the arguments of update."""
        made = self.batch(ids)
        fallbacks: dict[str, Any] = {"metadatas": {"rank": 1}, "documents": "changed", "uris": "file:///changed"}
        return {field: [fallbacks[field] if value is None else value for value in made[field]]
                for field in fields}


def float32(value: float) -> float:
    """The nearest float32, as a Python float whose repr reads back as the same float32."""
    import numpy

    return float(numpy.float32(value))


def ulps_apart(left: float, right: float) -> int:
    """How many representable numbers lie between two finite floats."""
    if left == right:
        return 0
    if math.copysign(1.0, left) != math.copysign(1.0, right):
        return ulps_apart(abs(left), 0.0) + ulps_apart(0.0, abs(right))
    low, high = sorted((abs(left), abs(right)))
    return round((high - low) / math.ulp(low))
