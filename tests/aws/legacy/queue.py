"""The queue's messages: received, put back, deleted (contract 2.2 to 2.5)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .clients import note

VISIBILITY = 900  # seconds, contract 2.1
CALL = 10  # most messages of one call


@dataclass(frozen=True)
class Message:
    """A message about a new run."""

    receipt: str
    timestamp: str
    run: dict[str, Any]


@dataclass
class Queue:
    sqs: Any
    url: str

    def receive(self, collection: str, most: int) -> list[Message]:
        """New runs of the collection, oldest first; what else comes is put back at the end."""
        received: list[dict[str, Any]] = []
        while len(received) < most:
            answer = self.sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=min(CALL, most - len(received)),
                WaitTimeSeconds=1, VisibilityTimeout=VISIBILITY, MessageAttributeNames=["All"])
            if not (messages := answer.get("Messages", [])):
                break
            received += messages
        taken: list[Message] = []
        others: list[str] = []
        for raw in received:
            message = parse(raw, collection)
            if message is None:
                others.append(raw["ReceiptHandle"])
            else:
                taken.append(message)
        self.put_back(others)
        return sorted(taken, key=lambda message: message.timestamp)

    def put_back(self, receipts: list[str]) -> None:
        """Makes messages visible again at once; if that fails, they will be after a while."""
        for start in range(0, len(receipts), CALL):
            entries = [{"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                       for n, receipt in enumerate(receipts[start:start + CALL])]
            try:
                answer = self.sqs.change_message_visibility_batch(QueueUrl=self.url,
                                                                  Entries=entries)
            except (ClientError, BotoCoreError) as error:
                note(f"messages stay invisible: {error}")
                continue
            if failed := answer.get("Failed"):
                note(f"messages stay invisible: {failed}")

    def delete(self, receipts: list[str]) -> None:
        for start in range(0, len(receipts), CALL):
            entries = [{"Id": str(n), "ReceiptHandle": receipt}
                       for n, receipt in enumerate(receipts[start:start + CALL])]
            answer = self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
            if failed := answer.get("Failed"):
                note(f"messages were not deleted: {failed}")


def parse(raw: dict[str, Any], collection: str) -> Message | None:
    """None for everything but a new run of this collection."""
    attribute = raw.get("MessageAttributes", {}).get("collection", {}).get("StringValue", "lines")
    try:
        body = json.loads(raw["Body"])
    except json.JSONDecodeError:
        return None
    if not isinstance(body, dict) or attribute != collection:
        return None
    if (body.get("entity_type"), body.get("event_name")) != ("COMPACTION_RUN", "INSERT"):
        return None
    return Message(raw["ReceiptHandle"], body.get("timestamp") or "", body.get("entity_data") or {})
