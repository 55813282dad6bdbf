//! Attribute values of DynamoDB items, in the form of the Python writers: times as text, a missing value
//! as NULL.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use compactor_core::ports::WallTime;

/// The name of an item in errors: its key alone would not show a wrong table.
pub(crate) fn address(table: &str, key: &str) -> String {
    format!("{key} of table {table}")
}

/// An item: attribute values by name.
pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn null() -> AttributeValue {
    AttributeValue::Null(true)
}

pub(crate) fn time(value: WallTime) -> AttributeValue {
    text(value.to_iso())
}

/// The text under `name`; `None` if it is missing or NULL.
pub(crate) fn text_of<'i>(item: &'i Item, name: &str) -> Option<&'i str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// The number under `name`; `None` if it is missing or NULL.
pub(crate) fn number_of(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// The time under `name`; `None` if it is missing, NULL or no time.
pub(crate) fn time_of(item: &Item, name: &str) -> Option<WallTime> {
    WallTime::parse_iso(text_of(item, name)?).ok()
}
