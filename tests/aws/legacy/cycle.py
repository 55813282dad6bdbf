"""cycle: everything between the receipt of messages and their deletion (contract 4.1)."""

from __future__ import annotations

import json
import tempfile
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from . import chroma, deltas, runs
from .clients import code, connect, note
from .lock import Lock
from .queue import Message, Queue
from .snapshot import SnapshotMissing, Snapshots, new_version

PATIENCE = 60.0  # seconds for --pause
GAVE_UP = 3  # exit code


class Unpublished(Exception):
    """The pointer was not moved; `answer` is printed."""

    def __init__(self, answer: dict[str, Any], status: int = 0) -> None:
        super().__init__(answer)
        self.answer = answer
        self.status = status


@dataclass
class Merged:
    """What became of the messages."""

    records: dict[str, int]  # by the message's receipt; only runs that were merged
    done: list[Message]


def cycle(arguments: Namespace) -> int:
    """One cycle; the time of `total` begins when the messages are there."""
    queue = Queue(connect("sqs", arguments.endpoint), arguments.queue_url)
    messages = queue.receive(arguments.collection, arguments.batch)
    if not messages:
        return answer({"merged": 0, "version": None})
    began = time.monotonic()
    lock = Lock(connect("dynamodb", arguments.endpoint), arguments.table, arguments.collection,
                arguments.lock_id.replace("{c}", arguments.collection))
    left = [message.receipt for message in messages]
    if not lock.acquire():
        queue.put_back(left)
        return answer({"busy": True})
    try:
        with tempfile.TemporaryDirectory(prefix=f"chroma-{arguments.collection}-") as scratch:
            result, done = compact(arguments, messages, lock, Path(scratch))
        queue.delete([message.receipt for message in done])
        left = [receipt for receipt in left if receipt not in {m.receipt for m in done}]
    except Unpublished as reason:
        return answer(reason.answer, reason.status)
    except SnapshotMissing as error:
        return answer({"error": str(error)}, 1)
    finally:
        lock.release()
        queue.put_back(left)
    result["seconds"]["total"] = since(began)
    return answer(result)


def compact(arguments: Namespace, messages: list[Message], lock: Lock,
            scratch: Path) -> tuple[dict[str, Any], list[Message]]:
    """Everything under the lock; returns the answer and the messages that are done."""
    s3 = connect("s3", arguments.endpoint)
    snapshots = Snapshots(s3, arguments.bucket, arguments.collection)
    began = time.monotonic()
    directory = scratch / "snapshot"
    snapshots.download(directory)
    seconds = {"download": since(began)}

    began = time.monotonic()
    merged = merge(s3, arguments, messages, directory)
    seconds["merge"] = since(began)

    began = time.monotonic()
    metadata = {"update_type": "batch_compaction", "message_count": str(len(messages)),
                "metadata_updates": "0", "label_updates": "0", "section_updates": "0",
                "delta_merges": str(len(merged.records))}
    version = publish(snapshots, directory, arguments, lock, metadata)
    seconds["upload"] = since(began)

    try:
        snapshots.retain(arguments.keep)
    except (ClientError, BotoCoreError) as error:
        note(f"old versions were not deleted: {error}")
    for message in merged.done:
        if message.receipt in merged.records:
            runs.complete(lock.dynamodb, arguments.table, message.run, arguments.collection,
                          merged.records[message.receipt])
    return {"merged": sum(merged.records.values()), "runs": len(merged.records),
            "version": version, "seconds": seconds}, merged.done


def merge(s3: Any, arguments: Namespace, messages: list[Message], directory: Path) -> Merged:
    """Merges each delta from a directory of its own; one that fails does not stop the others."""
    merged = Merged({}, [])
    with chroma.session(directory) as client:
        target = chroma.collection_of_snapshot(client, arguments.collection)
        for number, message in enumerate(messages):
            location = message.run.get("delta_s3_prefix")
            if not location:  # acknowledged, but not counted (contract 4.3)
                note(f"run {message.run.get('run_id')} has no delta")
                merged.done.append(message)
                continue
            delta = directory.with_name(f"delta_{number}")
            try:
                deltas.download(s3, arguments.bucket, location, delta)
                records = deltas.merge(delta, target)
            except Exception as error:  # whatever is wrong with it, it is tried again later
                note(f"delta {location} failed: {type(error).__name__}: {error}")
                continue
            merged.records[message.receipt] = records
            merged.done.append(message)
    return merged


def publish(snapshots: Snapshots, directory: Path, arguments: Namespace, lock: Lock,
            metadata: dict[str, str]) -> str:
    """Uploads a version and puts the pointer, in the order of contract 1.3."""
    lock.beat()
    if not lock.is_ours():
        raise Unpublished({"lost": "Lock validation failed before snapshot upload"})
    version = new_version()
    try:
        snapshots.upload(directory, version, arguments.layout, metadata)
        if not lock.is_ours():
            raise Unpublished({"lost": "Lock validation failed before atomic promotion"})
        if arguments.pause:
            pause(arguments.pause)
        try:
            snapshots.publish(version, metadata)
        except ClientError as error:
            raise Unpublished({"refused": code(error)}) from error
    except Unpublished:
        snapshots.delete(version)
        raise
    return version


def pause(directory: Path) -> None:
    """Says that the pointer is next, and waits for the file `go`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ready").touch()
    deadline = time.monotonic() + PATIENCE
    while not (directory / "go").exists():
        if time.monotonic() > deadline:
            raise Unpublished({"paused": "nobody said go"}, GAVE_UP)
        time.sleep(0.05)


def since(began: float) -> float:
    return round(time.monotonic() - began, 3)


def answer(result: dict[str, Any], status: int = 0) -> int:
    print(json.dumps(result))
    return status
