//! Metadata values and the rows that hold them.

mod full_text;
mod progress;
mod read;
mod value;
mod write;

pub(crate) use full_text::{FullText, forget_full_text, has_nul_documents, rebuild_full_text};
pub(crate) use progress::last_touched;
pub(crate) use read::RecordReader;
pub use value::{Array, DOCUMENT_KEY, MetadataValue, Scalar, URI_KEY};
pub(crate) use write::SegmentWriter;
