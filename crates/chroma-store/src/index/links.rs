//! `link_lists.bin`: per element `u32 bytes`, then per level above 0
//! `u16 count | u16 0 | u32 neighbours[maxM]`.

use std::ops::Range;
use std::path::Path;

use super::header::Header;
use super::level0::check_neighbours;
use super::{bad, read_bounded};
use crate::{StoreError, StoreResult};

/// The lists above level 0 of all elements, checked.
#[derive(Debug)]
pub(super) struct UpperLists {
    bytes: Vec<u8>,
    /// The range of each element's lists, in bytes.
    places: Vec<Range<usize>>,
    list_bytes: usize,
}

impl UpperLists {
    /// Reads and checks every list: sizes, counts, neighbours, and that a neighbour reaches the
    /// list's level. Otherwise hnswlib reads out of bounds.
    pub(super) fn read(path: &Path, header: &Header) -> StoreResult<Self> {
        let list_bytes = 4 + 4 * header.max_links;
        let max_lists = usize::try_from(header.max_level.max(0)).unwrap_or(0);
        // High levels are exponentially rare, but the bound must hold for any file.
        let limit = u64::from(header.elements) * (4 + max_lists * list_bytes) as u64;
        let bytes = read_bounded(path, limit)?;
        Self::parse(bytes, header).map_err(|torn| match torn {
            Torn::Short(detail) => StoreError::Truncated {
                path: path.to_path_buf(),
                detail,
            },
            Torn::Bad(detail) => bad(path, detail),
        })
    }

    fn parse(bytes: Vec<u8>, header: &Header) -> Result<Self, Torn> {
        let list_bytes = 4 + 4 * header.max_links;
        let max_lists = usize::try_from(header.max_level.max(0)).unwrap_or(0);
        let places = split(&bytes, header, list_bytes, max_lists)?;
        let lists = Self {
            bytes,
            places,
            list_bytes,
        };
        let entry = header.entry_point;
        if header.elements > 0 && lists.level_of(entry) != max_lists {
            return Err(Torn::Bad(format!(
                "entry point {entry} has level {}, not {max_lists}",
                lists.level_of(entry)
            )));
        }
        for element in 0..header.elements {
            for level in 1..=lists.level_of(element) {
                lists.check_list(element, level, header).map_err(|detail| {
                    Torn::Bad(format!("element {element} level {level}: {detail}"))
                })?;
            }
        }
        Ok(lists)
    }

    pub(super) fn level_of(&self, element: u32) -> usize {
        self.places[element as usize].len() / self.list_bytes
    }

    /// The neighbours of an element at a level above 0 that it reaches.
    pub(super) fn neighbours(&self, element: u32, level: usize) -> impl Iterator<Item = u32> {
        let list = self.list(element, level);
        let (ids, _) = list[4..4 + 4 * count_of(list)].as_chunks::<4>();
        ids.iter().map(|id| u32::from_le_bytes(*id))
    }

    fn list(&self, element: u32, level: usize) -> &[u8] {
        let first = self.places[element as usize].start + (level - 1) * self.list_bytes;
        &self.bytes[first..first + self.list_bytes]
    }

    fn check_list(&self, element: u32, level: usize, header: &Header) -> Result<(), String> {
        let list = self.list(element, level);
        let count = count_of(list);
        if count > header.max_links {
            return Err(format!("{count} links, at most {} fit", header.max_links));
        }
        check_neighbours(&list[4..4 + 4 * count], header.elements)?;
        match self
            .neighbours(element, level)
            .find(|neighbour| self.level_of(*neighbour) < level)
        {
            Some(neighbour) => Err(format!("neighbour {neighbour} does not reach the level")),
            None => Ok(()),
        }
    }
}

fn count_of(list: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([list[0], list[1]]))
}

pub(super) enum Torn {
    Short(String),
    Bad(String),
}

/// Finds the lists of each element.
fn split(
    bytes: &[u8],
    header: &Header,
    list_bytes: usize,
    max_lists: usize,
) -> Result<Vec<Range<usize>>, Torn> {
    let mut places = Vec::with_capacity((bytes.len() / 4).min(header.elements as usize));
    let mut rest = bytes;
    for element in 0..header.elements {
        let short = || Torn::Short(format!("ends inside element {element}"));
        let (size, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let size = u32::from_le_bytes(*size) as usize;
        if !size.is_multiple_of(list_bytes) || size / list_bytes > max_lists {
            return Err(Torn::Bad(format!(
                "element {element} claims {size} bytes of links"
            )));
        }
        let (own, after) = after.split_at_checked(size).ok_or_else(short)?;
        let first = bytes.len() - own.len() - after.len();
        places.push(first..first + size);
        rest = after;
    }
    if rest.is_empty() {
        Ok(places)
    } else {
        Err(Torn::Bad(format!(
            "{} bytes follow the last element",
            rest.len()
        )))
    }
}
