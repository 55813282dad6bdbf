//! Vectors rounded to 8 bits per element, to find neighbours with while a graph is built.
//!
//! Codes are never stored, and no search measures its answer with them.

use bytemuck::{Pod, Zeroable};

use super::{Between, Exact, Kernels, Origin};
use crate::Space;
use crate::block::Block;
use crate::vectors::Vectors;

const LANES: usize = 64;
/// Least elements per vector: shorter vectors are as fast without codes.
const MIN_DIMENSION: usize = 128;
/// Most elements per vector: with more, sums of products could pass 32 bits.
const MAX_DIMENSION: usize = 1 << 15;
/// Encoding pays off if at least one element in this many is new.
const WORTHWHILE: usize = 64;
/// 1.5 · 2^23: added to a small number, it rounds away the fraction.
const ROUNDING: f32 = 12_582_912.0;
/// Most vectors in the mean that gives the centre.
const CENTRE_SAMPLE: usize = 1024;

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([i8; LANES]);

/// How to read a row of codes. It has a cache line of its own before them: code that wants one
/// wants the other, and the processor fetches neighbouring lines together.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Row {
    /// The value of one unit of a code.
    scale: f32,
    /// The sum of the codes.
    sum: i32,
    /// The squared distance from the centre. Only the space L2 needs it.
    squared: f32,
}

/// The codes of all elements.
#[derive(Debug)]
pub(crate) struct Codes {
    kernels: Kernels,
    space: Space,
    /// Cache lines per row: one for its [`Row`], and those of its codes.
    lines_per_row: usize,
    lines: Block<Line>,
    /// The vector that is subtracted before rounding.
    centre: Vec<f32>,
}

impl Codes {
    /// Whether codes could find the same neighbours as vectors, and faster.
    pub(crate) fn suit(dimension: usize, new: usize, all: usize) -> bool {
        (MIN_DIMENSION..=MAX_DIMENSION).contains(&dimension)
            && new.saturating_mul(WORTHWHILE) >= all
    }

    /// Encodes all vectors, on `threads` threads.
    pub(crate) fn of(exact: Exact<'_>, threads: usize) -> Self {
        let mut codes = Self {
            kernels: exact.kernels,
            space: exact.space,
            lines_per_row: 1 + exact.vectors.dimension().div_ceil(LANES),
            lines: Block::new(),
            centre: centre(exact.vectors, exact.space),
        };
        codes.extend(exact, threads);
        codes
    }

    /// Encodes the vectors that were added since the last call.
    pub(crate) fn extend(&mut self, exact: Exact<'_>, threads: usize) {
        let Exact {
            kernels, vectors, ..
        } = exact;
        let lines_per_row = self.lines_per_row;
        let (first, end) = (self.lines.values().len() / lines_per_row, vectors.len());
        let lines = self.lines.push_zeros((end - first) * lines_per_row);
        let centre = &self.centre;
        let share = (end - first).div_ceil(threads.max(1)).max(1);
        std::thread::scope(|scope| {
            for (part, lines) in lines.chunks_mut(share * lines_per_row).enumerate() {
                scope.spawn(move || {
                    for (at, lines) in lines.chunks_exact_mut(lines_per_row).enumerate() {
                        let element = first + part * share + at;
                        let vector = vectors.row(u32::try_from(element).unwrap_or(u32::MAX));
                        let (head, codes) = lines.split_at_mut(1);
                        let codes = bytemuck::cast_slice_mut(codes);
                        let row = kernels.vectorized(
                            #[inline(always)]
                            || encode(vector, centre, codes),
                        );
                        head[0].set_row(row);
                    }
                });
            }
        });
    }

    #[inline]
    fn row(&self, element: u32) -> (Row, &[i8]) {
        let first = element as usize * self.lines_per_row;
        let (head, codes) = self.lines.values()[first..first + self.lines_per_row].split_at(1);
        (head[0].row(), bytemuck::cast_slice(codes))
    }
}

impl Line {
    #[inline]
    fn row(&self) -> Row {
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(&self.0[..size_of::<Row>()]))
    }

    fn set_row(&mut self, row: Row) {
        self.0[..size_of::<Row>()].copy_from_slice(bytemuck::cast_slice(&[row]));
    }
}

/// The centre of the vectors. Under L2 only differences count, and rounding would lose those
/// between vectors far from zero; so codes stand for what is left after the mean is subtracted.
/// Padded as rows are.
fn centre(vectors: &Vectors, space: Space) -> Vec<f32> {
    let mut sum = vec![0.0; vectors.dimension().next_multiple_of(crate::vectors::LANES)];
    let count = vectors.len().min(CENTRE_SAMPLE);
    if space != Space::L2 || count == 0 {
        return sum;
    }
    for at in 0..count {
        let element = u32::try_from(at * vectors.len() / count).unwrap_or(0);
        for (sum, x) in sum.iter_mut().zip(vectors.row(element)) {
            *sum += x / count as f32;
        }
    }
    sum
}

/// Plain loops over whole lanes, which compilers turn into the widest instructions of the machine.
#[inline(always)]
fn encode(vector: &[f32], centre: &[f32], codes: &mut [i8]) -> Row {
    const WIDTH: usize = crate::vectors::LANES;
    let (vector, _) = vector.as_chunks::<WIDTH>();
    let (centre, _) = centre.as_chunks::<WIDTH>();
    let (codes, _) = codes.as_chunks_mut::<WIDTH>();
    let (mut largest, mut squares) = ([0.0_f32; WIDTH], [0.0_f32; WIDTH]);
    for (vector, centre) in vector.iter().zip(centre) {
        for at in 0..WIDTH {
            let x = vector[at] - centre[at];
            squares[at] += x * x;
            largest[at] = if x.abs() > largest[at] {
                x.abs()
            } else {
                largest[at]
            };
        }
    }
    let largest = largest.iter().fold(0.0, |max, x| f32::max(max, *x));
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let mut sums = [0_i32; WIDTH];
    for ((vector, centre), codes) in vector.iter().zip(centre).zip(codes) {
        for at in 0..WIDTH {
            // The low bits of the sum are the nearest integer, without a call per element.
            let code = ((vector[at] - centre[at]) * inverse + ROUNDING).to_bits() as i8;
            codes[at] = code;
            sums[at] += i32::from(code);
        }
    }
    Row {
        scale: largest / 127.0,
        sum: sums.iter().sum(),
        squared: squares.iter().sum(),
    }
}

/// A row of codes, and the codes that it is compared with.
#[derive(Clone, Copy)]
pub(crate) struct CodesOrigin<'c> {
    codes: &'c Codes,
    row: &'c [i8],
    scale: f32,
    squared: f32,
}

impl Between for Codes {
    type Origin<'m> = CodesOrigin<'m>;

    #[inline]
    fn origin(&self, element: u32) -> CodesOrigin<'_> {
        let (row, codes) = self.row(element);
        CodesOrigin {
            codes: self,
            row: codes,
            scale: row.scale,
            squared: row.squared,
        }
    }
}

impl Origin for CodesOrigin<'_> {
    #[inline]
    fn to(&self, element: u32) -> f32 {
        let (other, codes) = self.codes.row(element);
        let dot = self.codes.kernels.code_dot(self.row, codes, other.sum);
        let dot = self.scale * other.scale * dot as f32;
        match self.codes.space {
            Space::L2 => self.squared + other.squared - 2.0 * dot,
            Space::Ip | Space::Cosine => 1.0 - dot,
        }
    }

    #[inline]
    fn prefetch(&self, element: u32) {
        let first = element as usize * self.codes.lines_per_row;
        let lines = &self.codes.lines.values()[first..first + self.codes.lines_per_row];
        self.codes.kernels.prefetch(lines);
    }
}
