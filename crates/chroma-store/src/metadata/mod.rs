//! Metadata values and the rows that hold them.

mod read;
mod value;
mod write;

pub(crate) use read::RecordReader;
pub use value::{Array, DOCUMENT_KEY, MetadataValue, Scalar, URI_KEY};
pub(crate) use write::{SegmentWriter, has_nul_documents};
