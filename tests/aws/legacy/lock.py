"""The lock item (contract 3.2)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .clients import iso, note, now

LEASE = timedelta(minutes=3)


@dataclass
class Lock:
    """One attempt to hold the lock of a collection; the owner is new each time."""

    dynamodb: Any
    table: str
    collection: str
    lock_id: str
    owner: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def key(self) -> dict[str, Any]:
        return {"PK": {"S": f"LOCK#{self.collection}#{self.lock_id}"}, "SK": {"S": "LOCK"}}

    def item(self, heartbeat: datetime | None) -> dict[str, Any]:
        expires = iso(now() + LEASE)
        return self.key | {
            "GSI1PK": {"S": f"LOCK#{self.collection}"},
            "GSI1SK": {"S": f"EXPIRES#{expires}"},
            "TYPE": {"S": "COMPACTION_LOCK"},
            "owner": {"S": self.owner},
            "expires": {"S": expires},
            "collection": {"S": self.collection},
            "heartbeat": {"S": iso(heartbeat)} if heartbeat else {"NULL": True},
        }

    def acquire(self) -> bool:
        """One try. Every failure counts as busy, as in the Python system."""
        try:
            self.dynamodb.put_item(
                TableName=self.table, Item=self.item(None),
                ConditionExpression="attribute_not_exists(PK) OR expires < :now",
                ExpressionAttributeValues={":now": {"S": iso(now())}})
        except (ClientError, BotoCoreError) as error:
            note(f"the lock was not acquired: {error}")
            return False
        return True

    def beat(self) -> None:
        """Renews the lease. The condition does not look at the owner; is_ours() does."""
        try:
            self.dynamodb.put_item(
                TableName=self.table, Item=self.item(now()),
                ConditionExpression="attribute_exists(PK) AND attribute_exists(SK)")
        except (ClientError, BotoCoreError) as error:
            note(f"the lock was not renewed: {error}")

    def is_ours(self) -> bool:
        """Eventually consistent, as in the Python system."""
        item = self.dynamodb.get_item(TableName=self.table, Key=self.key).get("Item", {})
        owner, expires = (item.get(name, {}).get("S", "") for name in ("owner", "expires"))
        return bool(owner == self.owner and expires > iso(now()))

    def release(self) -> None:
        try:
            self.dynamodb.delete_item(
                TableName=self.table, Key=self.key, ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": self.owner}})
        except (ClientError, BotoCoreError) as error:
            note(f"the lock was not released: {error}")
