//! Any bytes as a pickle of id maps give maps or an error. The reader runs no code and overflows no stack.

/// Takes the whole input as `index_metadata.pickle`.
pub fn check(input: &[u8]) {
    let _ = chroma_store::fuzzing::read_id_maps(input);
}
