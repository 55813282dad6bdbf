"""Command line of the oracle: one sub-command per step of an interop test."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Callable

SPACES = ("l2", "ip", "cosine")
DATA = ("clustered", "uniform")


def data_options(parser: argparse.ArgumentParser) -> None:
    """Options shared by the two commands that invent records."""
    parser.add_argument("--out", type=Path, required=True, help="directory to create")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--space", choices=SPACES, required=True)
    parser.add_argument("--dim", type=int, required=True)
    parser.add_argument("--records", type=int, required=True, help="records per collection")
    parser.add_argument("--threshold", type=int, required=True, help="sync threshold, at least 3")
    parser.add_argument("--collections", default="words",
                        help="comma separated names; name:N overrides --records for that one")
    parser.add_argument("--rich-level", choices=("scalar", "array"), default="scalar",
                        help="array needs chromadb 1.5 or newer")
    parser.add_argument("--floats", choices=("stable", "any"), default="stable",
                        help="stable: only floats that chromadb 1.x reads back bit for bit")
    parser.add_argument("--explicit-none", action="store_true",
                        help="pass None within lists of documents and uris to chromadb 0.x, "
                             "which then logs an explicit null")


def compare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--merged", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--space", choices=SPACES, required=True)
    parser.add_argument("--dim", type=int, required=True)
    parser.add_argument("--float-ulps", type=int, default=0,
                        help="how far apart metadata floats may be (default: equal)")


def graph_options(parser: argparse.ArgumentParser) -> None:
    """Options of the two commands that compare graphs; all combinations of the lists are run."""
    parser.add_argument("--binary", type=Path, required=True, help="our binary")
    parser.add_argument("--out", type=Path, required=True, help="directory to create")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--records", type=int, required=True, help="in the queue, or in the base")
    parser.add_argument("--queries", type=int, default=2000,
                        help="with 100, two graphs of chromadb itself can differ by more than 0.005")
    parser.add_argument("--dim", type=lambda text: [int(item) for item in text.split(",")],
                        required=True, help="comma separated")
    parser.add_argument("--space", type=one_of(*SPACES), default=SPACES, help="comma separated")
    parser.add_argument("--data", type=one_of(*DATA), default=DATA, help="comma separated")


def one_of(*allowed: str) -> Callable[[str], list[str]]:
    """Parses a comma separated list of allowed words."""
    def parse(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(allowed):
            raise argparse.ArgumentTypeError(f"{unknown.pop()!r} is none of {', '.join(allowed)}")
        return text.split(",")
    return parse


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="oracle", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    base = commands.add_parser("make-base", help="create a snapshot directory")
    data_options(base)
    base.add_argument("--ids-out", type=Path, help="write the live ids per collection here")

    ghost = commands.add_parser("make-ghost-base",
                                help="make-base, and vectors without a record as 0.x leaves them")
    data_options(ghost)
    ghost.add_argument("--ids-out", type=Path, help="write the live ids here")

    delta = commands.add_parser("make-delta", help="create a delta directory, log its operations")
    data_options(delta)
    delta.add_argument("--ops", type=Path, required=True, help="operations file to write")
    delta.add_argument("--base-ids", type=Path, help="file written by make-base --ids-out")

    reference = commands.add_parser("make-reference", help="let chromadb apply the operations")
    reference.add_argument("--base", type=Path, required=True)
    reference.add_argument("--ops", type=Path, action="append", required=True)
    reference.add_argument("--out", type=Path, required=True)
    reference.add_argument("--metadata", choices=("merge",), default="merge",
                           help="how metadata of an existing record is treated")

    check = commands.add_parser("check", help="assert that two directories behave the same")
    compare_options(check)
    check.add_argument("--cross-limit", type=int, default=3000,
                       help="do not write more than this many records to cross the sync threshold")

    compare = commands.add_parser("compare", help="only compare, in place (used by check)")
    compare_options(compare)

    dump = commands.add_parser("dump", help="write all content as JSON")
    dump.add_argument("--dir", type=Path, required=True)
    dump.add_argument("--out", type=Path, required=True)

    created = commands.add_parser("use-created", help="work in empty directories made by others")
    created.add_argument("--dir", action="append", required=True, metavar="SPACE=DIR",
                         help="a directory and the space its collection has to have")
    created.add_argument("--collection", required=True)
    created.add_argument("--seed", type=int, required=True)
    created.add_argument("--reopened", action="store_true",
                         help="only look for what was written (used by use-created)")

    flushed = commands.add_parser("flushed", help="search what our binary indexed")
    graph_options(flushed)
    flushed.add_argument("--engine", type=one_of("native", "rebuild", "hnsw-rs"), default=["native"],
                        help="comma separated; native: store flush; rebuild, hnsw-rs: store rebuild")

    flushes = commands.add_parser("flushes", help="search what our binary indexed in many merges")
    graph_options(flushes)
    flushes.add_argument("--flushes", type=int, default=20)
    flushes.add_argument("--threshold", type=int, default=50, help="sync threshold of the base")

    texts = commands.add_parser("texts", help="go on with full text that our binary wrote")
    texts.add_argument("--binary", type=Path, required=True, help="our binary")
    texts.add_argument("--out", type=Path, required=True, help="directory to create")
    texts.add_argument("--seed", type=int, required=True)
    texts.add_argument("--merges", type=int, default=24)
    texts.add_argument("--nul", action="store_true", help="documents with a NUL character")
    texts.add_argument("--then", choices=("flush", "rebuild"), action="append", default=[],
                       help="a command of our binary after the merges")

    odd = commands.add_parser("make-odd", help="create a directory to which something happened")
    odd.add_argument("--kind", required=True)
    odd.add_argument("--out", type=Path, required=True)
    odd.add_argument("--expected", type=Path, required=True, help="what it must hold in the end")
    odd.add_argument("--seed", type=int, required=True)
    odd.add_argument("--space", choices=SPACES, default="l2")

    odd = commands.add_parser("use-odd", help="look whether all is there, and go on")
    odd.add_argument("--dir", type=Path, required=True)
    odd.add_argument("--expected", type=Path, required=True)
    odd.add_argument("--space", choices=SPACES, help="the space that it must have by now")
    odd.add_argument("--m", type=int, help="the links per element that it must have by now")

    odd = commands.add_parser("reset-progress", help="set the progress that make-odd poisoned back")
    odd.add_argument("--dir", type=Path, required=True)

    odd = commands.add_parser("upgrade", help="let this version migrate a directory of make-odd")
    odd.add_argument("--dir", type=Path, required=True)

    crowd = commands.add_parser("make-crowd", help="create many small collections")
    crowd.add_argument("--out", type=Path, required=True)
    crowd.add_argument("--collections", type=int, required=True)
    crowd.add_argument("--records", type=int, required=True)
    crowd.add_argument("--prefix", required=True)

    crowd = commands.add_parser("use-crowd", help="say what they have")
    crowd.add_argument("--dir", type=Path, required=True)
    crowd.add_argument("--collections", type=int, required=True)

    leak = commands.add_parser("make-leak", help="create a collection that asks a service")
    leak.add_argument("--out", type=Path, required=True)
    leak.add_argument("--url", required=True)

    leak = commands.add_parser("use-leak", help="say what the service is told by a reader")
    leak.add_argument("--dir", type=Path, required=True)
    leak.add_argument("--url", required=True)

    places = commands.add_parser("make-places", help="create one collection in several databases")
    places.add_argument("--out", type=Path, required=True)
    places.add_argument("--place", action="append", required=True,
                        metavar="TENANT/DATABASE=PREFIX:COUNT")

    places = commands.add_parser("use-places", help="say what each has, and write to it")
    places.add_argument("--dir", type=Path, required=True)
    places.add_argument("--place", action="append", required=True, metavar="TENANT/DATABASE")

    sweep = commands.add_parser("sweep", help="merge deltas of all sizes")
    sweep.add_argument("--binary", type=Path, required=True, help="our binary")
    sweep.add_argument("--out", type=Path, required=True, help="a folder to work in")
    sweep.add_argument("--seed", type=int, required=True)
    sweep.add_argument("--all", action="store_true", help="not only the share of the tests")

    reopened = commands.add_parser("reopen-flushes", help="compare once more (used by flushes)")
    reopened.add_argument("--dir", type=Path, action="append", required=True)
    return top


def main() -> int:
    arguments = parser().parse_args()
    logging.disable(logging.WARNING)  # 0.x warns about every operation on an unknown id
    # Imported late so that --help works without chromadb.
    if arguments.command == "make-base":
        from .base import make_base as run
    elif arguments.command == "make-ghost-base":
        from .ghost import make_ghost_base as run
    elif arguments.command == "make-delta":
        from .delta import make_delta as run
    elif arguments.command == "make-reference":
        from .reference import make_reference as run
    elif arguments.command == "check":
        from .check import check as run
    elif arguments.command == "compare":
        from .check import compare_in_place as run
    elif arguments.command == "use-created":
        from .use_created import use_created as run
    elif arguments.command == "flushed":
        from .flushed import flushed as run
    elif arguments.command == "flushes":
        from .flushes import flushes as run
    elif arguments.command == "texts":
        from .texts import texts as run
    elif arguments.command == "make-odd":
        from .odd import make_odd as run
    elif arguments.command == "use-odd":
        from .odd import use_odd as run
    elif arguments.command == "reset-progress":
        from .odd import reset_progress as run
    elif arguments.command == "upgrade":
        from .odd import upgrade as run
    elif arguments.command == "make-crowd":
        from .crowd import make_crowd as run
    elif arguments.command == "use-crowd":
        from .crowd import use_crowd as run
    elif arguments.command == "make-leak":
        from .leak import make_leak as run
    elif arguments.command == "use-leak":
        from .leak import use_leak as run
    elif arguments.command == "make-places":
        from .places import make_places as run
    elif arguments.command == "use-places":
        from .places import use_places as run
    elif arguments.command == "sweep":
        from .sweep import sweep as run
    elif arguments.command == "reopen-flushes":
        from .flushes import reopen_flushes as run
    else:
        from .dump import dump as run
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
