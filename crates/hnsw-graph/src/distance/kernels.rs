//! The arithmetic of distances, for each instruction set. The program chooses one when it runs.
//!
//! Every path adds the same 64 partial sums in the same order, without fused operations. So all
//! give the same bits, and a graph does not depend on the machine that built it.

use pulp::{Simd, WithSimd};

use super::code_dot;
#[cfg(target_arch = "x86_64")]
use super::code_dot::Vnni;

/// Partial sums per kernel. Rows are whole multiples of [`super::super::vectors::LANES`].
const SUMS: usize = 64;

/// Dot products and squared differences on one instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernels(Path);

#[derive(Debug, Clone, Copy)]
enum Path {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4, Option<Vnni>),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    Plain,
}

impl Kernels {
    /// The fastest instruction set of this machine.
    pub(crate) fn detect() -> Self {
        Self::available()[0]
    }

    /// All instruction sets of this machine, fastest first. Plain code is the last.
    pub(crate) fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = pulp::x86::V4::try_new() {
                found.extend(Vnni::try_new().map(|vnni| Path::Avx512(simd, Some(vnni))));
                found.push(Path::Avx512(simd, None));
            }
            found.extend(pulp::x86::V3::try_new().map(Path::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        found.extend(pulp::aarch64::Neon::try_new().map(Path::Neon));
        found.push(Path::Plain);
        found.into_iter().map(Self).collect()
    }

    /// The name of the instruction set.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_, Some(_)) => "avx512vnni",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_, None) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Path::Neon(_) => "neon",
            Path::Plain => "plain",
        }
    }

    /// The dot product of two padded rows.
    pub(crate) fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        self.sum::<false>(a, b)
    }

    /// The sum of squared differences of two padded rows.
    pub(crate) fn squared(self, a: &[f32], b: &[f32]) -> f32 {
        self.sum::<true>(a, b)
    }

    #[inline]
    fn sum<const SQUARED: bool>(self, a: &[f32], b: &[f32]) -> f32 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(simd, _) => Simd::vectorize(simd, Sum::<SQUARED> { a, b }),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(simd) => Simd::vectorize(simd, Sum::<SQUARED> { a, b }),
            #[cfg(target_arch = "aarch64")]
            Path::Neon(simd) => Simd::vectorize(simd, Sum::<SQUARED> { a, b }),
            Path::Plain => plain::<SQUARED>(a, b),
        }
    }

    /// The exact dot product of two rows of codes. `sum_of_b` is the sum of the second.
    #[inline]
    pub(crate) fn code_dot(self, a: &[i8], b: &[i8], sum_of_b: i32) -> i32 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_, Some(vnni)) => vnni.dot(a, b, sum_of_b),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(simd, None) => simd.vectorize(
                #[inline(always)]
                || code_dot::maddubs(simd.avx, simd.avx2, a, b),
            ),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(simd) => simd.vectorize(
                #[inline(always)]
                || code_dot::maddubs(simd.avx, simd.avx2, a, b),
            ),
            #[cfg(target_arch = "aarch64")]
            Path::Neon(simd) => simd.vectorize(
                #[inline(always)]
                || code_dot::pairs(a, b),
            ),
            Path::Plain => code_dot::plain(a, b),
        }
    }

    /// Runs `work`, inlined into this function and compiled for the machine's instructions.
    #[inline]
    pub(crate) fn vectorized<T>(self, work: impl FnOnce() -> T) -> T {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(simd, _) => simd.vectorize(work),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(simd) => simd.vectorize(work),
            #[cfg(target_arch = "aarch64")]
            Path::Neon(simd) => simd.vectorize(work),
            Path::Plain => work(),
        }
    }

    /// Asks the processor to fetch the first lines of the next row.
    #[inline]
    pub(crate) fn prefetch<T>(self, row: &[T]) {
        const LINES: usize = 24;
        let line = (64 / size_of::<T>()).max(1);
        #[cfg(target_arch = "x86_64")]
        {
            let sse = match self.0 {
                Path::Avx512(simd, _) => simd.sse,
                Path::Avx2(simd) => simd.sse,
                Path::Plain => return,
            };
            for first in row.iter().step_by(line).take(LINES) {
                sse._mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                    std::ptr::from_ref(first).cast(),
                );
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (row, line, LINES);
    }
}

struct Sum<'r, const SQUARED: bool> {
    a: &'r [f32],
    b: &'r [f32],
}

impl<const SQUARED: bool> WithSimd for Sum<'_, SQUARED> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let registers = SUMS / S::F32_LANES;
        let line = super::super::vectors::LANES / S::F32_LANES;
        let (a, _) = S::as_simd_f32s(self.a);
        let (b, _) = S::as_simd_f32s(self.b);
        let (a, b) = (a.chunks_exact(registers), b.chunks_exact(registers));
        let (a_rest, b_rest) = (a.remainder(), b.remainder());
        // NEON has the most registers: 16 of 4 lanes.
        let mut sums = [simd.splat_f32s(0.0); 16];
        let add = |sum: S::f32s, a: S::f32s, b: S::f32s| {
            if SQUARED {
                let difference = simd.sub_f32s(a, b);
                simd.add_f32s(sum, simd.mul_f32s(difference, difference))
            } else {
                simd.add_f32s(sum, simd.mul_f32s(a, b))
            }
        };
        for (a, b) in a.zip(b) {
            for at in 0..registers {
                sums[at] = add(sums[at], a[at], b[at]);
            }
        }
        for (a, b) in a_rest.chunks_exact(line).zip(b_rest.chunks_exact(line)) {
            for at in 0..line {
                sums[at] = add(sums[at], a[at], b[at]);
            }
        }
        let mut out = [0.0; SUMS];
        let (slots, _) = S::as_mut_simd_f32s(&mut out);
        slots.copy_from_slice(&sums[..registers]);
        total(&out)
    }
}

fn plain<const SQUARED: bool>(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = super::super::vectors::LANES;
    let add = |sum: &mut f32, a: f32, b: f32| {
        let term = if SQUARED { a - b } else { a };
        *sum += term * if SQUARED { term } else { b };
    };
    let mut sums = [[0.0; LANES]; SUMS / LANES];
    let (a, a_rest) = a.as_chunks::<SUMS>();
    let (b, b_rest) = b.as_chunks::<SUMS>();
    for (a, b) in a.iter().zip(b) {
        for (line, sums) in sums.iter_mut().enumerate() {
            for (at, sum) in sums.iter_mut().enumerate() {
                add(sum, a[line * LANES + at], b[line * LANES + at]);
            }
        }
    }
    let (a, _) = a_rest.as_chunks::<LANES>();
    let (b, _) = b_rest.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for (at, sum) in sums[0].iter_mut().enumerate() {
            add(sum, a[at], b[at]);
        }
    }
    total(sums.as_flattened().try_into().unwrap_or(&[0.0; SUMS]))
}

/// Adds up the partial sums. Not inlined: merged with the loops above, it makes the compiler keep
/// the sums in the wrong registers.
#[inline(never)]
fn total(sums: &[f32; SUMS]) -> f32 {
    let mut sixteen = [0.0; 16];
    for (at, sum) in sixteen.iter_mut().enumerate() {
        *sum = (sums[at] + sums[16 + at]) + (sums[32 + at] + sums[48 + at]);
    }
    let mut four = [0.0; 4];
    for (at, sum) in four.iter_mut().enumerate() {
        *sum = (sixteen[at] + sixteen[8 + at]) + (sixteen[4 + at] + sixteen[12 + at]);
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_instruction_set_gives_the_same_distance(
            lines in 0_usize..40,
            seed: u64,
            scale in prop::sample::select(vec![1e-10_f32, 1.0, 1e15]),
        ) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut row = || -> Vec<f32> {
                (0..lines * 16).map(|_| (rng.f32() - 0.5) * scale).collect()
            };
            let (a, b) = (row(), row());
            let plain = Kernels(Path::Plain);
            for kernels in Kernels::available() {
                prop_assert_eq!(kernels.dot(&a, &b).to_bits(), plain.dot(&a, &b).to_bits());
                prop_assert_eq!(kernels.squared(&a, &b).to_bits(), plain.squared(&a, &b).to_bits());
            }
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let size: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) * f64::from(*b)).abs()).sum();
            prop_assert!((f64::from(plain.dot(&a, &b)) - exact).abs() <= 1e-5 * size);
        }

        #[test]
        fn every_instruction_set_gives_the_same_dot_product_of_codes(lines in 0_usize..30, seed: u64) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut row = || -> Vec<i8> { (0..lines * 64).map(|_| rng.i8(-127..=127)).collect() };
            let (a, b) = (row(), row());
            let sum = b.iter().map(|code| i32::from(*code)).sum();
            for kernels in Kernels::available() {
                prop_assert_eq!(kernels.code_dot(&a, &b, sum), code_dot::plain(&a, &b), "{}", kernels.name());
            }
        }
    }
}
