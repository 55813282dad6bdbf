//! Values of metadata keys.

use serde_json::{Number, Value};

/// The reserved metadata key that has the document of a record.
pub const DOCUMENT_KEY: &str = "chroma:document";
/// The reserved metadata key that has the uri of a record.
pub const URI_KEY: &str = "chroma:uri";

/// A single metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// UTF-8 text.
    String(String),
    /// A 64-bit integer.
    Int(i64),
    /// A finite double.
    Float(f64),
    /// A boolean; SQLite stores it as 0 or 1.
    Bool(bool),
}

/// A non-empty array of one type. Only schema level L15 stores arrays.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    /// An array of UTF-8 texts.
    String(Vec<String>),
    /// An array of 64-bit integers.
    Int(Vec<i64>),
    /// An array of finite doubles.
    Float(Vec<f64>),
    /// An array of booleans.
    Bool(Vec<bool>),
}

impl Array {
    /// The elements, in order.
    pub(crate) fn scalars(&self) -> Vec<Scalar> {
        match self {
            Self::String(items) => items.iter().cloned().map(Scalar::String).collect(),
            Self::Int(items) => items.iter().copied().map(Scalar::Int).collect(),
            Self::Float(items) => items.iter().copied().map(Scalar::Float).collect(),
            Self::Bool(items) => items.iter().copied().map(Scalar::Bool).collect(),
        }
    }

    /// Builds an array from values of one type; `None` when it is empty or mixed.
    pub(crate) fn from_scalars(items: Vec<Scalar>) -> Option<Self> {
        macro_rules! all {
            ($kind:ident) => {
                items
                    .into_iter()
                    .map(|item| match item {
                        Scalar::$kind(value) => Some(value),
                        _ => None,
                    })
                    .collect::<Option<Vec<_>>>()
                    .map(Self::$kind)
            };
        }
        match items.first()? {
            Scalar::String(_) => all!(String),
            Scalar::Int(_) => all!(Int),
            Scalar::Float(_) => all!(Float),
            Scalar::Bool(_) => all!(Bool),
        }
    }
}

/// The value of a metadata key: one value, or an array.
#[derive(Debug, Clone, PartialEq)]
pub enum MetadataValue {
    /// A single value.
    Scalar(Scalar),
    /// Several values of one type.
    Array(Array),
}

impl From<Scalar> for MetadataValue {
    fn from(value: Scalar) -> Self {
        Self::Scalar(value)
    }
}

impl From<&str> for MetadataValue {
    fn from(value: &str) -> Self {
        Scalar::String(value.to_owned()).into()
    }
}

impl From<i64> for MetadataValue {
    fn from(value: i64) -> Self {
        Scalar::Int(value).into()
    }
}

impl From<f64> for MetadataValue {
    fn from(value: f64) -> Self {
        Scalar::Float(value).into()
    }
}

impl From<bool> for MetadataValue {
    fn from(value: bool) -> Self {
        Scalar::Bool(value).into()
    }
}

impl Scalar {
    fn from_json(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self::String(text)),
            Value::Bool(flag) => Ok(Self::Bool(flag)),
            Value::Number(number) => Self::from_number(&number),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                Err("neither text, number nor truth value".to_owned())
            }
        }
    }

    fn from_number(number: &Number) -> Result<Self, String> {
        // As in chromadb 1.x, an integer beyond SQLite's becomes a float.
        match number.as_i64() {
            Some(int) => Ok(Self::Int(int)),
            None => number
                .as_f64()
                .map(Self::Float)
                .ok_or_else(|| format!("the number {number}")),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::String(text) => Value::String(text.clone()),
            Self::Int(int) => Value::from(*int),
            Self::Float(float) => Value::from(*float),
            Self::Bool(flag) => Value::Bool(*flag),
        }
    }
}

impl MetadataValue {
    /// Reads a value as `embeddings_queue.metadata` has it.
    pub(crate) fn from_json(value: Value) -> Result<Self, String> {
        let Value::Array(items) = value else {
            return Scalar::from_json(value).map(Self::Scalar);
        };
        let items = items
            .into_iter()
            .map(Scalar::from_json)
            .collect::<Result<Vec<_>, _>>()?;
        Array::from_scalars(items)
            .map(Self::Array)
            .ok_or_else(|| "an array that is empty or of mixed types".to_owned())
    }

    /// The value as `embeddings_queue.metadata` has it.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Scalar(scalar) => scalar.to_json(),
            Self::Array(array) => array.scalars().iter().map(Scalar::to_json).collect(),
        }
    }

    /// Whether all its numbers are finite. JSON and SQLite lose the others.
    pub(crate) fn is_finite(&self) -> bool {
        match self {
            Self::Scalar(Scalar::Float(float)) => float.is_finite(),
            Self::Array(Array::Float(floats)) => floats.iter().all(|float| float.is_finite()),
            _ => true,
        }
    }
}
