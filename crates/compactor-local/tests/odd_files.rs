//! Links, FIFOs, sockets and devices below `objects` are no objects, and no call waits for them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use compactor_core::fakes::{FakeClock, SeededIds};
use compactor_core::ports::{
    Attributes, Condition, ETag, Fault, ObjectStore, PortResult, PutOutcome,
};
use compactor_local::DirectoryObjectStore;
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

const SECRET: &str = "a secret";

struct Odd {
    place: TempDir,
    store: DirectoryObjectStore,
}

impl Odd {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        let ids = Arc::new(SeededIds::new(1));
        let clock = FakeClock::auto();
        let store = DirectoryObjectStore::open(&root, None, &clock, ids).unwrap();
        std::fs::create_dir(place.path().join("outside")).unwrap();
        std::fs::write(place.path().join("outside/secret"), SECRET).unwrap();
        Self { place, store }
    }

    fn outside(&self) -> PathBuf {
        self.place.path().join("outside")
    }

    fn path(&self, key: &str) -> PathBuf {
        let path = self.store.path_of(key).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    async fn put(&self, key: &str) -> PortResult<PutOutcome> {
        let (body, none) = ("ours".into(), Attributes::new());
        self.store.put(key, body, Condition::Always, &none).await
    }

    /// Checks that every call on a key fails with an error that has these words.
    async fn refused(&self, key: &str, words: &str) {
        let store = &self.store;
        let refused = |call: &str, fault: Option<(Fault, String)>| {
            let (fault, reason) = fault.unwrap_or_else(|| panic!("{call} {key} went well"));
            assert_eq!(fault, Fault::Corrupt, "{call} {key}: {reason}");
            assert!(reason.contains(words), "{call} {key}: {reason}");
        };
        let target = self.place.path().join("target");
        let (tag, none) = (ETag("1-1-1".to_owned()), Attributes::new());
        refused("get", fault(store.get(key, 99).await));
        refused("range", fault(store.get_range(key, 0..9).await));
        refused("head", fault(store.head(key).await));
        refused("download", fault(store.download(key, &target, 99).await));
        let copied = store.copy(key, &tag, "copied", Condition::Always).await;
        refused("copy", fault(copied));
        refused("put", fault(self.put(key).await));
        let from = self.outside().join("secret");
        let uploaded = store.upload(key, &from, Condition::Always, &none).await;
        refused("upload", fault(uploaded));
        refused("delete", fault(store.delete(key).await));
        assert!(!target.exists());
    }
}

fn fault<T>(result: PortResult<T>) -> Option<(Fault, String)> {
    result.err().map(|error| (error.fault, error.reason))
}

/// Runs a test that fails, instead of hanging, if a call blocks on a FIFO.
fn in_time(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().unwrap();
    let patience = Duration::from_secs(20);
    let ended = runtime.block_on(async { tokio::time::timeout(patience, test).await });
    runtime.shutdown_background();
    assert!(ended.is_ok(), "something waits");
}

async fn keys(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let page = store.list(prefix, None).await.unwrap();
    page.entries.into_iter().map(|info| info.key).collect()
}

#[test]
fn path_that_is_no_plain_file_is_refused_without_being_opened() {
    in_time(async {
        let odd = Odd::new();
        mkfifoat(CWD, odd.path("words/fifo"), Mode::RWXU).unwrap();
        let _socket = UnixListener::bind(odd.path("words/socket")).unwrap();
        symlink(odd.outside().join("secret"), odd.path("words/link")).unwrap();
        symlink("nowhere", odd.path("words/lost")).unwrap();
        symlink("/dev/zero", odd.path("words/device")).unwrap();
        symlink(odd.outside(), odd.path("words/to-folder")).unwrap();
        for (name, what) in [
            ("fifo", "a FIFO"),
            ("socket", "a socket"),
            ("link", "a symbolic link"),
            ("lost", "a symbolic link"),
            ("device", "a symbolic link"),
            ("to-folder", "a symbolic link"),
        ] {
            let words = format!("objects/words/{name} is {what}, not a file");
            odd.refused(&format!("words/{name}"), &words).await;
            let words = format!("objects/words/{name} is {what}, not a folder");
            odd.refused(&format!("words/{name}/secret"), &words).await;
        }
        let secret = std::fs::read_to_string(odd.outside().join("secret"));
        assert_eq!(secret.unwrap(), SECRET);
        assert_eq!(std::fs::read_dir(odd.outside()).unwrap().count(), 1);
    });
}

#[test]
fn listing_leaves_out_what_is_no_plain_file() {
    in_time(async {
        let odd = Odd::new();
        odd.put("words/whole").await.unwrap();
        mkfifoat(CWD, odd.path("fifo/below/fifo"), Mode::RWXU).unwrap();
        symlink(odd.outside().join("secret"), odd.path("words/link")).unwrap();
        symlink(odd.outside(), odd.path("linked")).unwrap();
        symlink(".", odd.path("words/round")).unwrap();
        for (prefix, found) in [
            ("", vec!["words/whole"]),
            ("words/", vec!["words/whole"]),
            ("words/round/", vec![]),
            ("linked", vec![]),
            ("linked/", vec![]),
            ("linked/sec", vec![]),
            ("fifo/", vec![]),
            ("fifo/below/fifo/", vec![]),
        ] {
            assert_eq!(keys(&odd.store, prefix).await, found, "{prefix:?}");
        }
        let folders = |prefix| odd.store.list_folders(prefix, None);
        assert_eq!(folders("").await.unwrap().entries, ["words"]);
        assert!(folders("linked/").await.unwrap().entries.is_empty());
        assert!(folders("words/round/").await.unwrap().entries.is_empty());
    });
}

#[tokio::test]
async fn key_that_is_a_folder_does_not_exist() {
    let odd = Odd::new();
    odd.put("words/whole").await.unwrap();
    assert_eq!(odd.store.get("words", 9).await.unwrap(), None);
    assert_eq!(odd.store.head("words/whole/below").await.unwrap(), None);
    let error = odd.put("words/whole/below").await.unwrap_err();
    assert_eq!(error.fault, Fault::Invalid);
}

/// Only the owner of the directory can make such a link.
#[tokio::test]
async fn link_in_place_of_the_folder_of_objects_is_followed() {
    let odd = Odd::new();
    let (root, elsewhere) = (
        odd.place.path().join("root"),
        odd.place.path().join("other"),
    );
    move_and_link(&root.join("objects"), &elsewhere);
    odd.put("words/whole").await.unwrap();
    assert_eq!(keys(&odd.store, "").await, ["words/whole"]);
    let found = odd.store.get("words/whole", 9).await.unwrap().unwrap();
    assert_eq!(found.body, "ours");
    assert!(elsewhere.join("words/whole").is_file());
}

fn move_and_link(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
    symlink(to, from).unwrap();
}
