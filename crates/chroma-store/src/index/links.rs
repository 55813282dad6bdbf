//! `link_lists.bin`: per element `u32 bytes`, then per level above 0
//! `u16 count | u16 0 | u32 neighbours[maxM]`.

use std::path::Path;

use super::header::Header;
use super::level0::check_neighbours;
use super::{bad, read_bounded};
use crate::{StoreError, StoreResult};

/// Checks every list: sizes, counts, neighbours, and that a neighbour reaches the list's level
/// (hnswlib reads out of bounds otherwise).
pub(super) fn check(path: &Path, header: &Header) -> StoreResult<()> {
    let list_bytes = 4 + 4 * header.max_links;
    let max_lists = usize::try_from(header.max_level.max(0)).unwrap_or(0);
    // Levels are exponentially rare, but the bound must hold for any file.
    let limit = u64::from(header.elements) * (4 + max_lists * list_bytes) as u64;
    let bytes = read_bounded(path, limit)?;
    let lists = split(&bytes, header, list_bytes, max_lists).map_err(|detail| match detail {
        Torn::Short(detail) => StoreError::Truncated {
            path: path.to_path_buf(),
            detail,
        },
        Torn::Bad(detail) => bad(path, detail),
    })?;
    let level_of = |element: usize| lists[element].len() / list_bytes;
    let entry = header.entry_point as usize;
    if header.elements > 0 && level_of(entry) != max_lists {
        let detail = format!(
            "entry point {entry} has level {}, not {max_lists}",
            level_of(entry)
        );
        return Err(bad(path, detail));
    }
    for (element, element_lists) in lists.iter().enumerate() {
        for (at, list) in element_lists.chunks_exact(list_bytes).enumerate() {
            let level = at + 1;
            let wrong =
                |detail: String| bad(path, format!("element {element} level {level}: {detail}"));
            let count = usize::from(u16::from_le_bytes([list[0], list[1]]));
            if count > header.max_links {
                return Err(wrong(format!(
                    "{count} links, at most {} fit",
                    header.max_links
                )));
            }
            let neighbours = &list[4..4 + 4 * count];
            check_neighbours(neighbours, header.elements).map_err(wrong)?;
            let (neighbours, _) = neighbours.as_chunks::<4>();
            for neighbour in neighbours.iter().map(|id| u32::from_le_bytes(*id)) {
                if level_of(neighbour as usize) < level {
                    return Err(wrong(format!(
                        "neighbour {neighbour} does not reach the level"
                    )));
                }
            }
        }
    }
    Ok(())
}

enum Torn {
    Short(String),
    Bad(String),
}

/// The lists of each element, one slice per element.
fn split<'b>(
    mut bytes: &'b [u8],
    header: &Header,
    list_bytes: usize,
    max_lists: usize,
) -> Result<Vec<&'b [u8]>, Torn> {
    let mut lists = Vec::with_capacity(header.elements as usize);
    for element in 0..header.elements {
        let short = || Torn::Short(format!("ends inside element {element}"));
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let size = u32::from_le_bytes(*size) as usize;
        if !size.is_multiple_of(list_bytes) || size / list_bytes > max_lists {
            return Err(Torn::Bad(format!(
                "element {element} claims {size} bytes of links"
            )));
        }
        let (own, rest) = rest.split_at_checked(size).ok_or_else(short)?;
        lists.push(own);
        bytes = rest;
    }
    if bytes.is_empty() {
        Ok(lists)
    } else {
        Err(Torn::Bad(format!(
            "{} bytes follow the last element",
            bytes.len()
        )))
    }
}
