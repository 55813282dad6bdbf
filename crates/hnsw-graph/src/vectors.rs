//! Vectors in one block of memory. Rows start at cache lines and are padded with zeros to whole
//! ones.

use bytemuck::{Pod, Zeroable};

use super::block::Block;

/// Elements per cache line. Every row is a multiple of it.
pub(crate) const LANES: usize = 16;

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// Vectors of one dimension, as rows.
#[derive(Debug)]
pub(crate) struct Vectors {
    dimension: usize,
    lines_per_row: usize,
    lines: Block<Line>,
}

impl Vectors {
    pub(crate) fn new(dimension: usize) -> Self {
        Self {
            dimension,
            lines_per_row: dimension.div_ceil(LANES),
            lines: Block::new(),
        }
    }

    /// Reserves room for exactly `rows` more rows. Growth by doubling would double the memory.
    pub(crate) fn reserve(&mut self, rows: usize) {
        let lines = rows.saturating_mul(self.lines_per_row);
        self.lines.reserve(lines);
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.values().len() / self.lines_per_row.max(1)
    }

    /// Elements of a padded row.
    pub(crate) fn padded(&self) -> usize {
        self.lines_per_row * LANES
    }

    /// Row `at`, padding included.
    #[inline]
    pub(crate) fn row(&self, at: u32) -> &[f32] {
        let first = at as usize * self.lines_per_row;
        bytemuck::cast_slice(&self.lines.values()[first..first + self.lines_per_row])
    }

    /// Row `at` without padding.
    pub(crate) fn get(&self, at: u32) -> &[f32] {
        &self.row(at)[..self.dimension]
    }

    /// Appends a row of zeros.
    pub(crate) fn push_zeros(&mut self) -> &mut [f32] {
        let lines = self.lines.push_zeros(self.lines_per_row);
        &mut bytemuck::cast_slice_mut(lines)[..self.dimension]
    }

    /// Appends `count` rows of zeros.
    pub(crate) fn push_rows(&mut self, count: usize) -> impl Iterator<Item = &mut [f32]> {
        let (padded, dimension) = (self.padded().max(LANES), self.dimension);
        let lines = self.lines.push_zeros(count * self.lines_per_row);
        bytemuck::cast_slice_mut(lines)
            .chunks_exact_mut(padded)
            .map(move |row| &mut row[..dimension])
    }

    /// Copies a row over another.
    pub(crate) fn move_row(&mut self, from: u32, to: u32) {
        let first = from as usize * self.lines_per_row;
        let row = first..first + self.lines_per_row;
        self.lines
            .values_mut()
            .copy_within(row, to as usize * self.lines_per_row);
    }

    /// Keeps the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.lines.truncate(rows * self.lines_per_row);
    }

    /// A copy of `vector`, padded as the rows are and aligned to a cache line.
    pub(crate) fn padded_copy(&self, vector: &[f32]) -> Self {
        let mut one = Self::new(self.dimension);
        one.push_zeros().copy_from_slice(vector);
        one
    }
}
