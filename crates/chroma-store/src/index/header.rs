//! `header.bin`: exactly 100 little-endian bytes, struct `<iQQQQQQiIQQQdQ`.

use std::path::Path;

use super::{bad, read_bounded};
use crate::{StoreError, StoreResult};
use hnsw_graph::Graph;

pub(super) const LEN: usize = 100;
const PERSISTENCE_VERSION: u32 = 1;
/// Highest plausible level: hnswlib draws levels from an exponential distribution.
const MAX_LEVEL: i32 = 64;
/// The largest M that this crate writes: the count of twice as many links has 16 bits.
pub(super) const MAX_M: u64 = 32_767;
/// The largest M that this crate reads. hnswlib has no limit, and some users ask for far too many
/// links, which no element ever has.
const MAX_M_READ: u64 = 1 << 20;
/// The largest dimension that this crate reads; it bounds every allocation below. chromadb accepts
/// far smaller ones only.
pub(super) const MAX_DIMENSION: u64 = 1 << 20;

/// The fields of the header that the other files depend on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    /// Elements in the graph, delete-marked ones included.
    pub(super) elements: u32,
    /// Elements per vector, from the record size.
    pub(super) dimension: u32,
    /// Bytes of one record of `data_level0.bin`.
    pub(super) record_bytes: usize,
    /// Offset of the vector in a record.
    pub(super) vector_offset: usize,
    /// Offset of the label in a record.
    pub(super) label_offset: usize,
    /// Most links per element above level 0.
    pub(super) max_links: usize,
    /// Most links per element at level 0.
    pub(super) max_links_0: usize,
    /// Highest level of any element; -1 when empty.
    pub(super) max_level: i32,
    /// The element at which a search enters.
    pub(super) entry_point: u32,
    /// Candidates kept while an element is inserted.
    pub(super) ef_construction: usize,
}

impl Header {
    pub(super) fn read(path: &Path) -> StoreResult<Self> {
        let bytes = read_bounded(path, LEN as u64)?;
        let found = bytes.len();
        let bytes: [u8; LEN] = bytes.try_into().map_err(|_| StoreError::Truncated {
            path: path.to_path_buf(),
            detail: format!("{found} bytes, a header has {LEN}"),
        })?;
        Self::parse(&bytes).map_err(|detail| bad(path, detail))
    }

    pub(super) fn parse(bytes: &[u8; LEN]) -> Result<Self, String> {
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let version = u32_at(0);
        if version != PERSISTENCE_VERSION {
            return Err(format!(
                "persistence version {version}, {PERSISTENCE_VERSION} expected"
            ));
        }
        if u64_at(4) != 0 {
            return Err(format!("offset of level 0 is {}, 0 expected", u64_at(4)));
        }
        let (capacity, elements) = (u64_at(12), u64_at(20));
        if elements > capacity {
            return Err(format!(
                "{elements} elements, but room for {capacity} (I10)"
            ));
        }
        let elements = u32::try_from(elements).map_err(|_| format!("{elements} elements"))?;
        let (max_links, max_links_0) = (u64_at(60), u64_at(68));
        if !(1..=MAX_M_READ).contains(&max_links) || !(1..=2 * MAX_M_READ).contains(&max_links_0) {
            return Err(format!(
                "at most {max_links} and {max_links_0} links per element"
            ));
        }
        // If these two do not follow from M, chromadb crashes at its next write.
        let (m, scale) = (u64_at(76), f64::from_bits(u64_at(84)));
        if m != max_links {
            return Err(format!("M is {m}, elements have at most {max_links} links"));
        }
        // With M 1 the scale is infinite.
        if max_links > 1 && !is_about(scale, level_scale(max_links)) {
            return Err(format!(
                "the scale of levels is {scale}, which is not that of M {m}"
            ));
        }
        let vector_offset = 4 + 4 * max_links_0;
        let (record_bytes, label_offset) = (u64_at(28), u64_at(36));
        if u64_at(44) != vector_offset {
            return Err(format!(
                "vectors at offset {}, {vector_offset} expected",
                u64_at(44)
            ));
        }
        let vector_bytes = label_offset.saturating_sub(vector_offset);
        let dimension = vector_bytes / 4;
        let adds_up = vector_bytes % 4 == 0 && record_bytes == label_offset.saturating_add(8);
        if !adds_up || dimension == 0 || dimension > MAX_DIMENSION {
            return Err(format!(
                "records of {record_bytes} bytes with labels at {label_offset} do not add up"
            ));
        }
        let max_level = i32::from_le_bytes([bytes[52], bytes[53], bytes[54], bytes[55]]);
        if !(-1..=MAX_LEVEL).contains(&max_level) || (elements > 0 && max_level < 0) {
            return Err(format!("highest level {max_level} of {elements} elements"));
        }
        let entry_point = u32_at(56);
        if elements > 0 && entry_point >= elements {
            return Err(format!("entry point {entry_point} of {elements} elements"));
        }
        Ok(Self {
            elements,
            dimension: u32::try_from(dimension).map_err(|error| error.to_string())?,
            record_bytes: usize::try_from(record_bytes).map_err(|error| error.to_string())?,
            vector_offset: usize::try_from(vector_offset).map_err(|error| error.to_string())?,
            label_offset: usize::try_from(label_offset).map_err(|error| error.to_string())?,
            max_links: usize::try_from(max_links).map_err(|error| error.to_string())?,
            max_links_0: usize::try_from(max_links_0).map_err(|error| error.to_string())?,
            max_level,
            entry_point,
            ef_construction: usize::try_from(u64_at(92)).unwrap_or(usize::MAX),
        })
    }

    /// A header for records of these parameters. It says nothing about the graph.
    pub(super) fn assumed(dimension: u32, max_links: u32) -> Option<Self> {
        let is_possible =
            u64::from(dimension) <= MAX_DIMENSION && (1..=MAX_M_READ).contains(&max_links.into());
        let max_links = usize::try_from(max_links).ok().filter(|_| is_possible)?;
        let vector_offset = 4 + 4 * 2 * max_links;
        let label_offset = vector_offset + 4 * dimension as usize;
        Some(Self {
            elements: u32::MAX,
            dimension,
            record_bytes: label_offset + 8,
            vector_offset,
            label_offset,
            max_links,
            max_links_0: 2 * max_links,
            max_level: -1,
            entry_point: u32::MAX,
            ef_construction: 0,
        })
    }

    /// The same header, with at most this many elements.
    pub(super) fn with_at_most(mut self, elements: u64) -> Self {
        self.elements =
            u32::try_from(elements).map_or(self.elements, |at_most| self.elements.min(at_most));
        self
    }

    /// Checks that the vectors have the collection's dimension.
    pub(super) fn check_dimension(&self, path: &Path, dimension: Option<u32>) -> StoreResult<()> {
        match dimension {
            Some(dimension) if dimension != self.dimension => {
                let found = self.dimension;
                let detail = format!("vectors of {found} elements, the collection has {dimension}");
                Err(bad(path, detail))
            }
            _ => Ok(()),
        }
    }

    /// The header of a graph; `None` if its sizes do not fit the fields.
    pub(super) fn of(graph: &Graph) -> Option<Self> {
        let params = graph.params();
        let vector_offset = 4 + 4 * params.max_links_0;
        let label_offset = vector_offset + 4 * params.dimension;
        Some(Self {
            elements: graph.len(),
            dimension: u32::try_from(params.dimension).ok()?,
            record_bytes: label_offset + 8,
            vector_offset,
            label_offset,
            max_links: params.max_links,
            max_links_0: params.max_links_0,
            max_level: match graph.top_level() {
                Some(level) => i32::try_from(level).ok()?,
                None => -1,
            },
            entry_point: graph.entry_point().unwrap_or(u32::MAX),
            ef_construction: params.ef_construction,
        })
    }

    /// The bytes of the file. The graph has capacity for its own elements only; a client that adds
    /// one resizes it.
    pub(super) fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &PERSISTENCE_VERSION.to_le_bytes());
        let mut put_u64 = |at: usize, value: u64| put(at, &value.to_le_bytes());
        put_u64(12, u64::from(self.elements));
        put_u64(20, u64::from(self.elements));
        put_u64(28, self.record_bytes as u64);
        put_u64(36, self.label_offset as u64);
        put_u64(44, self.vector_offset as u64);
        put_u64(60, self.max_links as u64);
        put_u64(68, self.max_links_0 as u64);
        put_u64(76, self.max_links as u64);
        put_u64(92, self.ef_construction as u64);
        put(52, &self.max_level.to_le_bytes());
        put(56, &self.entry_point.to_le_bytes());
        let scale = level_scale(self.max_links as u64);
        put(84, &f64::to_le_bytes(scale));
        bytes
    }
}

/// hnswlib's scale of the exponential distribution of levels. With M 1 it is infinite, and hnswlib
/// crashes.
fn level_scale(m: u64) -> f64 {
    match m {
        0 | 1 => 0.0,
        more => 1.0 / (more as f64).ln(),
    }
}

/// Compares loosely: logarithms of another machine may differ in the last bits.
fn is_about(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A sound header: 3 elements of 4 dimensions, M 16.
    fn sound() -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &1_u32.to_le_bytes());
        put(12, &100_u64.to_le_bytes());
        put(20, &3_u64.to_le_bytes());
        put(28, &156_u64.to_le_bytes());
        put(36, &148_u64.to_le_bytes());
        put(44, &132_u64.to_le_bytes());
        put(52, &1_i32.to_le_bytes());
        put(56, &2_u32.to_le_bytes());
        put(60, &16_u64.to_le_bytes());
        put(68, &32_u64.to_le_bytes());
        put(76, &16_u64.to_le_bytes());
        put(84, &0.360_673_760_222_240_85_f64.to_le_bytes());
        bytes
    }

    #[test]
    fn sound_header_is_read() {
        let header = Header::parse(&sound()).unwrap();
        assert_eq!(
            (header.elements, header.dimension, header.record_bytes),
            (3, 4, 156)
        );
    }

    #[test]
    fn header_field_out_of_bounds_is_refused() {
        let cases: [(usize, &[u8]); 14] = [
            (0, &2_u32.to_le_bytes()),
            (4, &1_u64.to_le_bytes()),
            (12, &2_u64.to_le_bytes()),
            (28, &157_u64.to_le_bytes()),
            (36, &u64::MAX.to_le_bytes()),
            (44, &0_u64.to_le_bytes()),
            (52, &(-1_i32).to_le_bytes()),
            (56, &3_u32.to_le_bytes()),
            (68, &u64::MAX.to_le_bytes()),
            (76, &0_u64.to_le_bytes()),
            (76, &17_u64.to_le_bytes()),
            (84, &0_f64.to_le_bytes()),
            (84, &f64::NAN.to_le_bytes()),
            (84, &f64::INFINITY.to_le_bytes()),
        ];
        for (at, value) in cases {
            let mut bytes = sound();
            bytes[at..at + value.len()].copy_from_slice(value);
            assert!(Header::parse(&bytes).is_err(), "offset {at}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_header_bytes_never_panic(bytes: [u8; 32], at in 0..LEN - 32) {
            let mut header = sound();
            header[at..at + 32].copy_from_slice(&bytes);
            let _ = Header::parse(&header);
        }
    }
}
