//! A growing block of zeroed memory, on large pages where the system has them.
//!
//! Graphs fill hundreds of megabytes at once. With small pages, the system would spend much of the
//! time handing them over one by one.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;

use bytemuck::Pod;
use memmap2::MmapMut;

/// Bytes below which large pages do not pay off.
const LARGE: usize = 4 << 20;

/// Values in one piece of memory, which starts at a page boundary.
#[derive(Debug)]
pub(crate) struct Block<T> {
    map: Option<MmapMut>,
    len: usize,
    /// The first value that was never written.
    untouched: usize,
    values: PhantomData<T>,
}

impl<T: Pod> Block<T> {
    pub(crate) fn new() -> Self {
        Self {
            map: None,
            len: 0,
            untouched: 0,
            values: PhantomData,
        }
    }

    /// Reserves room for exactly `more` values. The system hands memory out only as it is used.
    pub(crate) fn reserve(&mut self, more: usize) {
        let _ = self.grow_to(self.len.saturating_add(more));
    }

    fn capacity(&self) -> usize {
        self.map
            .as_ref()
            .map_or(0, |map| map.len() / size_of::<T>())
    }

    fn grow_to(&mut self, capacity: usize) -> std::io::Result<()> {
        if capacity <= self.capacity() {
            return Ok(());
        }
        let bytes = capacity.saturating_mul(size_of::<T>());
        let mut map = MmapMut::map_anon(bytes)?;
        #[cfg(target_os = "linux")]
        if bytes >= LARGE {
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        let used = self.len * size_of::<T>();
        if let Some(old) = &self.map {
            map[..used].copy_from_slice(&old[..used]);
        }
        self.map = Some(map);
        self.untouched = self.len;
        Ok(())
    }

    /// Appends zeros. If the system has no memory left, the process ends, as with a [`Vec`].
    pub(crate) fn push_zeros(&mut self, count: usize) -> &mut [T] {
        let (first, end) = (self.len, self.len + count);
        if end > self.capacity() && self.grow_to(end.max(2 * self.capacity())).is_err() {
            handle_alloc_error(Layout::new::<T>());
        }
        self.len = end;
        let used = self.untouched.min(end);
        self.untouched = self.untouched.max(end);
        let new = &mut self.values_mut()[first..];
        if used > first {
            new[..used - first].fill(T::zeroed());
        }
        new
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    #[inline]
    pub(crate) fn values(&self) -> &[T] {
        match &self.map {
            Some(map) => bytemuck::cast_slice(&map[..self.len * size_of::<T>()]),
            None => &[],
        }
    }

    pub(crate) fn values_mut(&mut self) -> &mut [T] {
        match &mut self.map {
            Some(map) => bytemuck::cast_slice_mut(&mut map[..self.len * size_of::<T>()]),
            None => &mut [],
        }
    }
}
