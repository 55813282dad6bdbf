//! Run records in DynamoDB: the items of the Python producers, with three more attributes per collection
//! (`{c}_version`, `{c}_fence`, `{c}_ignored_operations`). A call changes only the attributes of
//! its collection and `updated_at`; it adds those of the whole run if the record lacks them.

mod item;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use compactor_core::ports::{Completion, Created, Failure, PortResult, RunStore, WallTime};
use compactor_core::{CollectionName, RunKey, RunRecord, RunState, Version};

use crate::attribute_values::{Item, address, null, number, text, text_of, time};
use crate::fault::{Repeat, port_error, unless_refused};
use item::{INDEX, INDEX_KEY, STATE, TYPE, from_item, head, partition, sort, to_item};

/// The condition that the part which a call changes is not COMPLETED.
const NOT_COMPLETED: &str = "attribute_not_exists(#state) OR #state <> :completed";

/// The run records in a DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoRunStore {
    client: Client,
    table: String,
}

/// An attribute of a part, without the collection's name in front.
type PartValue = (&'static str, AttributeValue);

impl DynamoRunStore {
    pub(crate) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Writes `values` to a part, unless it is COMPLETED, and `defaults` where the part has no value yet. A
    /// record that does not exist is made if its key is plain.
    async fn change(
        &self,
        operation: &'static str,
        key: &RunKey,
        collection: &CollectionName,
        at: WallTime,
        (values, defaults): (Vec<PartValue>, Vec<PartValue>),
    ) -> PortResult<()> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("PK", text(partition(key)))
            .key("SK", text(sort(key)))
            .condition_expression(match key.is_plain() {
                true => NOT_COMPLETED.to_owned(),
                // As in the Python writers: a deleted record stays deleted.
                false => format!("attribute_exists(PK) AND ({NOT_COMPLETED})"),
            })
            .expression_attribute_names("#state", format!("{collection}_{STATE}"))
            .expression_attribute_values(":completed", text(RunState::Completed.as_str()));
        let mut sets = Vec::new();
        for (name, value) in values {
            let (holder, bound) = (format!("#{name}"), format!(":{name}"));
            sets.push(format!("{holder} = {bound}"));
            update = update
                .expression_attribute_names(holder, format!("{collection}_{name}"))
                .expression_attribute_values(bound, value);
        }
        for (name, value) in defaults {
            let (holder, bound) = (format!("#{name}"), format!(":{name}"));
            sets.push(format!("{holder} = if_not_exists({holder}, {bound})"));
            update = update
                .expression_attribute_names(holder, format!("{collection}_{name}"))
                .expression_attribute_values(bound, value);
        }
        for (name, value) in head(key, at) {
            let (holder, bound) = (format!("#h_{name}"), format!(":h_{name}"));
            sets.push(format!("{holder} = if_not_exists({holder}, {bound})"));
            update = update
                .expression_attribute_names(holder, name)
                .expression_attribute_values(bound, value);
        }
        sets.push("updated_at = :at".to_owned());
        let changed = update
            .expression_attribute_values(":at", time(at))
            .update_expression(format!("SET {}", sets.join(", ")))
            .send()
            .await;
        match changed {
            Ok(_) => Ok(()),
            // COMPLETED is final, and a deleted record stays deleted.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(port_error(
                operation,
                &address(&self.table, key.run_id.as_str()),
                Repeat::Harmless,
                error,
            )),
        }
    }
}

#[async_trait]
impl RunStore for DynamoRunStore {
    async fn create(&self, record: &RunRecord) -> PortResult<Created> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(record)))
            .condition_expression("attribute_not_exists(PK)")
            .customize()
            // A retry of the SDK would find the record that the first attempt made.
            .config_override(once())
            .send()
            .await;
        let run = &address(&self.table, record.key.run_id.as_str());
        let is_new = unless_refused(put, |error| {
            port_error("create run", run, Repeat::Unknown, error)
        })?;
        Ok(if is_new {
            Created::New
        } else {
            Created::Existed
        })
    }

    async fn start(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        prefix: &str,
        at: WallTime,
    ) -> PortResult<()> {
        let values = vec![
            (STATE, text(RunState::Processing.as_str())),
            ("delta_prefix", text(prefix)),
            ("started_at", time(at)),
            ("finished_at", null()),
        ];
        let defaults = vec![("error", null()), ("merged_vectors", number(0))];
        self.change("start run", key, collection, at, (values, defaults))
            .await
    }

    async fn complete(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        completion: &Completion,
    ) -> PortResult<()> {
        let at = completion.at;
        let values = vec![
            (STATE, text(RunState::Completed.as_str())),
            ("finished_at", time(at)),
            ("error", null()),
            ("merged_vectors", number(completion.merged_vectors)),
            ("ignored_operations", number(completion.ignored_operations)),
            ("version", text(completion.version.as_str())),
            ("fence", number(completion.fence.0)),
        ];
        let defaults = vec![("started_at", null())];
        self.change("complete run", key, collection, at, (values, defaults))
            .await
    }

    async fn fail(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        failure: &Failure,
    ) -> PortResult<()> {
        let state = match failure.for_good {
            true => RunState::Failed,
            false => RunState::Pending,
        };
        let mut values = vec![
            (STATE, text(state.as_str())),
            ("error", text(&failure.error)),
        ];
        let mut defaults = vec![("started_at", null()), ("merged_vectors", number(0))];
        match failure.for_good {
            true => values.push(("finished_at", time(failure.at))),
            false => defaults.push(("finished_at", null())),
        }
        self.change("fail run", key, collection, failure.at, (values, defaults))
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
        let name = |attribute: &str| format!("{collection}_{attribute}");
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("PK", text(partition(key)))
            .key("SK", text(sort(key)))
            .update_expression(
                "SET #state = :failed, #error = :reason, #finished = :at, #merged = :none, \
                 updated_at = :at REMOVE #version, #fence, #ignored",
            )
            .condition_expression("#state = :completed AND #version = :version")
            .expression_attribute_names("#state", name(STATE))
            .expression_attribute_names("#error", name("error"))
            .expression_attribute_names("#finished", name("finished_at"))
            .expression_attribute_names("#merged", name("merged_vectors"))
            .expression_attribute_names("#version", name("version"))
            .expression_attribute_names("#fence", name("fence"))
            .expression_attribute_names("#ignored", name("ignored_operations"))
            .expression_attribute_values(":failed", text(RunState::Failed.as_str()))
            .expression_attribute_values(":completed", text(RunState::Completed.as_str()))
            .expression_attribute_values(":reason", text(reason))
            .expression_attribute_values(":at", time(at))
            .expression_attribute_values(":none", number(0))
            .expression_attribute_values(":version", text(version.as_str()))
            .send()
            .await;
        let run = &address(&self.table, key.run_id.as_str());
        unless_refused(update, |error| {
            port_error("retract run", run, Repeat::Harmless, error)
        })
    }

    async fn get(&self, key: &RunKey) -> PortResult<Option<RunRecord>> {
        let run = &address(&self.table, key.run_id.as_str());
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("PK", text(partition(key)))
            .key("SK", text(sort(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error("get run", run, Repeat::Harmless, error))?;
        got.item()
            .map(|item| from_item("get run", item))
            .transpose()
    }

    async fn list(&self, limit: usize) -> PortResult<Vec<RunRecord>> {
        let mut records = Vec::new();
        let mut next = None;
        while records.len() < limit {
            let left = i32::try_from(limit - records.len()).unwrap_or(i32::MAX);
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(INDEX)
                .key_condition_expression("GSI1PK = :runs")
                .expression_attribute_values(":runs", text(INDEX_KEY))
                .scan_index_forward(false)
                .limit(left)
                .set_exclusive_start_key(next)
                .send()
                .await
                .map_err(|error| port_error("list runs", &self.table, Repeat::Harmless, error))?;
            // Other programs may keep items of their own in the index.
            let is_run = |item: &&Item| text_of(item, "TYPE") == Some(TYPE);
            for item in page.items().iter().filter(is_run) {
                match from_item("list runs", item) {
                    Ok(record) => records.push(record),
                    // One damaged record must not hide all other runs.
                    Err(error) => {
                        tracing::warn!(code = error.code(), %error, "left a damaged run record out of the list");
                    }
                }
            }
            next = page.last_evaluated_key().cloned();
            if next.is_none() {
                break;
            }
        }
        Ok(records)
    }
}

fn once() -> aws_sdk_dynamodb::config::Builder {
    aws_sdk_dynamodb::config::Builder::new()
        .retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled())
}
