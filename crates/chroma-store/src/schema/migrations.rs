//! The texts of Chroma's migrations.
//!
//! chromadb 1.x compares the stored text of every migration byte by byte when it opens a
//! directory, so the texts are data of the format. They were read from the `migrations` table of a
//! directory made by chromadb 1.5.9 (Apache-2.0; see NOTICE).

use super::SchemaLevel;

/// One migration as the `migrations` table stores it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// `sysdb`, `metadb` or `embeddings_queue`.
    pub(crate) dir: &'static str,
    /// Position in `dir`, from 1.
    pub(crate) version: u32,
    /// The file name chromadb ships it under.
    pub(crate) file_name: &'static str,
    /// The exact text.
    pub(crate) sql: &'static str,
}

macro_rules! migration {
    ($dir:literal, $version:literal, $name:literal) => {
        Migration {
            dir: $dir,
            version: $version,
            file_name: concat!($name, ".sqlite.sql"),
            sql: include_str!(concat!("migrations/", $dir, "-", $name, ".sqlite.sql")),
        }
    };
}

/// In the order chromadb 1.x applies them.
const ALL: [Migration; 18] = [
    migration!("sysdb", 1, "00001-collections"),
    migration!("sysdb", 2, "00002-segments"),
    migration!("sysdb", 3, "00003-collection-dimension"),
    migration!("sysdb", 4, "00004-tenants-databases"),
    migration!("sysdb", 5, "00005-remove-topic"),
    migration!("sysdb", 6, "00006-collection-segment-metadata"),
    migration!("sysdb", 7, "00007-collection-config"),
    migration!("sysdb", 8, "00008-maintenance-log"),
    migration!("sysdb", 9, "00009-segment-collection-not-null"),
    migration!("sysdb", 10, "00010-collection-schema"),
    migration!("metadb", 1, "00001-embedding-metadata"),
    migration!("metadb", 2, "00002-embedding-metadata"),
    migration!("metadb", 3, "00003-full-text-tokenize"),
    migration!("metadb", 4, "00004-metadata-indices"),
    migration!("metadb", 5, "00005-max-seq-id-int"),
    migration!("metadb", 6, "00006-metadata-array-support"),
    migration!("embeddings_queue", 1, "00001-embeddings"),
    migration!("embeddings_queue", 2, "00002-embeddings-queue-config"),
];

/// The migrations that make up `level`, in order of application.
pub(crate) fn migrations(level: SchemaLevel) -> impl Iterator<Item = &'static Migration> {
    let last = level.last_migrations();
    ALL.iter().filter(move |migration| {
        last.iter()
            .any(|(dir, version)| *dir == migration.dir && migration.version <= *version)
    })
}
