//! Writes index files, whole, into a new folder.
//!
//! Nothing is changed in place: a folder is complete and on disk before anything names it.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{self, Sender};

use super::header::Header;
use super::id_maps::write_id_maps;
use super::{HEADER, ID_MAPS, LENGTH, LEVEL0, LINKS, MemoryIndex, bad};
use crate::graph::Graph;
use crate::{SchemaLevel, StoreResult};

const BUFFER: usize = 1 << 20;
const SYNC_EVERY: usize = 16 << 20;
const DELETED: u8 = 1;

/// Writes the files of `index` into the new folder `dir`; `seq` is the last sequence number that
/// it contains.
pub(crate) fn write(
    dir: &Path,
    index: &MemoryIndex,
    level: SchemaLevel,
    seq: u64,
) -> StoreResult<()> {
    let graph = &index.graph;
    let header = Header::of(graph).ok_or_else(|| bad(&dir.join(HEADER), "too large a graph"))?;
    fs_err::create_dir(dir)?;
    file(dir, HEADER, |out| out.write_all(&header.to_bytes()))?;
    file(dir, LEVEL0, |out| write_level_0(out, graph, &header))?;
    file(dir, LENGTH, |out| {
        (0..graph.len()).try_for_each(|element| out.write_all(&graph.norm(element).to_le_bytes()))
    })?;
    file(dir, LINKS, |out| write_upper(out, graph, &header))?;
    file(dir, ID_MAPS, |out| write_id_maps(out, index, level, seq))?;
    fs_err::File::open(dir)?.sync_all()?;
    Ok(())
}

fn file(
    dir: &Path,
    name: &str,
    fill: impl FnOnce(&mut BufWriter<Ahead<'_>>) -> std::io::Result<()>,
) -> StoreResult<()> {
    let file = fs_err::File::create_new(dir.join(name))?;
    std::thread::scope(|scope| {
        let (enough, told) = mpsc::channel();
        scope.spawn(|| {
            for () in told {
                // A failure comes back from the last one.
                let _ = file.sync_data();
            }
        });
        let ahead = Ahead {
            file: &file,
            unsynced: 0,
            enough,
        };
        let mut out = BufWriter::with_capacity(BUFFER, ahead);
        fill(&mut out)?;
        out.flush()
    })?;
    file.sync_all()?;
    Ok(())
}

/// Has the disk begin with what is written while the rest is made.
struct Ahead<'f> {
    file: &'f fs_err::File,
    unsynced: usize,
    enough: Sender<()>,
}

impl Write for Ahead<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            let _ = self.enough.send(());
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn write_level_0(out: &mut impl Write, graph: &Graph, header: &Header) -> std::io::Result<()> {
    let mut record = vec![0; header.record_bytes];
    for element in 0..graph.len() {
        record[..header.vector_offset].fill(0);
        put_list(
            &mut record[..header.vector_offset],
            graph.links_of(element, 0),
        );
        record[2] = if graph.is_deleted(element) {
            DELETED
        } else {
            0
        };
        let (slots, _) = record[header.vector_offset..header.label_offset].as_chunks_mut::<4>();
        for (slot, value) in slots.iter_mut().zip(graph.vector(element)) {
            *slot = value.to_le_bytes();
        }
        let label = u64::from(graph.label(element));
        record[header.label_offset..].copy_from_slice(&label.to_le_bytes());
        out.write_all(&record)?;
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
