//! Distances between elements.

mod code_dot;
mod codes;
mod fidelity;
mod kernels;
mod shadow;

use super::vectors::Vectors;
use crate::Space;

use codes::Codes;
use fidelity::faithful;
pub(crate) use kernels::Kernels;
pub(crate) use shadow::Shadow;

/// Distances from one fixed point to the elements of a graph.
pub(super) trait Origin: Copy {
    fn to(&self, element: u32) -> f32;

    /// Hints that `element` is needed soon.
    fn prefetch(&self, element: u32);
}

/// Distances between the elements of a graph.
pub(super) trait Between: Sync {
    type Origin<'m>: Origin
    where
        Self: 'm;

    fn origin(&self, element: u32) -> Self::Origin<'_>;
}

/// Distances between the vectors themselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact<'v> {
    pub(super) kernels: Kernels,
    pub(super) space: Space,
    pub(super) vectors: &'v Vectors,
}

/// A padded row, and the vectors that it is compared with.
#[derive(Clone, Copy)]
pub(super) struct ExactOrigin<'v> {
    exact: Exact<'v>,
    row: &'v [f32],
}

impl<'v> Exact<'v> {
    /// Distances from a row that is padded as the graph's rows are.
    pub(super) fn at(self, row: &'v [f32]) -> ExactOrigin<'v> {
        ExactOrigin { exact: self, row }
    }
}

impl Between for Exact<'_> {
    type Origin<'m>
        = ExactOrigin<'m>
    where
        Self: 'm;

    #[inline]
    fn origin(&self, element: u32) -> ExactOrigin<'_> {
        self.at(self.vectors.row(element))
    }
}

impl Origin for ExactOrigin<'_> {
    #[inline]
    fn to(&self, element: u32) -> f32 {
        let other = self.exact.vectors.row(element);
        match self.exact.space {
            Space::L2 => self.exact.kernels.squared(self.row, other),
            Space::Ip | Space::Cosine => 1.0 - self.exact.kernels.dot(self.row, other),
        }
    }

    #[inline]
    fn prefetch(&self, element: u32) {
        self.exact.kernels.prefetch(self.exact.vectors.row(element));
    }
}
