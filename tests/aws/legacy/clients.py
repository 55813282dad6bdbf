"""Clients of the three services, and what every module needs around them."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

MIB = 1024 * 1024
# Contract 1.9.
TRANSFER = TransferConfig(max_concurrency=10, multipart_threshold=8 * MIB,
                          multipart_chunksize=16 * MIB)
# Files that are transferred at the same time (contract 1.9).
THREADS = 8


def connect(service: str, endpoint: str) -> Any:
    """A client with the credentials and the region of the environment."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    config = Config(s3={"addressing_style": "path"}, max_pool_connections=THREADS * 10)
    return boto3.client(service, endpoint_url=endpoint, region_name=region, config=config)


def code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def is_missing(error: ClientError) -> bool:
    """HEAD has no body, so its code is the bare status."""
    return code(error) in ("404", "NoSuchKey", "NotFound")


def iso(moment: datetime) -> str:
    """The only form that sorts as text: always microseconds, always +00:00 (contract 3.2)."""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def now() -> datetime:
    return datetime.now(timezone.utc)


def note(text: str) -> None:
    """For people; standard output has the result only."""
    print(text, file=sys.stderr)
