//! Any bytes as index files give a sound index or an error.

use std::cell::RefCell;

use chroma_store::Space;
use chroma_store::fuzzing::{read_index_files, write_index_files};

thread_local! {
    /// In memory if the machine has such a folder, because every input takes five files.
    static FOLDER: RefCell<tempfile::TempDir> = RefCell::new(
        tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .expect("a folder for the files"),
    );
}

/// Takes the input as four lengths and five files, which `write_index_files` splits.
pub fn check(input: &[u8]) {
    FOLDER.with_borrow(|folder| {
        let (dir, again) = (folder.path(), folder.path().join("again"));
        write_index_files(dir, input).expect("the files can be written");
        for space in [Space::L2, Space::Cosine] {
            let _ = read_index_files(dir, &again, space);
            let _ = std::fs::remove_dir_all(&again);
        }
    });
}
