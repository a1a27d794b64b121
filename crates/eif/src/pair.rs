//! The compression function of SHA-384 on two messages at once, one in each lane of a vector register.
//!
//! Where the CPU has the AVX-512 of Ice Lake and Zen 4 or later, one instruction rotates both lanes and one combines
//! three registers, so that two blocks together cost less than one by scalar code (`docs/adr/0013-hashing.md` has the
//! figures). Elsewhere there is no [`Pairs`], and `sha2` hashes each message by itself.
//! Padding and partial blocks are the caller's. Source: FIPS 180-4, sections 4.1.3, 4.2.3 and 6.4.2.

/// The state of one message: the standard's H0 to H7.
pub(crate) type State = [u64; 8];
/// Sixteen big-endian words of a message.
pub(crate) type Block = [u8; 128];

#[cfg(target_arch = "x86_64")]
type Token = fearless_simd::x86::Avx512;
/// Other CPUs get no such code: no value exists.
#[cfg(not(target_arch = "x86_64"))]
type Token = core::convert::Infallible;

/// Proof that this CPU can compress pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pairs(Token);

impl Pairs {
    /// `Some` where a pair is faster than one message after the other.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn detect() -> Option<Self> {
        fearless_simd::Level::new().as_avx512().map(Self)
    }

    /// `Some` where a pair is faster than one message after the other.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn detect() -> Option<Self> {
        None
    }

    /// Takes each message's blocks into its state. Blocks that have no partner in the other message are not looked at.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn compress(self, [one, other]: [&mut State; 2], [ones, others]: [&[Block]; 2]) {
        avx512::compress(self.0, one, other, ones, others);
    }

    /// Takes each message's blocks into its state. Blocks that have no partner in the other message are not looked at.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn compress(self, _: [&mut State; 2], _: [&[Block]; 2]) {
        match self.0 {}
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::{
        __m128i, __m256i, _mm_add_epi64, _mm_ror_epi64, _mm_ternarylogic_epi64, _mm256_add_epi64,
        _mm256_alignr_epi64, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_permute4x64_epi64,
        _mm256_ror_epi64, _mm256_set_epi64x, _mm256_set_m128i, _mm256_shuffle_epi8, _mm256_srli_epi64,
        _mm256_ternarylogic_epi64,
    };

    use fearless_simd::prelude::*;
    use fearless_simd::{u8x16, u8x32, u64x2};

    use super::{Block, State};

    // Truth tables of `_mm_ternarylogic_epi64`: bit 4x + 2y + z is the result for the bits x, y, z.
    const PARITY: i32 = 0b1001_0110;
    const CHOICE: i32 = 0b1100_1010;
    const MAJORITY: i32 = 0b1110_1000;

    /// A shuffle that reverses the bytes of each lane.
    const SWAP: [u8; 32] = [
        7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10,
        9, 8,
    ];

    /// The standard's upper-case sigmas.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn big_sigma<const A: i32, const B: i32, const C: i32>(x: __m128i) -> __m128i {
        let [a, b, c] = [
            _mm_ror_epi64::<A>(x),
            _mm_ror_epi64::<B>(x),
            _mm_ror_epi64::<C>(x),
        ];
        _mm_ternarylogic_epi64::<PARITY>(a, b, c)
    }

    /// The standard's lower-case sigmas: the third is a shift.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn small_sigma<const A: i32, const B: i32, const C: i32>(x: __m256i) -> __m256i {
        let [a, b, c] = [
            _mm256_ror_epi64::<A>(x),
            _mm256_ror_epi64::<B>(x),
            _mm256_srli_epi64::<C>(x),
        ];
        _mm256_ternarylogic_epi64::<PARITY>(a, b, c)
    }

    /// One round; `word` is the sum of the schedule's word and the round's constant.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    #[expect(clippy::many_single_char_names, reason = "the standard's names")]
    fn round([a, b, c, d, e, f, g, h]: [__m128i; 8], word: __m128i) -> [__m128i; 8] {
        let choice = _mm_ternarylogic_epi64::<CHOICE>(e, f, g);
        let majority = _mm_ternarylogic_epi64::<MAJORITY>(a, b, c);
        let sigma_e = big_sigma::<14, 18, 41>(e);
        let sigma_a = big_sigma::<28, 34, 39>(a);
        // In this order, so that what the next round waits for comes last.
        let ready = _mm_add_epi64(_mm_add_epi64(h, word), choice);
        let new_e = _mm_add_epi64(_mm_add_epi64(d, ready), sigma_e);
        let first = _mm_add_epi64(ready, sigma_e);
        let new_a = _mm_add_epi64(_mm_add_epi64(first, majority), sigma_a);
        [new_a, a, b, c, new_e, e, f, g]
    }

    /// The words t and t + 1 of the schedule. `w16` has the words t - 16 and t - 15, and so on to `w2`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn next_words(w16: __m256i, w14: __m256i, w8: __m256i, w6: __m256i, w2: __m256i) -> __m256i {
        let w15 = _mm256_alignr_epi64::<2>(w14, w16);
        let w7 = _mm256_alignr_epi64::<2>(w6, w8);
        let sigmas = _mm256_add_epi64(small_sigma::<1, 8, 7>(w15), small_sigma::<19, 61, 6>(w2));
        _mm256_add_epi64(_mm256_add_epi64(w16, w7), sigmas)
    }

    /// Two rounds, for two words of the schedule.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn two_rounds(state: [__m128i; 8], words: __m256i, [first, second]: [u64; 2]) -> [__m128i; 8] {
        let (first, second) = (first.cast_signed(), second.cast_signed());
        let sums = _mm256_add_epi64(words, _mm256_set_epi64x(second, second, first, first));
        let state = round(state, _mm256_castsi256_si128(sums));
        round(state, _mm256_extracti128_si256::<1>(sums))
    }

    // `kernel!` writes the call that only a CPU with these instructions may make, and asks for the proof of it.
    fearless_simd::kernel!(
        pub(super) fn compress(
            simd: Avx512,
            one: &mut State,
            other: &mut State,
            ones: &[Block],
            others: &[Block],
        ) {
            // Without iterators, whose code is not compiled for these instructions and stays a call.
            macro_rules! eight {
                ($of:ident) => {
                    [
                        $of!(0),
                        $of!(1),
                        $of!(2),
                        $of!(3),
                        $of!(4),
                        $of!(5),
                        $of!(6),
                        $of!(7),
                    ]
                };
            }
            macro_rules! word_of_both {
                ($i:literal) => {
                    __m128i::from(u64x2::simd_from(simd, [one[$i], other[$i]]))
                };
            }
            let swap = __m256i::from(u8x32::simd_from(simd, SWAP));
            let mut state = eight!(word_of_both);
            for (block, other_block) in ones.iter().zip(others) {
                // Two words of one block and two of the other, as one, other, one, other.
                macro_rules! words_of_both {
                    ($i:literal) => {{
                        let low = u8x16::from_slice(simd, &block[16 * $i..16 * $i + 16]);
                        let high = u8x16::from_slice(simd, &other_block[16 * $i..16 * $i + 16]);
                        let both = _mm256_shuffle_epi8(_mm256_set_m128i(high.into(), low.into()), swap);
                        _mm256_permute4x64_epi64::<0b11_01_10_00>(both)
                    }};
                }
                let mut w = eight!(words_of_both);
                let mut s = state;
                // Written out, so that the schedule stays in registers: the compiler does not unroll this much.
                macro_rules! each {
                    ($step:ident, $constants:expr) => {{
                        let [k0, k1, k2, k3, k4, k5, k6, k7] = *$constants;
                        $step!(0, k0);
                        $step!(1, k1);
                        $step!(2, k2);
                        $step!(3, k3);
                        $step!(4, k4);
                        $step!(5, k5);
                        $step!(6, k6);
                        $step!(7, k7);
                    }};
                }
                macro_rules! last {
                    ($i:literal, $constants:ident) => {
                        s = two_rounds(s, w[$i], $constants);
                    };
                }
                macro_rules! replaced {
                    ($i:literal, $constants:ident) => {
                        last!($i, $constants);
                        w[$i] = next_words(
                            w[$i],
                            w[($i + 1) % 8],
                            w[($i + 4) % 8],
                            w[($i + 5) % 8],
                            w[($i + 7) % 8],
                        );
                    };
                }
                let [turns @ .., last_turn] = &CONSTANTS;
                for constants in turns {
                    each!(replaced, constants);
                }
                each!(last, last_turn);
                macro_rules! added {
                    ($i:literal) => {
                        _mm_add_epi64(state[$i], s[$i])
                    };
                }
                state = eight!(added);
            }
            macro_rules! unpack {
                ($i:literal) => {
                    <[u64; 2]>::from(u64x2::simd_from(simd, state[$i]))
                };
            }
            let words = eight!(unpack);
            *one = words.map(|[word, _]| word);
            *other = words.map(|[_, word]| word);
        }
    );

    /// The first 64 bits of the fractional parts of the cube roots of the first eighty primes: two for two rounds, eight
    /// of those for a turn of the schedule.
    #[rustfmt::skip]
    const CONSTANTS: [[[u64; 2]; 8]; 5] = [
        [
            [0x428a_2f98_d728_ae22, 0x7137_4491_23ef_65cd], [0xb5c0_fbcf_ec4d_3b2f, 0xe9b5_dba5_8189_dbbc],
            [0x3956_c25b_f348_b538, 0x59f1_11f1_b605_d019], [0x923f_82a4_af19_4f9b, 0xab1c_5ed5_da6d_8118],
            [0xd807_aa98_a303_0242, 0x1283_5b01_4570_6fbe], [0x2431_85be_4ee4_b28c, 0x550c_7dc3_d5ff_b4e2],
            [0x72be_5d74_f27b_896f, 0x80de_b1fe_3b16_96b1], [0x9bdc_06a7_25c7_1235, 0xc19b_f174_cf69_2694],
        ],
        [
            [0xe49b_69c1_9ef1_4ad2, 0xefbe_4786_384f_25e3], [0x0fc1_9dc6_8b8c_d5b5, 0x240c_a1cc_77ac_9c65],
            [0x2de9_2c6f_592b_0275, 0x4a74_84aa_6ea6_e483], [0x5cb0_a9dc_bd41_fbd4, 0x76f9_88da_8311_53b5],
            [0x983e_5152_ee66_dfab, 0xa831_c66d_2db4_3210], [0xb003_27c8_98fb_213f, 0xbf59_7fc7_beef_0ee4],
            [0xc6e0_0bf3_3da8_8fc2, 0xd5a7_9147_930a_a725], [0x06ca_6351_e003_826f, 0x1429_2967_0a0e_6e70],
        ],
        [
            [0x27b7_0a85_46d2_2ffc, 0x2e1b_2138_5c26_c926], [0x4d2c_6dfc_5ac4_2aed, 0x5338_0d13_9d95_b3df],
            [0x650a_7354_8baf_63de, 0x766a_0abb_3c77_b2a8], [0x81c2_c92e_47ed_aee6, 0x9272_2c85_1482_353b],
            [0xa2bf_e8a1_4cf1_0364, 0xa81a_664b_bc42_3001], [0xc24b_8b70_d0f8_9791, 0xc76c_51a3_0654_be30],
            [0xd192_e819_d6ef_5218, 0xd699_0624_5565_a910], [0xf40e_3585_5771_202a, 0x106a_a070_32bb_d1b8],
        ],
        [
            [0x19a4_c116_b8d2_d0c8, 0x1e37_6c08_5141_ab53], [0x2748_774c_df8e_eb99, 0x34b0_bcb5_e19b_48a8],
            [0x391c_0cb3_c5c9_5a63, 0x4ed8_aa4a_e341_8acb], [0x5b9c_ca4f_7763_e373, 0x682e_6ff3_d6b2_b8a3],
            [0x748f_82ee_5def_b2fc, 0x78a5_636f_4317_2f60], [0x84c8_7814_a1f0_ab72, 0x8cc7_0208_1a64_39ec],
            [0x90be_fffa_2363_1e28, 0xa450_6ceb_de82_bde9], [0xbef9_a3f7_b2c6_7915, 0xc671_78f2_e372_532b],
        ],
        [
            [0xca27_3ece_ea26_619c, 0xd186_b8c7_21c0_c207], [0xeada_7dd6_cde0_eb1e, 0xf57d_4f7f_ee6e_d178],
            [0x06f0_67aa_7217_6fba, 0x0a63_7dc5_a2c8_98a6], [0x113f_9804_bef9_0dae, 0x1b71_0b35_131c_471b],
            [0x28db_77f5_2304_7d84, 0x32ca_ab7b_40c7_2493], [0x3c9e_be0a_15c9_bebc, 0x431d_67c4_9c10_0d4c],
            [0x4cc5_d4be_cb3e_42b6, 0x597f_299c_fc65_7e2a], [0x5fcb_6fab_3ad6_faec, 0x6c44_198c_4a47_5817],
        ],
    ];
}
