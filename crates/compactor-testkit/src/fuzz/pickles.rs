//! Any bytes as a pickle of id maps: maps, or an error; nothing is run and no stack overflows.

/// Takes the whole input as `index_metadata.pickle`.
pub fn check(input: &[u8]) {
    let _ = chroma_store::fuzzing::read_id_maps(input);
}
