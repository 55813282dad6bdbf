//! Builds the new index on a thread of its own. The thread reads the old files and inserts changes,
//! while the caller goes on with the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::{Engine, FlushOptions};
use crate::index::{IndexFiles, MemoryIndex, Put};
use crate::{StoreError, StoreResult, engine};

/// The changes that a part of the log makes: for each id its last vector there, as little-endian
/// f32, or `None` if the id has no vector any more.
pub(super) type Batch = Vec<(String, Option<Vec<u8>>)>;

/// Most batches that wait for the thread. Reading the log is faster than inserting, and waiting
/// batches take memory.
const WAITING: usize = 4;
/// The number of new elements from which waking all threads pays off.
const LINK_AT: u32 = 256;
/// Most bytes of address space to reserve, so that a growing graph is not copied. The system hands
/// memory out only as it is used.
const ROOM_BYTES: usize = 256 << 20;
/// Reserve at most this multiple of the waiting rows, or this fraction of the old elements,
/// whichever is more.
const ROOM: usize = 4;
const LEAST_ROOM: usize = 4096;

/// What the new index starts from.
pub(super) struct Start {
    /// The old files; `None` if there are none or they are not used.
    pub(super) files: Option<IndexFiles>,
    /// An empty index with the collection's parameters.
    pub(super) empty: MemoryIndex,
    /// The engine that makes all links; `None` to keep the old links.
    pub(super) rebuild: Option<Engine>,
    /// The least number of changes that will come.
    pub(super) expected: usize,
    pub(super) options: FlushOptions,
}

/// The finished index, and what the thread did.
pub(super) struct Made {
    pub(super) index: MemoryIndex,
    pub(super) inserted: u64,
    pub(super) unchanged: u64,
    pub(super) removed: u64,
    pub(super) rebuilt: Option<Engine>,
    pub(super) distances: u64,
}

/// A handle on the thread. Dropping it waits for the end of the thread: no file may be open after a
/// store is closed.
pub(super) struct Indexer {
    batches: Option<SyncSender<Batch>>,
    /// The caller dropped the handle: the thread stops early.
    abandoned: Arc<AtomicBool>,
    thread: Option<JoinHandle<StoreResult<Made>>>,
}

impl Indexer {
    pub(super) fn begin(start: Start) -> StoreResult<Self> {
        let (batches, received) = sync_channel(WAITING);
        let builder = std::thread::Builder::new().name("index".to_owned());
        let abandoned = Arc::new(AtomicBool::new(false));
        let is_abandoned = Arc::clone(&abandoned);
        let thread = builder.spawn(move || Work::new(start)?.run(&received, &is_abandoned))?;
        Ok(Self {
            abandoned,
            batches: Some(batches),
            thread: Some(thread),
        })
    }

    /// Passes the next changes to the thread.
    pub(super) fn put(&mut self, batch: Batch) -> StoreResult<()> {
        let sent = self.batches.as_ref().map(|batches| batches.send(batch));
        match sent {
            Some(Ok(())) => Ok(()),
            // The thread ended early, and its error says why.
            _ => self.join().map(drop),
        }
    }

    /// Waits for the finished index.
    pub(super) fn finish(mut self) -> StoreResult<Made> {
        self.join()
    }

    fn join(&mut self) -> StoreResult<Made> {
        drop(self.batches.take());
        let ended = |what: &str| StoreError::Engine {
            detail: format!("the indexing thread {what}"),
        };
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(made)) => made,
            Some(Err(_)) => Err(ended("panicked")),
            None => Err(ended("has ended already")),
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
        // The owner that drops the handle does not use the result.
        let _ = self.join();
    }
}

struct Work {
    index: MemoryIndex,
    /// The engine that will make all links at the end; `None` while links are made as elements
    /// come.
    relink: Option<Engine>,
    options: FlushOptions,
    random: fastrand::Rng,
    expected: usize,
    /// How many elements of the old files the index left out: those that are not live.
    left_out: u64,
    inserted: u64,
    unchanged: u64,
    distances: u64,
}

impl Work {
    fn new(start: Start) -> StoreResult<Self> {
        let (mut relink, mut left_out) = (start.rebuild, 0);
        let mut index = start.empty;
        if let Some(files) = start.files {
            let loaded = match relink {
                None => files.load(room(&index, files.elements(), start.expected)),
                Some(_) => Ok(all_vectors(index_like(&mut index), &files)?),
            };
            index = match loaded {
                // The vectors may be sound although the links are damaged.
                Err(error) if error.is_index_damage() => {
                    relink = Some(Engine::Native);
                    all_vectors(index_like(&mut index), &files)?
                }
                loaded => loaded?,
            };
            left_out = files.elements().saturating_sub(index.graph.len() as usize) as u64;
        } else {
            // A first flush often has many parts.
            let room = room(&index, 0, start.expected);
            index.graph.reserve(room);
        }
        // The same graph draws the same levels again, and another graph draws others.
        let seed = start.options.seed ^ index.labels_given.rotate_left(32);
        Ok(Self {
            index,
            relink,
            options: start.options,
            random: fastrand::Rng::with_seed(seed),
            expected: start.expected,
            left_out,
            inserted: 0,
            unchanged: 0,
            distances: 0,
        })
    }

    fn run(mut self, batches: &Receiver<Batch>, abandoned: &AtomicBool) -> StoreResult<Made> {
        let marked_before = self.marked();
        for batch in batches {
            self.take(batch);
            if self.relink.is_none() && self.index.graph.not_linked() >= LINK_AT {
                // The rebuild would discard new links.
                if self.is_worn_out() {
                    self.relink = Some(Engine::Native);
                } else {
                    self.link();
                }
            }
        }
        if abandoned.load(Ordering::Relaxed) {
            return Err(StoreError::Engine {
                detail: "the flush was abandoned".to_owned(),
            });
        }
        let removed = self.left_out + (self.marked() - marked_before);
        if self.relink.is_none() && self.is_worn_out() {
            self.relink = Some(Engine::Native);
        }
        match self.relink {
            None => self.link(),
            Some(engine) => {
                self.index.compact();
                match engine {
                    Engine::Native => self.link(),
                    Engine::HnswRs => engine::link(&mut self.index.graph)?,
                }
            }
        }
        self.index.graph.settle();
        Ok(Made {
            removed,
            inserted: self.inserted,
            unchanged: self.unchanged,
            rebuilt: self.relink,
            distances: self.distances,
            index: self.index,
        })
    }

    fn take(&mut self, batch: Batch) {
        let mut vector = Vec::new();
        for (id, change) in batch {
            let Some(bytes) = change else {
                self.index.remove(&id);
                continue;
            };
            let (elements, _) = bytes.as_chunks::<4>();
            vector.clear();
            vector.extend(elements.iter().map(|element| f32::from_le_bytes(*element)));
            match self.index.put(id, &vector) {
                Put::Added => self.inserted += 1,
                Put::Unchanged => self.unchanged += 1,
            }
        }
    }

    fn link(&mut self) {
        let threads = self.options.thread_count();
        let new = self.expected.max(self.index.graph.not_linked() as usize);
        self.distances += self.index.graph.link_some(&mut self.random, threads, new);
    }

    fn marked(&self) -> u64 {
        u64::from(self.index.graph.len()) - self.index.elements.len() as u64
    }

    /// Whether too many elements are delete-marked, or labels run out.
    fn is_worn_out(&self) -> bool {
        let limit = u64::from(self.options.rebuild_above_deleted_percent);
        self.marked() * 100 > u64::from(self.index.graph.len()) * limit
            || self.index.labels_given > u64::from(u32::MAX)
    }
}

/// Takes the index and leaves an empty one with the same parameters.
fn index_like(index: &mut MemoryIndex) -> MemoryIndex {
    let params = *index.graph.params();
    std::mem::replace(index, MemoryIndex::with(params))
}

/// Puts all vectors of the files into `index`, without links.
fn all_vectors(mut index: MemoryIndex, files: &IndexFiles) -> StoreResult<MemoryIndex> {
    index.graph.reserve(files.len());
    let is_same = files.space() == index.graph.params().space;
    files.vectors(|id, norm, vector| {
        if is_same {
            index.add_stored(id, norm, vector.iter().copied());
        } else {
            let as_given: Vec<f32> = vector.iter().map(|element| element * norm).collect();
            index.put(id, &as_given);
        }
    })?;
    Ok(index)
}

/// How many new elements to reserve address space for, when the files have `old` ones and
/// `expected` changes will come.
fn room(index: &MemoryIndex, old: usize, expected: usize) -> usize {
    let wanted = (old / ROOM)
        .max(expected.saturating_mul(ROOM))
        .max(LEAST_ROOM);
    wanted.min(ROOM_BYTES / index.graph.element_bytes())
}
