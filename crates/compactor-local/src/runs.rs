//! Run records in SQLite.
//!
//! A call reads the record, applies the domain's transition and writes the one part that changed, all in
//! one transaction. [`RunRecord`] has the rules.

use async_trait::async_trait;
use compactor_core::ports::{Completion, Created, Failure, PortResult, RunStore, WallTime};
use compactor_core::{CollectionName, Fence, RunKey, RunPart, RunRecord, RunState, Version};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::coordination::{Database, integer, misread};

/// The run records of a local backend.
#[derive(Debug, Clone)]
pub struct SqliteRunStore {
    database: Database,
}

impl SqliteRunStore {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn change(
        &self,
        operation: &'static str,
        key: &RunKey,
        collection: &CollectionName,
        at: WallTime,
        transition: impl FnOnce(&mut RunRecord, &CollectionName) + Send + 'static,
    ) -> PortResult<()> {
        let (target, collection, key) = (key.run_id.as_str(), collection.clone(), key.clone());
        self.database
            .write(operation, target, move |transaction| {
                let mut record = match load(transaction, &key)? {
                    Some(record) => record,
                    None if key.is_plain() => RunRecord::new(key, [], at),
                    None => return Ok(()),
                };
                transition(&mut record, &collection);
                save_head(transaction, &record)?;
                match record.parts.get(&collection) {
                    Some(part) => save_part(transaction, &record.key, &collection, part),
                    None => Ok(()),
                }
            })
            .await
    }
}

#[async_trait]
impl RunStore for SqliteRunStore {
    async fn create(&self, record: &RunRecord) -> PortResult<Created> {
        let (target, record) = (record.key.run_id.as_str(), record.clone());
        self.database
            .write("create run", target, move |transaction| {
                if load(transaction, &record.key)?.is_some() {
                    return Ok(Created::Existed);
                }
                save_head(transaction, &record)?;
                for (collection, part) in &record.parts {
                    save_part(transaction, &record.key, collection, part)?;
                }
                Ok(Created::New)
            })
            .await
    }

    async fn start(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        prefix: &str,
        at: WallTime,
    ) -> PortResult<()> {
        let prefix = prefix.to_owned();
        let transition = move |record: &mut RunRecord, collection: &CollectionName| {
            record.start(collection, &prefix, at);
        };
        self.change("start run", key, collection, at, transition)
            .await
    }

    async fn complete(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        completion: &Completion,
    ) -> PortResult<()> {
        let (at, completion) = (completion.at, completion.clone());
        let transition = move |record: &mut RunRecord, collection: &CollectionName| {
            record.complete(collection, &completion);
        };
        self.change("complete run", key, collection, at, transition)
            .await
    }

    async fn fail(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        failure: &Failure,
    ) -> PortResult<()> {
        let (at, failure) = (failure.at, failure.clone());
        let transition = move |record: &mut RunRecord, collection: &CollectionName| {
            record.fail(collection, &failure);
        };
        self.change("fail run", key, collection, at, transition)
            .await
    }

    async fn retract(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        version: &Version,
        reason: &str,
        at: WallTime,
    ) -> PortResult<bool> {
        let (target, key, collection) = (key.run_id.as_str(), key.clone(), collection.clone());
        let (version, reason) = (version.clone(), reason.to_owned());
        self.database
            .write("retract run", target, move |transaction| {
                let Some(mut record) = load(transaction, &key)? else {
                    return Ok(false);
                };
                let retracted = record.retract(&collection, &version, &reason, at);
                if retracted {
                    save_head(transaction, &record)?;
                    save_part(transaction, &key, &collection, &record.parts[&collection])?;
                }
                Ok(retracted)
            })
            .await
    }

    async fn get(&self, key: &RunKey) -> PortResult<Option<RunRecord>> {
        let (target, key) = (key.run_id.as_str(), key.clone());
        self.database
            .read("get run", target, move |transaction| {
                load(transaction, &key)
            })
            .await
    }

    async fn list(&self, limit: usize) -> PortResult<Vec<RunRecord>> {
        let sql = "SELECT run_id, image_id, receipt_id FROM runs
                   ORDER BY created_at DESC, run_id DESC, image_id DESC, receipt_id DESC LIMIT ?1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .read("list runs", "", move |transaction| {
                let mut statement = transaction.prepare_cached(sql)?;
                let keys = statement.query_map([limit], run_key)?;
                keys.filter_map(|key| key.and_then(|key| load(transaction, &key)).transpose())
                    .collect()
            })
            .await
    }
}

fn run_key(row: &Row<'_>) -> rusqlite::Result<RunKey> {
    let run_id: String = row.get(0)?;
    Ok(RunKey {
        run_id: run_id.parse().map_err(misread)?,
        image_id: row.get(1)?,
        receipt_id: row.get::<_, i64>(2)?.unsigned_abs(),
    })
}

fn load(transaction: &Transaction<'_>, key: &RunKey) -> rusqlite::Result<Option<RunRecord>> {
    let head = "SELECT created_at, updated_at FROM runs
                WHERE run_id = ?1 AND image_id = ?2 AND receipt_id = ?3";
    let parts = "SELECT collection, prefix, state, started_at, finished_at, error, merged_vectors,
                        version, fence, ignored_operations
                 FROM run_parts WHERE run_id = ?1 AND image_id = ?2 AND receipt_id = ?3";
    let values = params![key.run_id.as_str(), key.image_id, integer(key.receipt_id)?];
    let times = transaction
        .prepare_cached(head)?
        .query_row(values, |row| {
            Ok((WallTime(row.get(0)?), WallTime(row.get(1)?)))
        })
        .optional()?;
    let Some((created_at, updated_at)) = times else {
        return Ok(None);
    };
    let mut statement = transaction.prepare_cached(parts)?;
    let parts = statement
        .query_map(values, part)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(RunRecord {
        key: key.clone(),
        created_at,
        updated_at,
        parts,
    }))
}

fn part(row: &Row<'_>) -> rusqlite::Result<(CollectionName, RunPart)> {
    let collection: String = row.get(0)?;
    let state: String = row.get(2)?;
    let version: Option<String> = row.get(7)?;
    let part = RunPart {
        prefix: row.get(1)?,
        state: RunState::parse(&state)
            .ok_or_else(|| misread(std::io::Error::other(format!("unknown state {state:?}"))))?,
        started_at: row.get::<_, Option<i64>>(3)?.map(WallTime),
        finished_at: row.get::<_, Option<i64>>(4)?.map(WallTime),
        error: row.get(5)?,
        merged_vectors: row.get::<_, i64>(6)?.unsigned_abs(),
        version: version
            .map(Version::try_from)
            .transpose()
            .map_err(misread)?,
        fence: row
            .get::<_, Option<i64>>(8)?
            .map(|fence| Fence(fence.unsigned_abs())),
        ignored_operations: row.get::<_, i64>(9)?.unsigned_abs(),
    };
    Ok((collection.parse().map_err(misread)?, part))
}

fn save_head(transaction: &Transaction<'_>, record: &RunRecord) -> rusqlite::Result<()> {
    let sql = "INSERT INTO runs (run_id, image_id, receipt_id, created_at, updated_at)
               VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT DO UPDATE SET updated_at = excluded.updated_at";
    let key = &record.key;
    transaction.prepare_cached(sql)?.execute(params![
        key.run_id.as_str(),
        key.image_id,
        integer(key.receipt_id)?,
        record.created_at.0,
        record.updated_at.0,
    ])?;
    Ok(())
}

fn save_part(
    transaction: &Transaction<'_>,
    key: &RunKey,
    collection: &CollectionName,
    part: &RunPart,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO run_parts
                   (run_id, image_id, receipt_id, collection, prefix, state, started_at,
                    finished_at, error, merged_vectors, version, fence, ignored_operations)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    transaction.prepare_cached(sql)?.execute(params![
        key.run_id.as_str(),
        key.image_id,
        integer(key.receipt_id)?,
        collection.as_str(),
        part.prefix,
        part.state.as_str(),
        part.started_at.map(|at| at.0),
        part.finished_at.map(|at| at.0),
        part.error,
        integer(part.merged_vectors)?,
        part.version.as_ref().map(Version::as_str),
        part.fence.map(|fence| integer(fence.0)).transpose()?,
        integer(part.ignored_operations)?,
    ])?;
    Ok(())
}
