//! The queue in SQLite.
//!
//! A message is one row. A receive moves its `visible_at` into the future and gives it a new receipt; a
//! caller with the row's receipt holds the message. The oldest by `visible_at` comes first. `hidden_at`
//! is the time at which `visible_at` was written: see [`clock_skew`](crate::clock_skew).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use compactor_core::ports::{
    Attributes, Clock, Delivery, Depth, Fault, Held, Ids, Monotonic, PortError, PortResult, Queue,
    Receipt, WallTime,
};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, Transaction, params, params_from_iter};

use crate::clock_skew::skewed_after;
use crate::coordination::{Database, integer, misread};

/// Whether a row of `messages` is visible, by `?1` and `?2` as [`moments`] gives them.
macro_rules! is_visible {
    () => {
        "(visible_at <= ?1 OR hidden_at > ?2)"
    };
}

/// How often a waiting receive looks again, since other processes cannot wake it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A message in the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The id that the message had in the queue.
    pub message_id: String,
    /// The body as it was sent.
    pub body: String,
    /// The attributes as they were sent.
    pub attributes: Attributes,
    /// How often the message was received.
    pub receive_count: u32,
    /// The reason why the message was given up.
    pub reason: String,
    /// When the message became a dead letter.
    pub died_at: WallTime,
}

/// The queue of a local backend, one for all collections, with its dead letters.
#[derive(Clone)]
pub struct SqliteQueue {
    database: Database,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    max_receives: u32,
}

impl SqliteQueue {
    pub(crate) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        max_receives: u32,
    ) -> Self {
        Self {
            database,
            clock,
            ids,
            max_receives,
        }
    }

    /// The newest `limit` dead letters, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn dead_letters(&self, limit: usize) -> PortResult<Vec<DeadLetter>> {
        let sql = "SELECT message_id, body, attributes, receive_count, reason, died_at
                   FROM dead_letters ORDER BY id DESC LIMIT ?1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .read("list dead letters", "", move |transaction| {
                transaction
                    .prepare_cached(sql)?
                    .query_map([limit], dead_letter)?
                    .collect()
            })
            .await
    }

    async fn anything_visible(&self) -> PortResult<bool> {
        let sql = concat!(
            "SELECT EXISTS (SELECT 1 FROM messages WHERE ",
            is_visible!(),
            ")"
        );
        let now = self.clock.wall();
        self.database
            .read("receive messages", "", move |transaction| {
                transaction
                    .prepare_cached(sql)?
                    .query_row(moments(now), |row| row.get(0))
            })
            .await
    }

    async fn take(&self, max: usize, visibility: Duration) -> PortResult<Vec<Delivery>> {
        let (now, max_receives) = (self.clock.wall(), self.max_receives);
        let receipts = (0..max)
            .map(|_| Receipt(self.ids.uuid().to_string()))
            .collect();
        self.database
            .write("receive messages", "", move |transaction| {
                bury_worn_out(transaction, now, max_receives)?;
                hand_out(transaction, receipts, now, now.plus(visibility))
            })
            .await
    }

    /// Runs `sql` on the message that `receipt` holds; `?1` is the receipt.
    async fn on_held(
        &self,
        operation: &'static str,
        receipt: &Receipt,
        sql: &'static str,
        others: &[WallTime],
    ) -> PortResult<Held> {
        let mut values = vec![Value::from(receipt.0.clone())];
        values.extend(others.iter().map(|time| Value::from(time.0)));
        let changed = self
            .database
            .write(operation, &receipt.0, move |transaction| {
                transaction
                    .prepare_cached(sql)?
                    .execute(params_from_iter(values))
            })
            .await?;
        Ok(if changed == 0 { Held::No } else { Held::Yes })
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn send(&self, body: &str, attributes: &Attributes) -> PortResult<String> {
        let sql = "INSERT INTO messages (message_id, body, attributes, visible_at, hidden_at)
                   VALUES (?1, ?2, ?3, ?4, ?4)";
        let message_id = self.ids.uuid().to_string();
        let (id, body, now) = (message_id.clone(), body.to_owned(), self.clock.wall().0);
        let attributes = attributes.clone();
        self.database
            .write("send message", &message_id, move |transaction| {
                let attributes = serde_json::to_string(&attributes).map_err(misread)?;
                transaction
                    .prepare_cached(sql)?
                    .execute(params![id, body, attributes, now])
            })
            .await?;
        Ok(message_id)
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>> {
        if !(1..=10).contains(&max) {
            let reason = format!("asked for {max} messages, 1 to 10 are allowed");
            return Err(PortError::new(
                "receive messages",
                "",
                Fault::Invalid,
                reason,
            ));
        }
        let end = Monotonic(self.clock.monotonic().0.saturating_add(wait));
        loop {
            // A read first keeps idle workers from queuing for the write lock.
            if self.anything_visible().await? {
                let deliveries = self.take(max, visibility).await?;
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
            }
            let left = end.0.saturating_sub(self.clock.monotonic().0);
            if left.is_zero() {
                return Ok(Vec::new());
            }
            self.clock.sleep(left.min(LOOK_EVERY)).await;
        }
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> PortResult<Held> {
        let sql = "UPDATE messages SET hidden_at = ?2, visible_at = ?3 WHERE receipt = ?1";
        let now = self.clock.wall();
        self.on_held("extend message", receipt, sql, &[now, now.plus(visibility)])
            .await
    }

    async fn release(&self, receipt: &Receipt, delay: Duration) -> PortResult<Held> {
        let sql = "UPDATE messages SET hidden_at = ?2, visible_at = ?3, receipt = NULL
                   WHERE receipt = ?1";
        let now = self.clock.wall();
        self.on_held("release message", receipt, sql, &[now, now.plus(delay)])
            .await
    }

    async fn delete(&self, receipt: &Receipt) -> PortResult<Held> {
        let sql = "DELETE FROM messages WHERE receipt = ?1";
        self.on_held("delete message", receipt, sql, &[]).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> PortResult<Held> {
        let (receipt, reason) = (delivery.receipt.0.clone(), reason.to_owned());
        let now = self.clock.wall();
        let buried = self
            .database
            .write(
                "dead-letter message",
                &delivery.receipt.0,
                move |transaction| {
                    let sql = "SELECT id FROM messages WHERE receipt = ?1";
                    let id = transaction
                        .query_row(sql, [receipt], |row| row.get(0))
                        .optional()?;
                    id.map(|id| bury(transaction, id, &reason, now)).transpose()
                },
            )
            .await?;
        Ok(if buried.is_some() {
            Held::Yes
        } else {
            Held::No
        })
    }

    async fn depth(&self) -> PortResult<Depth> {
        let sql = concat!(
            "SELECT
                count(*) FILTER (WHERE is_visible),
                count(*) FILTER (WHERE NOT is_visible AND receipt IS NULL),
                count(*) FILTER (WHERE NOT is_visible AND receipt IS NOT NULL),
                (SELECT count(*) FROM dead_letters)
             FROM (SELECT receipt, ",
            is_visible!(),
            " AS is_visible FROM messages)"
        );
        let now = self.clock.wall();
        self.database
            .read("count messages", "", move |transaction| {
                transaction
                    .prepare_cached(sql)?
                    .query_row(moments(now), |row| {
                        let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
                        Ok(Depth {
                            visible: count(0)?,
                            delayed: count(1)?,
                            in_flight: count(2)?,
                            dead: count(3)?,
                        })
                    })
            })
            .await
    }

    fn max_receives(&self) -> u32 {
        self.max_receives
    }
}

/// The values of `?1` and `?2` in [`is_visible`].
fn moments(now: WallTime) -> [i64; 2] {
    [now.0, skewed_after(now).0]
}

/// Makes dead letters of the messages that have no receive left and whose visibility has ended. A message
/// that is visible only because a clock was set back may still be in flight, and stays.
fn bury_worn_out(
    transaction: &Transaction<'_>,
    now: WallTime,
    max_receives: u32,
) -> rusqlite::Result<()> {
    let sql = "SELECT id FROM messages WHERE visible_at <= ?1 AND receive_count >= ?2 ORDER BY id";
    let mut statement = transaction.prepare_cached(sql)?;
    let ids = statement.query_map([now.0, i64::from(max_receives)], |row| row.get(0))?;
    let ids: Vec<i64> = ids.collect::<rusqlite::Result<_>>()?;
    let reason = format!("received {max_receives} times");
    ids.into_iter()
        .try_for_each(|id| bury(transaction, id, &reason, now))
}

fn bury(
    transaction: &Transaction<'_>,
    id: i64,
    reason: &str,
    now: WallTime,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO dead_letters
                   (message_id, body, attributes, receive_count, reason, died_at)
               SELECT message_id, body, attributes, receive_count, ?2, ?3
               FROM messages WHERE id = ?1";
    transaction.execute(sql, params![id, reason, now.0])?;
    transaction.execute("DELETE FROM messages WHERE id = ?1", [id])?;
    Ok(())
}

fn hand_out(
    transaction: &Transaction<'_>,
    receipts: Vec<Receipt>,
    now: WallTime,
    until: WallTime,
) -> rusqlite::Result<Vec<Delivery>> {
    let sql = concat!(
        "SELECT id, message_id, body, attributes, receive_count + 1 FROM messages WHERE ",
        is_visible!(),
        " ORDER BY min(visible_at, ?1), id LIMIT ?3"
    );
    let mut statement = transaction.prepare_cached(sql)?;
    let limit = integer(receipts.len() as u64)?;
    let [at, ahead] = moments(now);
    let rows = statement.query_map([at, ahead, limit], |row| {
        let delivery = Delivery {
            receipt: Receipt(String::new()),
            message_id: row.get(1)?,
            body: row.get(2)?,
            attributes: attributes(row, 3)?,
            receive_count: row.get(4)?,
            of_queue: None,
        };
        Ok((row.get::<_, i64>(0)?, delivery))
    })?;
    let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let sql = "UPDATE messages
               SET visible_at = ?2, receive_count = ?3, receipt = ?4, hidden_at = ?5 WHERE id = ?1";
    let mut update = transaction.prepare_cached(sql)?;
    let mut deliveries = Vec::with_capacity(rows.len());
    for ((id, delivery), receipt) in rows.into_iter().zip(receipts) {
        let count = delivery.receive_count;
        update.execute(params![id, until.0, count, receipt.0, now.0])?;
        deliveries.push(Delivery {
            receipt,
            ..delivery
        });
    }
    Ok(deliveries)
}

fn dead_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        message_id: row.get(0)?,
        body: row.get(1)?,
        attributes: attributes(row, 2)?,
        receive_count: row.get(3)?,
        reason: row.get(4)?,
        died_at: WallTime(row.get(5)?),
    })
}

fn attributes(row: &Row<'_>, column: usize) -> rusqlite::Result<Attributes> {
    let json: String = row.get(column)?;
    // A row that was written by hand becomes a message that cannot be understood.
    let found: serde_json::Map<_, _> = serde_json::from_str(&json).unwrap_or_default();
    let texts = found.into_iter();
    let texts = texts.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
    Ok(texts.collect())
}

impl std::fmt::Debug for SqliteQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteQueue")
            .field("max_receives", &self.max_receives)
            .finish_non_exhaustive()
    }
}
