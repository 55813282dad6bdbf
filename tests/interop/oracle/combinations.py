"""Runs a test for every combination of dimension, space and data within one interpreter."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from . import compat
from .base import require_absent
from .check import finish, stage
from .clouds import Cloud
from .compare import Report
from .search import Complain


@dataclass
class Combination:
    """One test: what it is about, where its directories are, and what it found."""

    dim: int
    space: str
    data: str
    out: Path
    report: Report
    result: dict[str, Any]

    def name(self) -> str:
        return f"{self.space}-{self.dim}-{self.data}"

    def folder(self) -> Path:
        return self.out / self.name()

    def cloud(self, seed: int) -> Cloud:
        return Cloud(self.data, self.space, self.dim, seed)

    def complain(self, place: str) -> Complain:
        return lambda text: self.report.differ(f"{self.name()}: {place}", text)

    def attempt(self, action: Callable[[], None]) -> None:
        """Whatever it raises is a mismatch; the time adds up over all actions."""
        begin = time.monotonic()
        stage(self.report, self.name(), action)
        seconds = self.result.get("seconds", 0.0) + time.monotonic() - begin
        self.result["seconds"] = round(seconds, 2)


def combinations(arguments: Namespace) -> list[Combination]:
    require_absent(arguments.out)
    arguments.out.mkdir(parents=True)
    return [
        Combination(dim, space, data, arguments.out.resolve(), Report(), {})
        for dim, space, data in itertools.product(arguments.dim, arguments.space, arguments.data)
    ]


def tell(combination: Combination) -> None:
    """A line of JSON; directories are kept only if something is wrong with them."""
    found = not combination.report.mismatches
    print(json.dumps({"ok": found, "combination": combination.name()} | combination.result),
          flush=True)
    if found:
        shutil.rmtree(combination.folder(), ignore_errors=True)


def conclude(done: list[Combination]) -> int:
    """The last line: the results of all by name, or what is wrong."""
    together = Report(mismatches=[text for one in done for text in one.report.mismatches])
    if together.mismatches:
        return finish(together)
    results = {one.name(): one.result for one in done}
    print(json.dumps({"ok": True, "chromadb": compat.VERSION_TEXT, "combinations": results}))
    return 0


def run_binary(binary: Path, *words: str | Path) -> None:
    """Runs our binary, which must succeed."""
    command = [str(binary.resolve()), *map(str, words), "--json"]
    environment = {key: value for key, value in os.environ.items() if key != "RUST_LOG"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-2000:]
        raise RuntimeError(f"exit status {done.returncode} of {' '.join(command)}: {said}")
