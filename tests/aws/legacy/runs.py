"""The run item: what the compactor writes into it (contract 3.3)."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .clients import iso, note, now


def complete(dynamodb: Any, table: str, run: dict[str, Any], collection: str,
             merged: int) -> None:
    """Marks one collection of a run as completed; a failure is noted and that is all."""
    at = {"S": iso(now())}
    try:
        key = {"PK": {"S": f"IMAGE#{run['image_id']}"},
               "SK": {"S": f"RECEIPT#{int(run['receipt_id']):05d}#COMPACTION_RUN#{run['run_id']}"}}
        dynamodb.update_item(
            TableName=table, Key=key,
            UpdateExpression="SET #state = :state, #finished = :at, #merged = :merged, "
                             "updated_at = :at",
            ConditionExpression="attribute_exists(PK) AND attribute_exists(SK)",
            ExpressionAttributeNames={"#state": f"{collection}_state",
                                      "#finished": f"{collection}_finished_at",
                                      "#merged": f"{collection}_merged_vectors"},
            ExpressionAttributeValues={":state": {"S": "COMPLETED"}, ":at": at,
                                       ":merged": {"N": str(merged)}})
    except (ClientError, BotoCoreError, LookupError, ValueError, TypeError) as error:
        note(f"run {run.get('run_id')} was not marked: {error}")
