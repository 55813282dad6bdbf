"""Directories in S3: as one archive, or as one object per file."""

from __future__ import annotations

import hashlib
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

from botocore.exceptions import BotoCoreError, ClientError

from .clients import THREADS, TRANSFER, code, is_missing, note

HASH = ".snapshot_hash"


def pack(directory: Path, archive: Path) -> None:
    """Members are named as in `./chroma.sqlite3` (contract 1.5)."""
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory, arcname=".")


def unpack(archive: Path, directory: Path) -> None:
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(directory, filter="data")


def download_archive(s3: Any, bucket: str, key: str, directory: Path) -> bool:
    """Downloads and unpacks; false if there is no such object."""
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    directory.mkdir(parents=True, exist_ok=True)
    archive = directory.with_name(f"{directory.name}.tar.gz")
    s3.download_file(bucket, key, str(archive), Config=TRANSFER)
    unpack(archive, directory)
    archive.unlink()
    return True


def list_objects(s3: Any, bucket: str, prefix: str) -> list[tuple[str, int]]:
    """Keys and sizes."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [(found["Key"], found["Size"]) for page in pages for found in page.get("Contents", [])]


def download_objects(s3: Any, bucket: str, prefix: str, directory: Path) -> int:
    """Downloads everything below the prefix, which ends with a slash; returns how many files.

    The Python system lists deltas without that slash and so takes in siblings whose name
    begins alike (contract 1.5). Ids are uuids, so that cannot matter to a test.
    """
    wanted: list[tuple[str, int, Path]] = []
    for key, size in list_objects(s3, bucket, prefix):
        name = key.removeprefix(prefix)
        if not name or name.endswith("/") or name == HASH:
            continue
        target = directory / name
        if not target.resolve().is_relative_to(directory.resolve()):
            note(f"skipped an unsafe key: {key}")
            continue
        wanted.append((key, size, target))

    def one(item: tuple[str, int, Path]) -> None:
        key, size, target = item
        target.parent.mkdir(parents=True, exist_ok=True)
        patiently(lambda: s3.download_file(bucket, key, str(target), Config=TRANSFER))
        if target.stat().st_size != size:
            raise RuntimeError(f"{key} is not as long as listed")

    in_parallel(one, wanted)
    return len(wanted)


def upload_objects(s3: Any, bucket: str, prefix: str, directory: Path,
                   metadata: dict[str, str]) -> str:
    """Uploads one object per file; returns the hash of the uncompressed form (contract 1.4)."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    digest = hashlib.md5()
    for path in files:  # in the order of the listing, with the time: that is how it is defined
        status = path.stat()
        name = path.relative_to(directory).as_posix()
        digest.update(f"{name}:{status.st_size}:{status.st_mtime}".encode())

    def one(path: Path) -> None:
        key = prefix + path.relative_to(directory).as_posix()
        s3.upload_file(str(path), bucket, key, ExtraArgs={"Metadata": metadata}, Config=TRANSFER)

    in_parallel(one, files)
    return f"md5:{digest.hexdigest()}"


def delete_prefix(s3: Any, bucket: str, prefix: str) -> None:
    keys = [key for key, _ in list_objects(s3, bucket, prefix)]
    for start in range(0, len(keys), 1000):
        objects = [{"Key": key} for key in keys[start:start + 1000]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


def in_parallel(one: Callable[[Any], None], items: list[Any]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, items))


def patiently(attempt: Callable[[], None]) -> None:
    """Three tries, 1 s and 2 s apart; none again for what cannot get better (contract 1.9)."""
    for pause in (1.0, 2.0):
        try:
            return attempt()
        except ClientError as error:
            if is_missing(error) or code(error) in ("NoSuchBucket", "AccessDenied", "403"):
                raise
        except BotoCoreError:
            pass
        time.sleep(pause)
    attempt()
