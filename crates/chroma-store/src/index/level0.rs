//! `data_level0.bin` and `length.bin`.
//!
//! Record: `u16 links | u8 flags (bit 0 = deleted) | u8 0 | u32 neighbours[maxM0] | f32 vector[dim]
//! | u64 label`. The files are longer than their elements need: chromadb allocates ahead.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, IoSliceMut, Read};
use std::path::Path;

use super::header::Header;
use super::{bad, open_file};
use crate::{StoreError, StoreResult};

// Vectors are read and written in the byte order of memory, as hnswlib does.
const _: () = assert!(cfg!(target_endian = "little"));

const DELETED: u8 = 1;
const LABEL_BYTES: usize = 8;
/// Bytes of one read.
const READ_BYTES: usize = 1 << 19;
/// Records of one read: Linux takes 1024 buffers in one call, and a record has three.
const MOST_TOGETHER: usize = 256;
/// Most difference between the length of a normalised vector and 1.
const OFF_UNIT: f32 = 1e-3;
/// A shorter original vector is not exact after normalisation, nor is one longer than [`LONG`].
const SHORT: f32 = 1e-15;
/// The root of the smallest f32: a shorter length computes to 0.
const LEAST: f32 = 3.7e-23;
const LONG: f32 = 1e18;
/// The id maps of chromadb 1.x have u32 labels, although this file has u64.
const MAX_LABEL: u64 = u32::MAX as u64;

/// The labels of a graph.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Elements that are not delete-marked: label to position.
    pub(super) live: HashMap<u64, u32>,
    /// The highest label of any element; 0 when empty.
    pub(super) max: u64,
}

/// One record without its vector, its numbers checked.
#[derive(Debug)]
pub(super) struct Record<'r> {
    pub(super) position: u32,
    pub(super) deleted: bool,
    pub(super) label: u64,
    list: &'r [u8],
}

impl Record<'_> {
    /// The neighbours at level 0.
    pub(super) fn links(&self) -> impl Iterator<Item = u32> {
        let (ids, _) = self.list[4..4 + 4 * count_of(self.list)].as_chunks::<4>();
        ids.iter().map(|id| u32::from_le_bytes(*id))
    }
}

/// Whether to check links. A rebuild does not use the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkCheck {
    Strict,
    Skip,
}

/// The records of a file, in order. Each is checked: numbers, labels, and links if asked.
pub(super) struct Records<'p> {
    file: fs_err::File,
    path: &'p Path,
    header: &'p Header,
    check: LinkCheck,
    next: u32,
    seen: HashSet<u64>,
    lists: Vec<u8>,
    labels: Vec<u8>,
}

impl<'p> Records<'p> {
    pub(super) fn open(path: &'p Path, header: &'p Header, check: LinkCheck) -> StoreResult<Self> {
        let file = open_file(path)?;
        check_size(&file, path, header)?;
        Ok(Self {
            file,
            path,
            header,
            check,
            next: 0,
            seen: HashSet::new(),
            lists: Vec::new(),
            labels: Vec::new(),
        })
    }

    /// How many records to read next: few enough that they stay in the processor's cache for the
    /// checks. 0 at the end.
    pub(super) fn ready(&self) -> usize {
        let left = (self.header.elements - self.next) as usize;
        left.min((READ_BYTES / self.header.record_bytes).clamp(1, MOST_TOGETHER))
    }

    /// Reads one record for each of `rows`, at most as many as are ready, and puts its vector
    /// there.
    pub(super) fn read<'s>(
        &'s mut self,
        mut rows: Vec<&mut [f32]>,
    ) -> StoreResult<impl Iterator<Item = Record<'s>> + use<'s, 'p>> {
        let (list_bytes, first) = (self.header.vector_offset, self.next);
        self.lists.resize(rows.len() * list_bytes, 0);
        self.labels.resize(rows.len() * LABEL_BYTES, 0);
        let mut parts = Vec::with_capacity(3 * rows.len());
        let lists = self.lists.chunks_exact_mut(list_bytes);
        let labels = self.labels.chunks_exact_mut(LABEL_BYTES);
        for ((list, row), label) in lists.zip(&mut rows).zip(labels) {
            parts.push(IoSliceMut::new(list));
            parts.push(IoSliceMut::new(bytemuck::cast_slice_mut(row)));
            parts.push(IoSliceMut::new(label));
        }
        read_all(&mut self.file, &mut parts)?;
        let lists = self.lists.chunks_exact(list_bytes);
        let labels = self.labels.as_chunks::<LABEL_BYTES>().0;
        for ((list, row), label) in lists.zip(&rows).zip(labels) {
            check_record(self.header, self.check, list, row)
                .and_then(|()| check_label(*label, &mut self.seen))
                .map_err(|detail| bad(self.path, format!("element {}: {detail}", self.next)))?;
            self.next += 1;
        }
        let lists = self.lists.chunks_exact(list_bytes);
        Ok((first..)
            .zip(lists.zip(labels))
            .map(|(position, (list, label))| Record {
                position,
                deleted: is_deleted(list),
                label: u64::from_le_bytes(*label),
                list,
            }))
    }

    /// Passes every record and its vector to `visit`.
    pub(super) fn for_each(
        mut self,
        mut visit: impl FnMut(&Record<'_>, &[f32]),
    ) -> StoreResult<fs_err::File> {
        let dimension = self.header.dimension as usize;
        let mut vectors = vec![0.0; self.ready() * dimension];
        while self.ready() > 0 {
            let ready = self.ready();
            let vectors = &mut vectors[..ready * dimension];
            let records = self.read(vectors.chunks_exact_mut(dimension).collect())?;
            let records: Vec<_> = records.collect();
            for (record, vector) in records.iter().zip(vectors.chunks_exact(dimension)) {
                visit(record, vector);
            }
        }
        Ok(self.file)
    }
}

/// Fills all of `parts` from the file.
fn read_all(file: &mut fs_err::File, parts: &mut [IoSliceMut<'_>]) -> std::io::Result<()> {
    let mut parts = parts;
    while !parts.is_empty() {
        match file.read_vectored(parts) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => IoSliceMut::advance_slices(&mut parts, read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads every record once, and checks counts, neighbours, numbers and labels.
///
/// With `norms`, in a cosine space, a vector has to be normalised.
pub(super) fn scan(
    path: &Path,
    header: &Header,
    norms: Option<&[f32]>,
) -> StoreResult<(fs_err::File, Labels)> {
    let mut labels = Labels::default();
    let mut wrong = None;
    let records = Records::open(path, header, LinkCheck::Strict)?;
    let file = records.for_each(|record, vector| {
        labels.max = labels.max.max(record.label);
        if record.deleted {
            return;
        }
        labels.live.insert(record.label, record.position);
        let norm = norms.and_then(|norms| norms.get(record.position as usize));
        let is_right = norm.is_none_or(|norm| is_normalised(vector, *norm));
        if !is_right {
            wrong.get_or_insert(record.position);
        }
    })?;
    match wrong {
        None => Ok((file, labels)),
        Some(element) => Err(not_normalised(path, element)),
    }
}

/// The squared length, summed in lanes that the processor adds side by side.
pub(super) fn squared(vector: &[f32]) -> f32 {
    let (chunks, rest) = vector.as_chunks::<16>();
    let mut lanes = [0.0_f32; 16];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>()
}

pub(super) fn not_normalised(path: &Path, element: u32) -> StoreError {
    let detail =
        format!("element {element}: its vector, or its length in length.bin, cannot be right");
    bad(path, detail)
}

/// Checks that the file has all elements.
pub(super) fn check_size(file: &fs_err::File, path: &Path, header: &Header) -> StoreResult<()> {
    let needed = u64::from(header.elements) * header.record_bytes as u64;
    let size = file.metadata()?.len();
    if size >= needed {
        return Ok(());
    }
    let detail = format!("{size} bytes, {} elements need {needed}", header.elements);
    Err(StoreError::Truncated {
        path: path.to_path_buf(),
        detail,
    })
}

fn check_record(
    header: &Header,
    check: LinkCheck,
    list: &[u8],
    vector: &[f32],
) -> Result<(), String> {
    if check == LinkCheck::Strict {
        let count = count_of(list);
        if count > header.max_links_0 {
            return Err(format!("{count} links, at most {} fit", header.max_links_0));
        }
        check_neighbours(&list[4..4 + 4 * count], header.elements)?;
    }
    // Much faster without branches, and nearly all vectors are sound.
    if vector.iter().fold(true, |sound, x| sound & x.is_finite()) {
        return Ok(());
    }
    let at = vector.iter().position(|x| !x.is_finite());
    let at = at.unwrap_or_default();
    Err(format!("vector element {at} is not a finite number"))
}

fn check_label(label: [u8; LABEL_BYTES], seen: &mut HashSet<u64>) -> Result<(), String> {
    let label = u64::from_le_bytes(label);
    if label > MAX_LABEL || !seen.insert(label) {
        return Err(format!("label {label} is too large or not unique"));
    }
    Ok(())
}

/// Whether the element of a record is delete-marked.
pub(super) fn is_deleted(record: &[u8]) -> bool {
    record.get(2).is_some_and(|flags| flags & DELETED != 0)
}

fn count_of(record: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([record[0], record[1]]))
}

/// Checks that every neighbour is an element of the graph.
pub(super) fn check_neighbours(list: &[u8], elements: u32) -> Result<(), String> {
    let (ids, _) = list.as_chunks::<4>();
    match ids
        .iter()
        .map(|id| u32::from_le_bytes(*id))
        .find(|id| *id >= elements)
    {
        Some(id) => Err(format!("neighbour {id} of {elements} elements")),
        None => Ok(()),
    }
}

/// The norms of the original vectors, up to the first that cannot be read.
pub(super) fn norms_that_are_left(path: &Path, elements: u32) -> Vec<f32> {
    let mut bytes = Vec::new();
    if let Ok(file) = open_file(path) {
        // Norms before an error count.
        let _ = file.take(u64::from(elements) * 4).read_to_end(&mut bytes);
    }
    let (norms, _) = bytes.as_chunks::<4>();
    norms.iter().map(|norm| f32::from_le_bytes(*norm)).collect()
}

/// Whether `vector` can be the normalised form of a vector of length `norm`, as hnswlib computes
/// it: the root of the sum of squares, all in f32, and each element divided by that plus 1e-30.
pub(super) fn is_normalised(vector: &[f32], norm: f32) -> bool {
    let length = squared(vector).sqrt();
    let is_unit = (length - 1.0).abs() <= OFF_UNIT;
    // If squares vanish or overflow, the computed length is not the true one.
    let most = 2.0 * (vector.len() as f32).sqrt();
    match norm {
        // The original has zeros only, or is so short that all squares vanish: the result is scaled
        // by 1e30, to any length.
        0.0 => length.is_finite() && !is_unit,
        // The squares overflow, and chromadb keeps only zeros.
        f32::INFINITY => length == 0.0,
        LEAST..SHORT | LONG..=f32::MAX => length <= most,
        SHORT..LONG => is_unit,
        _ => false,
    }
}

/// The norms of the original vectors, one f32 per element.
pub(super) fn read_norms(path: &Path, elements: u32) -> StoreResult<Vec<f32>> {
    let file = open_file(path)?;
    let needed = u64::from(elements) * 4;
    let mut bytes = Vec::new();
    file.take(needed).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < needed {
        let detail = format!("{} bytes, {elements} elements need {needed}", bytes.len());
        return Err(StoreError::Truncated {
            path: path.to_path_buf(),
            detail,
        });
    }
    let (norms, _) = bytes.as_chunks::<4>();
    let norms: Vec<f32> = norms.iter().map(|norm| f32::from_le_bytes(*norm)).collect();
    match norms.iter().position(|norm| norm.is_nan() || *norm < 0.0) {
        Some(at) => Err(bad(
            path,
            format!("the length of element {at} is not a positive number"),
        )),
        None => Ok(norms),
    }
}
