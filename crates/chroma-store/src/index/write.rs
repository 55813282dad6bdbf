//! Writes index files, whole, into a new folder.
//!
//! It changes nothing in place: a folder is complete and on disk before the database names it.

use std::io::{BufWriter, ErrorKind, IoSlice, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::header::Header;
use super::id_maps::write_id_maps;
use super::{HEADER, ID_MAPS, LENGTH, LEVEL0, LINKS, MemoryIndex, bad};
use crate::{SchemaLevel, StoreResult};
use hnsw_graph::Graph;

const BUFFER: usize = 1 << 20;
const BEGIN_EVERY: u64 = 16 << 20;
/// Records of one write: Linux takes 1024 buffers in one call, and a record has three.
const TOGETHER: usize = 256;
const DELETED: u8 = 1;

/// Writes the files of `index` into the new folder `dir`. `seq` is the last sequence number that
/// the index contains.
pub(crate) fn write(
    dir: &Path,
    index: &MemoryIndex,
    level: SchemaLevel,
    seq: u64,
) -> StoreResult<()> {
    let graph = &index.graph;
    let header = Header::of(graph).ok_or_else(|| bad(&dir.join(HEADER), "too large a graph"))?;
    fs_err::create_dir(dir)?;
    // A sync of a small file takes as long as that of the large one.
    let (large, small) = thread::scope(|scope| -> StoreResult<_> {
        let small = thread::Builder::new().spawn_scoped(scope, || {
            file(dir, HEADER, |out| out.write_all(&header.to_bytes()))?;
            file(dir, LENGTH, |out| {
                let mut norms = (0..graph.len()).map(|element| graph.norm(element).to_le_bytes());
                norms.try_for_each(|norm| out.write_all(&norm))
            })?;
            file(dir, LINKS, |out| write_upper(out, graph, &header))?;
            file(dir, ID_MAPS, |out| write_id_maps(out, index, level, seq))
        })?;
        Ok((write_level_0(dir, graph, &header), small.join()))
    })?;
    large?;
    // The closure does not panic. If it did, this thread panics too.
    small.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    fs_err::File::open(dir)?.sync_all()?;
    Ok(())
}

fn file(
    dir: &Path,
    name: &str,
    fill: impl FnOnce(&mut BufWriter<&fs_err::File>) -> std::io::Result<()>,
) -> StoreResult<()> {
    let file = fs_err::File::create_new(dir.join(name))?;
    let mut out = BufWriter::with_capacity(BUFFER, &file);
    fill(&mut out)?;
    out.flush()?;
    drop(out);
    file.sync_all()?;
    Ok(())
}

/// Writes `data_level0.bin`. The disk starts with the first part while later ones are made.
fn write_level_0(dir: &Path, graph: &Graph, header: &Header) -> StoreResult<()> {
    let file = fs_err::File::create_new(dir.join(LEVEL0))?;
    thread::scope(|scope| {
        let (written, parts) = mpsc::channel();
        let begin = || {
            for part in parts {
                begin_to_disk(&file, part);
            }
        };
        thread::Builder::new().spawn_scoped(scope, begin)?;
        write_records(&file, graph, header, &written)
    })?;
    file.sync_all()?;
    Ok(())
}

/// Starts writing a part of `file` to disk. The last sync reports a failure.
fn begin_to_disk(file: &fs_err::File, part: Range<u64>) {
    #[cfg(target_os = "linux")]
    {
        // Linux only starts to write here: memory that is not on disk cannot be dropped.
        let size = std::num::NonZeroU64::new(part.end - part.start);
        let _ = rustix::fs::fadvise(file, part.start, size, rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, part);
}

fn write_records(
    mut file: &fs_err::File,
    graph: &Graph,
    header: &Header,
    written: &Sender<Range<u64>>,
) -> std::io::Result<()> {
    let list_bytes = header.vector_offset;
    let mut lists = vec![0; TOGETHER * list_bytes];
    let mut labels = [[0; 8]; TOGETHER];
    let (mut sent, mut size) = (0, 0);
    for first in (0..graph.len()).step_by(TOGETHER) {
        let elements = first..graph.len().min(first + TOGETHER as u32);
        let own = lists.chunks_exact_mut(list_bytes).zip(&mut labels);
        for (element, (list, label)) in elements.clone().zip(own) {
            list.fill(0);
            put_list(list, graph.links_of(element, 0));
            list[2] = if graph.is_deleted(element) {
                DELETED
            } else {
                0
            };
            *label = u64::from(graph.label(element)).to_le_bytes();
        }
        let mut parts = Vec::with_capacity(3 * TOGETHER);
        let own = lists.chunks_exact(list_bytes).zip(&labels);
        for (element, (list, label)) in elements.zip(own) {
            parts.push(IoSlice::new(list));
            parts.push(IoSlice::new(bytemuck::cast_slice(graph.vector(element))));
            parts.push(IoSlice::new(label));
        }
        size += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        write_all(&mut file, &mut parts)?;
        if size - sent >= BEGIN_EVERY {
            let _ = written.send(sent..size);
            sent = size;
        }
    }
    Ok(())
}

/// Writes all of `parts`.
fn write_all(out: &mut impl Write, mut parts: &mut [IoSlice<'_>]) -> std::io::Result<()> {
    while !parts.is_empty() {
        match out.write_vectored(parts) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut parts, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_upper(out: &mut impl Write, graph: &Graph, header: &Header) -> std::io::Result<()> {
    let mut list = vec![0; 4 + 4 * header.max_links];
    for element in 0..graph.len() {
        let levels = graph.level_of(element);
        let size = u32::try_from(levels * list.len()).map_err(std::io::Error::other)?;
        out.write_all(&size.to_le_bytes())?;
        for level in 1..=levels {
            list.fill(0);
            put_list(&mut list, graph.links_of(element, level));
            out.write_all(&list)?;
        }
    }
    Ok(())
}

/// `u16 count | u16 0 | u32 neighbours`.
fn put_list(list: &mut [u8], neighbours: impl Iterator<Item = u32>) {
    let (head, slots) = list.split_at_mut(4);
    let (slots, _) = slots.as_chunks_mut::<4>();
    let mut count = 0_u16;
    for (slot, neighbour) in slots.iter_mut().zip(neighbours) {
        *slot = neighbour.to_le_bytes();
        count += 1;
    }
    head[..2].copy_from_slice(&count.to_le_bytes());
}
