//! Vectors rounded to 8 bits per element: a shadow to find neighbours by while a graph is built.
//! Never stored, and never what a search's answer is measured with.

use bytemuck::{Pod, Zeroable};

use super::{Between, Kernels, Origin};
use crate::Space;
use crate::graph::vectors::Vectors;

const LANES: usize = 64;
/// Rounding to 8 bits is noise of about 1/250 of the largest element, averaged over the
/// dimensions: below this many it is not small any more.
const MIN_DIMENSION: usize = 256;
/// For fewer new elements than one in so many, encoding the old ones costs more than it saves.
const WORTHWHILE: usize = 64;
/// 1.5 · 2^23: added to a small number, it leaves the fraction no bits.
const ROUNDING: f32 = 12_582_912.0;

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([i8; LANES]);

/// The codes of all elements.
#[derive(Debug)]
pub(crate) struct Codes {
    kernels: Kernels,
    lines_per_row: usize,
    lines: Vec<Line>,
    /// What a unit of a row's codes is worth.
    scales: Vec<f32>,
    /// The sum of a row's codes.
    sums: Vec<i32>,
}

impl Codes {
    /// Whether codes find the same neighbours as vectors, sooner.
    ///
    /// Only under cosine, where all vectors have length 1: inner products and Euclidean distances
    /// of vectors of any length can differ by less than the rounding.
    pub(crate) fn suit(space: Space, dimension: usize, new: usize, all: usize) -> bool {
        space == Space::Cosine
            && dimension >= MIN_DIMENSION
            && new.saturating_mul(WORTHWHILE) >= all
    }

    pub(crate) fn of(vectors: &Vectors, kernels: Kernels) -> Self {
        let lines_per_row = vectors.dimension().div_ceil(LANES);
        let mut codes = Self {
            kernels,
            lines_per_row,
            lines: vec![Line::zeroed(); vectors.len() * lines_per_row],
            scales: Vec::with_capacity(vectors.len()),
            sums: Vec::with_capacity(vectors.len()),
        };
        for (at, lines) in codes
            .lines
            .chunks_exact_mut(lines_per_row.max(1))
            .enumerate()
        {
            let vector = vectors.get(u32::try_from(at).unwrap_or(u32::MAX));
            let largest = vector.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
            let scale = largest / 127.0;
            let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            let row: &mut [i8] = bytemuck::cast_slice_mut(lines);
            for (code, element) in row.iter_mut().zip(vector) {
                // The low bits of the sum are the nearest whole number: no call per element.
                *code = (element * inverse + ROUNDING).to_bits() as i8;
            }
            codes.scales.push(scale);
            codes
                .sums
                .push(row.iter().map(|code| i32::from(*code)).sum());
        }
        codes
    }

    #[inline]
    fn row(&self, element: u32) -> &[i8] {
        let first = element as usize * self.lines_per_row;
        bytemuck::cast_slice(&self.lines[first..first + self.lines_per_row])
    }
}

/// A row of codes, and what it is compared with.
#[derive(Clone, Copy)]
pub(crate) struct CodesOrigin<'c> {
    codes: &'c Codes,
    row: &'c [i8],
    scale: f32,
}

impl Between for Codes {
    type Origin<'m> = CodesOrigin<'m>;

    #[inline]
    fn origin(&self, element: u32) -> CodesOrigin<'_> {
        CodesOrigin {
            codes: self,
            row: self.row(element),
            scale: self.scales[element as usize],
        }
    }
}

impl Origin for CodesOrigin<'_> {
    #[inline]
    fn to(&self, element: u32) -> f32 {
        let dot = self.codes.kernels.code_dot(
            self.row,
            self.codes.row(element),
            self.codes.sums[element as usize],
        );
        1.0 - self.scale * self.codes.scales[element as usize] * dot as f32
    }

    #[inline]
    fn prefetch(&self, element: u32) {
        self.codes.kernels.prefetch(self.codes.row(element));
    }
}
