//! `data_level0.bin` and `length.bin`.
//!
//! Record: `u16 links | u8 flags (bit 0 = deleted) | u8 0 | u32 neighbours[maxM0] | f32 vector[dim]
//! | u64 label`. Files are longer than their elements: chromadb allocates ahead.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read};
use std::path::Path;

use super::header::Header;
use super::{bad, open_file};
use crate::{StoreError, StoreResult};

const DELETED: u8 = 1;
/// Labels are u32 in chromadb 1.x's id maps, whatever the file's type.
const MAX_LABEL: u64 = u32::MAX as u64;

/// The labels of a graph.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Elements that are not delete-marked: label to position.
    pub(super) live: HashMap<u64, u32>,
    /// The highest label of any element; 0 when empty.
    pub(super) max: u64,
}

/// One record, its numbers checked.
#[derive(Debug)]
pub(super) struct Record<'r> {
    pub(super) position: u32,
    pub(super) deleted: bool,
    pub(super) label: u64,
    bytes: &'r [u8],
    header: &'r Header,
}

impl Record<'_> {
    /// The neighbours at level 0.
    pub(super) fn links(&self) -> impl Iterator<Item = u32> {
        let (ids, _) = self.bytes[4..4 + 4 * count_of(self.bytes)].as_chunks::<4>();
        ids.iter().map(|id| u32::from_le_bytes(*id))
    }

    /// The vector as it is stored.
    pub(super) fn vector(&self) -> impl Iterator<Item = f32> {
        let bytes = &self.bytes[self.header.vector_offset..self.header.label_offset];
        let (elements, _) = bytes.as_chunks::<4>();
        elements.iter().map(|element| f32::from_le_bytes(*element))
    }
}

/// Whether links must be right. Whoever makes them anew does not need the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkCheck {
    Strict,
    Skip,
}

/// Hands every record to `visit`, in order, checking numbers and labels and, if asked, links.
pub(super) fn for_each(
    file: impl Read,
    path: &Path,
    header: &Header,
    check: LinkCheck,
    mut visit: impl FnMut(&Record<'_>) -> StoreResult<()>,
) -> StoreResult<()> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut bytes = vec![0; header.record_bytes];
    let mut seen = HashSet::new();
    for position in 0..header.elements {
        reader.read_exact(&mut bytes)?;
        let wrong = |detail: String| bad(path, format!("element {position}: {detail}"));
        if check == LinkCheck::Strict {
            check_links(&bytes, header).map_err(wrong)?;
        }
        check_vector(&bytes, header).map_err(wrong)?;
        let label = label_of(&bytes, header);
        if label > MAX_LABEL || !seen.insert(label) {
            let detail = format!("label {label} is too large or not unique");
            return Err(wrong(detail));
        }
        visit(&Record {
            position,
            deleted: bytes[2] & DELETED != 0,
            label,
            bytes: &bytes,
            header,
        })?;
    }
    Ok(())
}

/// Reads every record once, checking counts, neighbours, numbers and labels.
pub(super) fn scan(path: &Path, header: &Header) -> StoreResult<(fs_err::File, Labels)> {
    let file = open_file(path)?;
    check_size(&file, path, header)?;
    let mut labels = Labels::default();
    for_each(&file, path, header, LinkCheck::Strict, |record| {
        labels.max = labels.max.max(record.label);
        if !record.deleted {
            labels.live.insert(record.label, record.position);
        }
        Ok(())
    })?;
    Ok((file, labels))
}

/// The file holds all elements.
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

fn check_links(record: &[u8], header: &Header) -> Result<(), String> {
    let count = count_of(record);
    if count > header.max_links_0 {
        return Err(format!("{count} links, at most {} fit", header.max_links_0));
    }
    check_neighbours(&record[4..4 + 4 * count], header.elements)
}

fn count_of(record: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([record[0], record[1]]))
}

/// Every neighbour is an element of the graph.
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

fn check_vector(record: &[u8], header: &Header) -> Result<(), String> {
    let (elements, _) = record[header.vector_offset..header.label_offset].as_chunks::<4>();
    match elements
        .iter()
        .position(|element| !f32::from_le_bytes(*element).is_finite())
    {
        Some(at) => Err(format!("vector element {at} is not a finite number")),
        None => Ok(()),
    }
}

fn label_of(record: &[u8], header: &Header) -> u64 {
    let mut label = [0; 8];
    label.copy_from_slice(&record[header.label_offset..header.label_offset + 8]);
    u64::from_le_bytes(label)
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
    match norms
        .iter()
        .position(|norm| !norm.is_finite() || *norm < 0.0)
    {
        Some(at) => Err(bad(
            path,
            format!("norm {at} is not a finite positive number"),
        )),
        None => Ok(norms),
    }
}
