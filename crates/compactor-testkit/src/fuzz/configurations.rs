//! Any bytes as a column with a collection's configuration: the copy of it names no embedding function, and
//! has the same settings of the index.

use chroma_store::fuzzing::{
    embedding_functions, index_parameters, only_allowed_embedding_functions,
};

/// Takes the whole input, if it is UTF-8, as `config_json_str` or `schema_str` of a collection.
pub fn check(input: &[u8]) {
    let Ok(column) = std::str::from_utf8(input) else {
        return;
    };
    let filtered = only_allowed_embedding_functions(column);
    assert!(embedding_functions(&filtered).is_empty(), "{filtered}");
    assert_eq!(only_allowed_embedding_functions(&filtered), filtered);
    if embedding_functions(column).is_empty() {
        assert_eq!(filtered, column);
    }
    // What can be read stays readable.
    for (before, after) in [
        ([Some(column), None], [Some(filtered.as_str()), None]),
        ([None, Some(column)], [None, Some(filtered.as_str())]),
    ] {
        let [before, after] =
            [before, after].map(|[config, schema]| index_parameters(config, schema));
        assert_eq!(after.ok(), before.ok(), "{filtered}");
    }
}
