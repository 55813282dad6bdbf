//! Why a message cannot be used.

use thiserror::Error;

use crate::keys::DeltaPrefixError;
use crate::{CollectionName, NameError, RunKey};

/// Why a message cannot be used.
#[derive(Debug, Error)]
pub enum MessageError {
    /// The body is not a JSON object.
    #[error("the body is not a JSON object")]
    NotJson(#[source] serde_json::Error),
    /// The body is in S3, and the message has only a pointer to it.
    #[error("the body was put into S3 by the extended client for large messages")]
    Offloaded,
    /// The body lacks a required field.
    #[error("field {field} is missing")]
    Missing {
        /// The field's path in the body.
        field: &'static str,
    },
    /// A field has a value of another type or range.
    #[error("field {field} must be {expected}")]
    Field {
        /// The field's path in the body.
        field: &'static str,
        /// The allowed values, to be read after "must be".
        expected: &'static str,
    },
    /// The run id breaks the rule of [`RunId`](crate::RunId).
    #[error("field entity_data.run_id is not allowed")]
    RunId(#[source] NameError),
    /// The image id is empty, too long or has control characters.
    #[error("field entity_data.image_id is not allowed")]
    ImageId(#[source] NameError),
    /// The name of the collection breaks Chroma's rule.
    #[error("the attribute `collection` is not allowed")]
    Collection(#[source] NameError),
    /// The attribute `collection` is missing, and the prefixes in the body fit none or several.
    #[error("the attribute `collection` is missing and the prefixes do not tell which one it is")]
    NoCollection,
    /// The message has no delta for its collection.
    #[error("there is no delta prefix for collection {collection}")]
    NoPrefix {
        /// The collection that the message is for.
        collection: CollectionName,
    },
    /// The delta prefix breaks a rule.
    #[error("the delta prefix for collection {collection} is not allowed")]
    Prefix {
        /// The collection that the message is for.
        collection: CollectionName,
        /// The broken rule.
        #[source]
        source: DeltaPrefixError,
    },
}

/// A message that cannot be used, with the run and collection that it announces if they could be read.
#[derive(Debug)]
pub struct Refused {
    /// Why the message cannot be used.
    pub error: MessageError,
    /// The run and collection that the message announces; `None` if they could not be read.
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
