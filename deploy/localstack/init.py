"""Make the bucket, the queues and the table that a daemon needs, on an emulator of AWS.

Existing resources are left alone. The script needs only botocore, which every emulator's image has.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

PATIENCE = 60.0  # seconds until the endpoint must answer
DAY = 24 * 60 * 60
MISSING = {
    "404",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
}


def main() -> None:
    options = parse_options()
    try:
        s3, sqs, dynamodb = (client(options, name) for name in ("s3", "sqs", "dynamodb"))
        wait_for_answer(s3)
        make_bucket(s3, options.name, options.region)
        make_queues(sqs, options.name)
        make_table(dynamodb, options.name)
    except (BotoCoreError, ClientError, ResponseParserError, ValueError) as error:
        sys.exit(f"{options.endpoint}: {one_line(error)}")


def parse_options() -> argparse.Namespace:
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or "http://localhost:4566"
    region = os.environ.get("AWS_REGION") or "us-east-1"
    parser = argparse.ArgumentParser(description="Make bucket, queues and table on an emulator.")
    parser.add_argument("--endpoint", default=endpoint, help="default: %(default)s")
    parser.add_argument("--region", default=region, help="default: %(default)s")
    parser.add_argument(
        "--name",
        default="chroma-compactor",
        help="what the resources' names begin with; default: %(default)s",
    )
    return parser.parse_args()


def client(options: argparse.Namespace, service: str) -> Any:
    return botocore.session.get_session().create_client(
        service,
        region_name=options.region,
        endpoint_url=options.endpoint,
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID") or "test",
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY") or "test",
        aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
        config=Config(
            connect_timeout=5,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},  # emulators have no host names for buckets
        ),
    )


def wait_for_answer(s3: Any) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            s3.list_buckets()
            return
        except BotoCoreError:  # no answer; a refusal is a ClientError
            if time.monotonic() >= end:
                raise
            time.sleep(1)


def make_bucket(s3: Any, name: str, region: str) -> None:
    there = look_up(s3.head_bucket, Bucket=name)
    if not there:
        # S3 refuses us-east-1 as a constraint, and requires one for every other region.
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **({} if region == "us-east-1" else elsewhere))
    report(f"bucket {name}", there)


def make_queues(sqs: Any, name: str) -> None:
    dead = make_queue(sqs, f"{name}-dlq", {"MessageRetentionPeriod": str(14 * DAY)})
    asked = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": "5"}
    attributes = {
        "ReceiveMessageWaitTimeSeconds": "20",
        "RedrivePolicy": json.dumps(redrive),
        "VisibilityTimeout": "60",
    }
    make_queue(sqs, name, attributes)


def make_queue(sqs: Any, name: str, attributes: dict[str, str]) -> str:
    there = look_up(sqs.get_queue_url, QueueName=name)
    queue = there or sqs.create_queue(QueueName=name, Attributes=attributes)
    report(f"queue {name}", there)
    return queue["QueueUrl"]


def make_table(dynamodb: Any, name: str) -> None:
    there = look_up(dynamodb.describe_table, TableName=name)
    if not there:
        attributes = ("PK", "SK", "GSI1PK", "GSI1SK")
        index = {
            "IndexName": "GSI1",
            "KeySchema": keys("GSI1PK", "GSI1SK"),
            "Projection": {"ProjectionType": "ALL"},
        }
        dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": a, "AttributeType": "S"} for a in attributes],
            KeySchema=keys("PK", "SK"),
            GlobalSecondaryIndexes=[index],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
    waiter = dynamodb.get_waiter("table_exists")
    waiter.wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    report(f"table {name}", there)


def keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def look_up(call: Callable[..., dict[str, Any]], **arguments: str) -> dict[str, Any] | None:
    """Return the answer, or None if the resource does not exist."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING:
            return None
        raise


def report(what: str, there: object) -> None:
    print(f"{what}: {'was there' if there else 'made'}", flush=True)


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    main()
