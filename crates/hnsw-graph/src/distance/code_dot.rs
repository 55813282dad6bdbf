//! Dot products of 8-bit codes, exact on every path.

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Vnni, maddubs};

/// Codes per cache line. Rows are whole lines.
const LINE: usize = 64;

/// The dot product on any machine.
pub(super) fn plain(a: &[i8], b: &[i8]) -> i32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| i32::from(*a) * i32::from(*b))
        .sum()
}

/// Written so that compilers emit multiply-adds of neighbouring pairs.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) fn pairs(a: &[i8], b: &[i8]) -> i32 {
    let mut sums = [0_i32; LINE / 2];
    let (a, _) = a.as_chunks::<LINE>();
    let (b, _) = b.as_chunks::<LINE>();
    for (a, b) in a.iter().zip(b) {
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum += i32::from(a[2 * at]) * i32::from(b[2 * at])
                + i32::from(a[2 * at + 1]) * i32::from(b[2 * at + 1]);
        }
    }
    sums.iter().sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_reduce_add_epi32,
        _mm512_set1_epi8, _mm512_setzero_si512, _mm512_xor_si512,
    };

    use bytemuck::cast;
    use pulp::core_arch::x86::{Avx, Avx2};

    use super::LINE;

    pulp::simd_type! {
        /// Proof that the processor multiplies and adds four bytes at once.
        pub(in super::super) struct Vnni {
            avx512f: "avx512f",
            avx512bw: "avx512bw",
            avx512vnni: "avx512vnni",
        }
    }

    impl Vnni {
        /// The dot product. The caller knows the sum of the codes of `b`.
        #[inline]
        pub(in super::super) fn dot(self, a: &[i8], b: &[i8], sum_of_b: i32) -> i32 {
            #[expect(unsafe_code, reason = "no library offers this instruction safely")]
            // SAFETY: a value of this type exists only where the processor has the features.
            let shifted = unsafe { dpbusd(a, b) };
            shifted - 128 * sum_of_b
        }
    }

    /// The sum of `(a + 128) · b`, because the instruction takes one side without signs.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn dpbusd(a: &[i8], b: &[i8]) -> i32 {
        let flip = _mm512_set1_epi8(i8::MIN);
        let step = |sum: __m512i, a: &[i8; LINE], b: &[i8; LINE]| {
            _mm512_dpbusd_epi32(sum, _mm512_xor_si512(cast(*a), flip), cast(*b))
        };
        let mut sums = [_mm512_setzero_si512(); 2];
        let (a, _) = a.as_chunks::<LINE>();
        let (b, _) = b.as_chunks::<LINE>();
        let (a, a_rest) = a.as_chunks::<2>();
        let (b, b_rest) = b.as_chunks::<2>();
        for (a, b) in a.iter().zip(b) {
            sums[0] = step(sums[0], &a[0], &b[0]);
            sums[1] = step(sums[1], &a[1], &b[1]);
        }
        for (a, b) in a_rest.iter().zip(b_rest) {
            sums[0] = step(sums[0], a, b);
        }
        _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
    }

    /// Adds pairs of products in 16 bits: two of ±127 · ±127 just fit.
    #[inline(always)]
    pub(in super::super) fn maddubs(avx: Avx, avx2: Avx2, a: &[i8], b: &[i8]) -> i32 {
        let ones = avx._mm256_set1_epi16(1);
        let mut sums = [avx._mm256_setzero_si256(); 2];
        let (a, _) = a.as_chunks::<{ LINE / 2 }>();
        let (b, _) = b.as_chunks::<{ LINE / 2 }>();
        for (at, (a, b)) in a.iter().zip(b).enumerate() {
            let (a, b): (__m256i, __m256i) = (cast(*a), cast(*b));
            let products =
                avx2._mm256_maddubs_epi16(avx2._mm256_abs_epi8(a), avx2._mm256_sign_epi8(b, a));
            let sum = &mut sums[at % 2];
            *sum = avx2._mm256_add_epi32(*sum, avx2._mm256_madd_epi16(products, ones));
        }
        let sums: [i32; 8] = cast(avx2._mm256_add_epi32(sums[0], sums[1]));
        sums.iter().sum()
    }
}
