"""Command line of the Python compactor: one cycle, one read, or a look at the table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Callable


def at_least(least: int) -> Callable[[str], int]:
    """Parses a whole number that is not too small."""
    def parse(text: str) -> int:
        if (number := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{number} is less than {least}")
        return number
    return parse


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="legacy", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    cycle = commands.add_parser("cycle", help="receive, merge and publish once")
    cycle.add_argument("--endpoint", required=True, help="address of S3, SQS and DynamoDB")
    cycle.add_argument("--bucket", required=True)
    cycle.add_argument("--table", required=True)
    cycle.add_argument("--queue-url", required=True)
    cycle.add_argument("--collection", required=True)
    cycle.add_argument("--batch", type=at_least(1), default=10, help="most messages to receive")
    cycle.add_argument("--lock-id", default="chroma-{c}-compaction",
                       help="{c} stands for the collection")
    cycle.add_argument("--pause", type=Path, metavar="DIR",
                       help="before the pointer is put, create DIR/ready and wait for DIR/go")
    cycle.add_argument("--layout", choices=("archive", "files"), default="archive")
    cycle.add_argument("--keep", type=at_least(1), default=4, help="versions that retention keeps")

    read = commands.add_parser("read", help="write all records of the published snapshot as JSON")
    read.add_argument("--endpoint", required=True)
    read.add_argument("--bucket", required=True)
    read.add_argument("--collection", required=True)
    read.add_argument("--out", type=Path, required=True)

    watch = commands.add_parser("watch", help="read until standard input ends; fail on a loss")
    watch.add_argument("--root", type=Path, help="a folder with the objects, instead of a bucket")
    watch.add_argument("--endpoint")
    watch.add_argument("--bucket")
    watch.add_argument("--collection", required=True)
    watch.add_argument("--runs", type=Path, required=True)
    watch.add_argument("--out", type=Path, required=True)

    entities = commands.add_parser("entities", help="parse every lock and run item strictly")
    entities.add_argument("--endpoint", required=True)
    entities.add_argument("--table", required=True)
    return top


def main() -> int:
    arguments = parser().parse_args()
    # Imported late so that --help works without chromadb, and entities does not load it.
    if arguments.command == "cycle":
        from .cycle import cycle as run
    elif arguments.command == "read":
        from .reader import read as run
    elif arguments.command == "watch":
        from .watch import watch as run
    else:
        from .entities import entities as run
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
