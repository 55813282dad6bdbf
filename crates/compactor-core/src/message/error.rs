//! What can be wrong with a message.

use thiserror::Error;

use crate::keys::DeltaPrefixError;
use crate::{CollectionName, NameError, RunKey};

/// Why a message cannot be used.
#[derive(Debug, Error)]
pub enum MessageError {
    /// The body is not a JSON object.
    #[error("the body is not a JSON object")]
    NotJson(#[source] serde_json::Error),
    /// The body is somewhere else.
    #[error("the body was put into S3 by the extended client for large messages")]
    Offloaded,
    /// A field that must be there is not.
    #[error("field {field} is missing")]
    Missing {
        /// Its path in the body.
        field: &'static str,
    },
    /// A field has a value it may not have.
    #[error("field {field} must be {expected}")]
    Field {
        /// Its path in the body.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The run id is not allowed.
    #[error("field entity_data.run_id is not allowed")]
    RunId(#[source] NameError),
    /// The image id is not allowed.
    #[error("field entity_data.image_id is not allowed")]
    ImageId(#[source] NameError),
    /// The attribute `collection` names no possible collection.
    #[error("the attribute `collection` is not allowed")]
    Collection(#[source] NameError),
    /// The attribute `collection` is missing and the body does not tell either.
    #[error("the attribute `collection` is missing and the prefixes do not tell which one it is")]
    NoCollection,
    /// There is no delta for the collection.
    #[error("there is no delta prefix for collection {collection}")]
    NoPrefix {
        /// The collection.
        collection: CollectionName,
    },
    /// The delta prefix is not usable.
    #[error("the delta prefix for collection {collection} is not allowed")]
    Prefix {
        /// The collection.
        collection: CollectionName,
        /// Why not.
        #[source]
        source: DeltaPrefixError,
    },
}

/// A message that cannot be used, and what it is about as far as that could be read.
#[derive(Debug)]
pub struct Refused {
    /// What is wrong.
    pub error: MessageError,
    /// The part of a run that it announces.
    pub about: Option<Box<(RunKey, CollectionName)>>,
}

impl From<MessageError> for Refused {
    fn from(error: MessageError) -> Self {
        Self { error, about: None }
    }
}

impl MessageError {
    /// The stable code of this error, `CC-MESSAGE-...`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "CC-MESSAGE-JSON",
            Self::Offloaded => "CC-MESSAGE-OFFLOADED",
            Self::Missing { .. } => "CC-MESSAGE-MISSING",
            Self::Field { .. } => "CC-MESSAGE-FIELD",
            Self::RunId(_) => "CC-MESSAGE-RUN-ID",
            Self::ImageId(_) => "CC-MESSAGE-IMAGE-ID",
            Self::Collection(_) => "CC-MESSAGE-COLLECTION",
            Self::NoCollection => "CC-MESSAGE-NO-COLLECTION",
            Self::NoPrefix { .. } => "CC-MESSAGE-NO-PREFIX",
            Self::Prefix { .. } => "CC-MESSAGE-PREFIX",
        }
    }
}
