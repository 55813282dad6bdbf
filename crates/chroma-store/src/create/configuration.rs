//! The configuration of a new collection with default index parameters.

use crate::{SchemaLevel, Space};

/// `config_json_str` and `schema_str` as the chromadb of the level writes them. chromadb 1.3
/// refuses a collection that has both.
pub(super) fn configuration(space: Space, level: SchemaLevel) -> (Option<String>, Option<String>) {
    let space = space.name();
    match level {
        SchemaLevel::L06 => (None, None),
        SchemaLevel::L10 => {
            let config = format!(
                r#"{{"vector_index":{{"hnsw":{{"space":"{space}","ef_construction":100,"ef_search":100,"max_neighbors":16,"resize_factor":1.2,"sync_threshold":1000}}}},"embedding_function":{{"type":"legacy"}}}}"#
            );
            (Some(config), None)
        }
        SchemaLevel::L13 | SchemaLevel::L15 => (Some("{}".to_owned()), Some(schema_str(space))),
    }
}

/// The schema of a collection with default index parameters, as chromadb 1.3 and later store it.
fn schema_str(space: &str) -> String {
    let hnsw = r#"{"ef_construction":100,"max_neighbors":16,"ef_search":100,"batch_size":100,"sync_threshold":1000,"resize_factor":1.2}"#;
    let vector_index = |enabled: bool, source: &str| {
        format!(
            r#"{{"vector_index":{{"enabled":{enabled},"config":{{"space":"{space}","embedding_function":{{"type":"legacy"}},{source}"hnsw":{hnsw}}}}}}}"#
        )
    };
    let string = |fts: bool, inverted: bool| {
        format!(
            r#"{{"fts_index":{{"enabled":{fts},"config":{{}}}},"string_inverted_index":{{"enabled":{inverted},"config":{{}}}}}}"#
        )
    };
    let number = |kind: &str| {
        format!(r#""{kind}":{{"{kind}_inverted_index":{{"enabled":true,"config":{{}}}}}}"#)
    };
    let sparse = r#"{"sparse_vector_index":{"enabled":false,"config":{"embedding_function":{"type":"unknown"},"bm25":false}}}"#;
    format!(
        r##"{{"defaults":{{"string":{},"float_list":{},"sparse_vector":{sparse},{},{},{}}},"keys":{{"#document":{{"string":{}}},"#embedding":{{"float_list":{}}}}}}}"##,
        string(false, true),
        vector_index(false, ""),
        number("int"),
        number("float"),
        number("bool"),
        string(true, false),
        vector_index(true, r##""source_key":"#document","##),
    )
}
