//! `index_metadata.pickle`: the label of each user id.
//!
//! chromadb 0.x pickles an instance of a class, 1.x a plain dict. The pickle library reads both,
//! and never runs code.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use serde::de::IgnoredAny;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_pickle::{DeOptions, SerOptions};

use super::{MemoryIndex, bad, pickle_remains, pickle_scan, read_bounded};
use crate::{SchemaLevel, StoreResult};

/// Most bytes of the file: enough for tens of millions of ids, and small enough to read at once.
const MAX_BYTES: u64 = 2 << 30;

/// The fields of the pickle that chromadb uses.
#[derive(Debug, Deserialize)]
pub(super) struct IdMaps {
    /// Number of labels given out so far. The next label is this plus one.
    pub(super) total_elements_added: u64,
    /// The progress of chromadb up to 0.5.5. It is stale if the table `max_seq_id` has a row.
    #[serde(default)]
    pub(super) max_seq_id: Option<u64>,
    id_to_label: HashMap<String, u64>,
    label_to_id: HashMap<u64, String>,
    /// chromadb 0.x reads the dimension here.
    #[serde(default)]
    dimensionality: Option<u64>,
    /// chromadb 0.x fails when it deletes an id that is missing here.
    #[serde(default)]
    id_to_seq_id: HashMap<String, IgnoredAny>,
    /// Whether the pickle is an instance of chromadb 0.x's class.
    #[serde(skip)]
    is_instance: bool,
    /// Whether the maps were recovered pair by pair, so that pairs may be missing.
    #[serde(skip)]
    pub(super) are_remains: bool,
}

impl IdMaps {
    /// Reads the file; `None` if it is missing or its maps are empty.
    pub(super) fn read(path: &Path) -> StoreResult<Option<Self>> {
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let bytes = read_bounded(path, MAX_BYTES)?;
        let maps = Self::parse(&bytes)
            .map_err(|error| bad(path, format!("not a pickle of id maps: {error}")))?;
        Ok((!maps.id_to_label.is_empty()).then_some(maps))
    }

    /// Reads a damaged file. Ignores bytes after the end of the pickle, which chromadb 0.x does not
    /// read and 1.x refuses. If the pickle cannot be read, recovers the pairs that can be found.
    pub(super) fn read_remains(path: &Path) -> StoreResult<Option<Self>> {
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let bytes = read_bounded(path, MAX_BYTES)?;
        let pickle = match pickle_scan::scan(&bytes) {
            Ok(scanned) => bytes.get(..scanned.length).unwrap_or(&bytes),
            Err(_) => &bytes,
        };
        let maps = match Self::parse(pickle) {
            Ok(maps) if maps.check().is_none() => maps,
            _ => Self::of_remains(pickle_remains::labels(&bytes)),
        };
        Ok((!maps.id_to_label.is_empty()).then_some(maps))
    }

    fn of_remains(id_to_label: HashMap<String, u64>) -> Self {
        let inverse = id_to_label.iter().map(|(id, label)| (*label, id.clone()));
        Self {
            total_elements_added: id_to_label.values().copied().max().unwrap_or(0),
            max_seq_id: None,
            label_to_id: inverse.collect(),
            dimensionality: None,
            id_to_seq_id: HashMap::new(),
            is_instance: false,
            are_remains: true,
            id_to_label,
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let scanned = pickle_scan::scan(bytes)?;
        let is_instance = scanned.class == Some([MODULE, CLASS]);
        let maps: Self =
            serde_pickle::from_slice(bytes, DeOptions::new()).map_err(|error| error.to_string())?;
        Ok(Self {
            is_instance,
            ..maps
        })
    }

    /// Every id with its label.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let ids = self.id_to_label.iter();
        ids.map(|(id, label)| (id.as_str(), *label))
    }

    pub(super) fn len(&self) -> usize {
        self.id_to_label.len()
    }

    pub(super) fn label(&self, id: &str) -> Option<u64> {
        self.id_to_label.get(id).copied()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.id_to_label.keys().map(String::as_str)
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = u64> {
        self.id_to_label.values().copied()
    }

    /// Says what is wrong if the two maps are not each other's inverse.
    pub(super) fn check(&self) -> Option<String> {
        let agree = self
            .id_to_label
            .iter()
            .filter(|(id, label)| self.label_to_id.get(label) == Some(id))
            .count();
        if agree == self.id_to_label.len() && agree == self.label_to_id.len() {
            return None;
        }
        Some(format!(
            "id_to_label has {} entries, label_to_id {}, {agree} agree",
            self.id_to_label.len(),
            self.label_to_id.len()
        ))
    }

    /// Says on what chromadb 0.x fails, for vectors of `dimension`. 1.x reads fewer fields.
    pub(super) fn check_for_0x(&self, dimension: u32) -> Option<String> {
        if !self.is_instance {
            return Some("they are not an instance of chromadb 0.x's class".to_owned());
        }
        if self.dimensionality != Some(u64::from(dimension)) {
            let found = self
                .dimensionality
                .map_or("no".to_owned(), |found| found.to_string());
            return Some(format!(
                "they have {found} dimensionality, the vectors {dimension}"
            ));
        }
        let mut ids = self.id_to_label.keys();
        let id = ids.find(|id| !self.id_to_seq_id.contains_key(*id))?;
        Some(format!("id_to_seq_id has no entry of {id:?}"))
    }
}

/// chromadb 0.x's class of id maps.
const MODULE: &[u8] = b"chromadb.segment.impl.vector.local_persistent_hnsw";
const CLASS: &[u8] = b"PersistentData";
/// Precede the name of the class: `PROTO 2` and `GLOBAL`. An empty tuple and `NEWOBJ` follow it.
const BEFORE_CLASS: &[u8] = b"\x80\x02c";
const BEHIND_CLASS: &[u8] = b"\n)\x81";
/// Bytes that open a pickle of protocol 2. Every pickle ends with `.`.
const PROTOCOL_BYTES: usize = 2;
/// `BUILD` and `STOP`: give the instance its state.
const BUILD: &[u8] = b"b.";

/// Writes the id maps of `index` in the form of the chromadb of this level: for 0.x an instance of
/// its class, with the last sequence number of every id; for 1.x a dict without.
pub(super) fn write_id_maps(
    out: &mut impl Write,
    index: &MemoryIndex,
    level: SchemaLevel,
    seq: u64,
) -> io::Result<()> {
    let class = level == SchemaLevel::L06;
    let state = State {
        dimensionality: class.then(|| index.graph.params().dimension),
        total_elements_added: index.labels_given,
        max_seq_id: class.then_some(seq),
        id_to_label: Map(|| {
            let ids = index.elements.iter();
            ids.map(|(id, element)| (id, index.graph.label(*element)))
        }),
        label_to_id: Map(|| {
            let ids = index.elements.iter();
            ids.map(|(id, element)| (index.graph.label(*element), id))
        }),
        id_to_seq_id: Map(|| {
            let ids = index.elements.keys().filter(|_| class);
            ids.map(|id| (id, seq))
        }),
    };
    if !class {
        return serde_pickle::to_writer(out, &state, SerOptions::new()).map_err(of_pickle);
    }
    let pickle = serde_pickle::to_vec(&state, SerOptions::new().proto_v2()).map_err(of_pickle)?;
    let state = pickle
        .get(PROTOCOL_BYTES..pickle.len().saturating_sub(1))
        .unwrap_or_default();
    for part in [BEFORE_CLASS, MODULE, b"\n", CLASS, BEHIND_CLASS, state] {
        out.write_all(part)?;
    }
    out.write_all(BUILD)
}

/// The fields, in chromadb's order.
#[derive(Serialize)]
struct State<A: Serialize, B: Serialize, C: Serialize> {
    dimensionality: Option<usize>,
    total_elements_added: u64,
    max_seq_id: Option<u64>,
    id_to_label: A,
    label_to_id: B,
    id_to_seq_id: C,
}

/// A map that is written from an iterator, without a second copy of all ids.
struct Map<F>(F);

impl<F, I, K, V> Serialize for Map<F>
where
    F: Fn() -> I,
    I: Iterator<Item = (K, V)>,
    K: Serialize,
    V: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in (self.0)() {
            map.serialize_entry(&key, &value)?;
        }
        map.end()
    }
}

/// The error of the file behind a pickle error: it says whether the disk is full.
fn of_pickle(error: serde_pickle::Error) -> io::Error {
    match error {
        serde_pickle::Error::Io(error) => error,
        serde_pickle::Error::Eval(..) | serde_pickle::Error::Syntax(_) => io::Error::other(error),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{SchemaLevel, Space};
    use hnsw_graph::Params;

    /// The pickle of `ids` ids. The first is `record 0` with label 1.
    pub(in crate::index) fn written(ids: usize, level: SchemaLevel) -> Vec<u8> {
        let mut index = MemoryIndex::with(Params {
            dimension: 1,
            space: Space::L2,
            max_links: 2,
            max_links_0: 4,
            ef_construction: 2,
        });
        for id in 0..ids {
            index.put(format!("record {id}"), &[id as f32]);
        }
        let mut pickle = Vec::new();
        write_id_maps(&mut pickle, &index, level, 7).unwrap();
        pickle
    }
}
