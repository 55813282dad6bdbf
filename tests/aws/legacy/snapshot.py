"""Snapshots in S3: where they are, how one is downloaded, uploaded and published.

Keys as in contract 1.1, the order of the steps as in 1.3.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from . import files
from .clients import TRANSFER, is_missing, now


class SnapshotMissing(Exception):
    """The pointer names a version of which there is nothing."""


def new_version() -> str:
    """Time and eight random digits (contract 1.2)."""
    return f"{now():%Y%m%d_%H%M%S_%f}_{uuid.uuid4().hex[:8]}"


@dataclass
class Snapshots:
    """The snapshots of one collection."""

    s3: Any
    bucket: str
    collection: str

    @property
    def pointer_key(self) -> str:
        return f"{self.collection}/snapshot/latest-pointer.txt"

    @property
    def versions_prefix(self) -> str:
        return f"{self.collection}/snapshot/timestamped/"

    def prefix(self, version: str) -> str:
        return f"{self.versions_prefix}{version}/"

    def pointer(self) -> str | None:
        """The version published last."""
        try:
            found = self.s3.get_object(Bucket=self.bucket, Key=self.pointer_key)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return str(found["Body"].read().decode().strip())

    def download(self, directory: Path) -> str | None:
        """Downloads what the pointer names; none if there is no pointer.

        The Python system publishes an empty version in that case, even when it only reads
        (contract 1.6). This one leaves the bucket as it is.
        """
        directory.mkdir(parents=True, exist_ok=True)
        version = self.pointer()
        if version is None:
            return None
        prefix = self.prefix(version)
        if files.download_archive(self.s3, self.bucket, f"{prefix}snapshot.tar.gz", directory):
            return version
        if not files.download_objects(self.s3, self.bucket, prefix, directory):
            raise SnapshotMissing(f"No objects found at s3://{self.bucket}/{prefix}")
        return version

    def upload(self, directory: Path, version: str, layout: str, metadata: dict[str, str]) -> None:
        """Uploads all objects of a version; no reader sees them before the pointer names it."""
        prefix = self.prefix(version)
        if layout == "files":
            text = files.upload_objects(self.s3, self.bucket, prefix, directory, metadata)
        else:
            text = self.upload_archive(directory, f"{prefix}snapshot.tar.gz", metadata)
        self.s3.put_object(Bucket=self.bucket, Key=prefix + files.HASH, Body=text.encode(),
                           ContentType="text/plain", Metadata=metadata)

    def upload_archive(self, directory: Path, key: str, metadata: dict[str, str]) -> str:
        """Returns the text of the hash object: the digest of the archive (contract 1.4)."""
        archive = directory.with_name(f"{directory.name}.new.tar.gz")
        files.pack(directory, archive)
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        extra = {"ContentType": "application/gzip", "Metadata": metadata}
        self.s3.upload_file(str(archive), self.bucket, key, ExtraArgs=extra, Config=TRANSFER)
        archive.unlink()
        return f"md5:{digest}"

    def publish(self, version: str, metadata: dict[str, str]) -> None:
        """Puts the pointer. There is no condition: the last writer wins (contract 1.3)."""
        self.s3.put_object(Bucket=self.bucket, Key=self.pointer_key, Body=version.encode(),
                           ContentType="text/plain", Metadata=metadata)

    def delete(self, version: str) -> None:
        files.delete_prefix(self.s3, self.bucket, self.prefix(version))

    def retain(self, keep: int) -> None:
        """Deletes all but the `keep` newest, without a look at the pointer (contract 1.7)."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.versions_prefix, Delimiter="/")
        found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        for prefix in sorted(found, reverse=True)[keep:]:
            files.delete_prefix(self.s3, self.bucket, prefix)
