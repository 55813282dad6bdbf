//! The item of a run record: its keys, its attributes, and how they are read back.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use compactor_core::ports::{Fault, PortError, PortResult, WallTime};
use compactor_core::{CollectionName, Fence, RunKey, RunPart, RunRecord, RunState};

use crate::attribute_values::{Item, null, number, number_of, text, text_of, time, time_of};

pub(super) const TYPE: &str = "COMPACTION_RUN";
pub(super) const INDEX: &str = "GSI1";
pub(super) const INDEX_KEY: &str = "RUNS";
pub(super) const STATE: &str = "state";

/// The partition key of a record.
pub(super) fn partition(key: &RunKey) -> String {
    format!("IMAGE#{}", key.image_id)
}

/// The sort key of a record.
pub(super) fn sort(key: &RunKey) -> String {
    format!(
        "RECEIPT#{:05}#COMPACTION_RUN#{}",
        key.receipt_id, key.run_id
    )
}

/// The attributes that belong to no collection.
pub(super) fn head(key: &RunKey, created: WallTime) -> [(&'static str, AttributeValue); 7] {
    [
        ("GSI1PK", text(INDEX_KEY)),
        ("GSI1SK", text(format!("CREATED_AT#{}", created.to_iso()))),
        ("TYPE", text(TYPE)),
        ("run_id", text(key.run_id.as_str())),
        ("image_id", text(&key.image_id)),
        ("receipt_id", number(key.receipt_id)),
        ("created_at", time(created)),
    ]
}

/// The whole item of a record, as the Python producers write it.
pub(super) fn to_item(record: &RunRecord) -> Item {
    let mut item: Item = head(&record.key, record.created_at)
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    item.insert("PK".to_owned(), text(partition(&record.key)));
    item.insert("SK".to_owned(), text(sort(&record.key)));
    let updated = match record.updated_at {
        at if at == record.created_at => null(),
        at => time(at),
    };
    item.insert("updated_at".to_owned(), updated);
    let or_null = |value: Option<AttributeValue>| value.unwrap_or_else(null);
    for (collection, part) in &record.parts {
        let mut put = |name: &str, value| item.insert(format!("{collection}_{name}"), value);
        put("delta_prefix", text(&part.prefix));
        put(STATE, text(part.state.as_str()));
        put("started_at", or_null(part.started_at.map(time)));
        put("finished_at", or_null(part.finished_at.map(time)));
        put("error", or_null(part.error.as_ref().map(text)));
        put("merged_vectors", number(part.merged_vectors));
        if part.ignored_operations > 0 {
            put("ignored_operations", number(part.ignored_operations));
        }
        if let Some(version) = &part.version {
            put("version", text(version.as_str()));
        }
        if let Some(fence) = part.fence {
            put("fence", number(fence.0));
        }
    }
    item
}

/// Reads a record from its item.
///
/// # Errors
/// `Corrupt` if an attribute of the key, the creation time or a state is missing or malformed.
pub(super) fn from_item(operation: &'static str, item: &Item) -> PortResult<RunRecord> {
    let wrong = |what: &str| {
        let target = text_of(item, "SK").unwrap_or_default();
        let reason = format!("its {what} is missing or cannot be read");
        PortError::new(operation, target, Fault::Corrupt, reason)
    };
    let run_id = text_of(item, "run_id").and_then(|id| id.parse().ok());
    let key = RunKey {
        run_id: run_id.ok_or_else(|| wrong("run_id"))?,
        image_id: text_of(item, "image_id")
            .ok_or_else(|| wrong("image_id"))?
            .to_owned(),
        receipt_id: number_of(item, "receipt_id").ok_or_else(|| wrong("receipt_id"))?,
    };
    let created_at = time_of(item, "created_at").ok_or_else(|| wrong("created_at"))?;
    let mut parts = BTreeMap::new();
    for name in item.keys() {
        let collection = name
            .strip_suffix(STATE)
            .and_then(|name| name.strip_suffix('_'));
        let Some(Ok(collection)) = collection.map(str::parse::<CollectionName>) else {
            continue;
        };
        let part = part_of(item, &collection).ok_or_else(|| wrong(name))?;
        parts.insert(collection, part);
    }
    Ok(RunRecord {
        key,
        created_at,
        updated_at: time_of(item, "updated_at").unwrap_or(created_at),
        parts,
    })
}

fn part_of(item: &Item, collection: &CollectionName) -> Option<RunPart> {
    let name = |attribute: &str| format!("{collection}_{attribute}");
    let text = |attribute| text_of(item, &name(attribute));
    Some(RunPart {
        prefix: text("delta_prefix").unwrap_or_default().to_owned(),
        state: RunState::parse(text(STATE)?)?,
        started_at: time_of(item, &name("started_at")),
        finished_at: time_of(item, &name("finished_at")),
        error: text("error").map(str::to_owned),
        merged_vectors: number_of(item, &name("merged_vectors")).unwrap_or(0),
        ignored_operations: number_of(item, &name("ignored_operations")).unwrap_or(0),
        version: text("version").and_then(|version| version.parse().ok()),
        fence: number_of(item, &name("fence")).map(Fence),
    })
}
