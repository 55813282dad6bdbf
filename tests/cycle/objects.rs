//! The objects as they lie in the store, named by the pointer or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use compactor_core::ports::{Condition, ObjectStore};
use compactor_core::{Manifest, Version, keys};

use compactor_snapshots::SnapshotRepository;

use crate::world::{World, lineage};

impl World {
    /// The repository over this world's objects. It repeats no call.
    pub(crate) fn repository(&self) -> SnapshotRepository {
        SnapshotRepository::new(Arc::clone(&self.ports.objects))
    }

    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        self.ports.objects.as_ref()
    }

    /// All keys below a prefix.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.wait(self.ports.objects.list_all(prefix)).unwrap();
        listed.into_iter().map(|info| info.key).collect()
    }

    pub(crate) fn body(&self, key: &str) -> Option<Vec<u8>> {
        let object = self.wait(self.ports.objects.get(key, u64::MAX)).unwrap();
        object.map(|object| object.body.to_vec())
    }

    /// Every object below a prefix, byte for byte.
    pub(crate) fn image(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let body = |key: String| (key.clone(), self.body(&key).unwrap());
        self.keys(prefix).into_iter().map(body).collect()
    }

    /// Puts an object there whatever was there before.
    pub(crate) fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let body: Vec<u8> = body.into();
        let none = BTreeMap::new();
        let put = self
            .ports
            .objects
            .put(key, body.into(), Condition::Always, &none);
        self.wait(put).unwrap();
    }

    pub(crate) fn delete(&self, key: &str) {
        self.wait(self.ports.objects.delete(key)).unwrap();
    }

    /// The pointer's body, if there is a pointer.
    pub(crate) fn pointer(&self, collection: &str) -> Option<String> {
        self.body(&keys::pointer(&lineage(collection)))
            .map(|body| String::from_utf8(body).unwrap())
    }

    /// The versions that have a manifest, oldest first, named by the pointer or not.
    pub(crate) fn uploads(&self, collection: &str) -> Vec<String> {
        let prefix = keys::timestamped_prefix(&lineage(collection));
        let keys = self.keys(&prefix);
        let versions = keys.iter().filter_map(|key| {
            key.strip_prefix(&prefix)?
                .strip_suffix(&format!("/{}", keys::MANIFEST_NAME))
        });
        versions.map(str::to_owned).collect()
    }

    /// The manifests of all versions, oldest first.
    pub(crate) fn manifests(&self, collection: &str) -> Vec<Manifest> {
        let versions = self.uploads(collection).into_iter();
        versions
            .map(|version| self.manifest(collection, &version.parse().unwrap()))
            .collect()
    }

    /// The manifest of any version.
    pub(crate) fn manifest(&self, collection: &str, version: &Version) -> Manifest {
        let key = keys::manifest(&lineage(collection), version);
        Manifest::parse(&self.body(&key).unwrap()).unwrap()
    }
}
