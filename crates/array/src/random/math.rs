//! Elementary functions for the samplers: straight-line `f64` code that compilers vectorise.
//!
//! They promise the same bits on every machine and every instruction set, which the system's math library does not (it
//! picks other code with and without fused multiplication, and changes between versions): a seed's numbers must not
//! depend on which worker drew them. For that reason nothing here uses fused multiply-add, and only operations that
//! IEEE 754 defines exactly (`+ - * / sqrt`) appear. Errors are below 2 ulp where not
//! stated otherwise.
//!
//! Polynomials interpolate at Chebyshev nodes, computed with 60 decimal digits; each comment gives its relative error.

/// The `f64` whose value is the integer `word`, which must be below 2⁵². A vector unit without 64-bit integer
/// conversion (AVX2) does this in two instructions.
#[inline(always)]
pub(super) fn small_to_f64(word: u64) -> f64 {
    f64::from_bits(word | 0x4330_0000_0000_0000) - 4_503_599_627_370_496.0
}

/// A multiple of 2⁻⁵³ in [0, 1), from two 32-bit words.
#[inline(always)]
pub(super) fn unit_f64(low: u64, high: u64) -> f64 {
    small_to_f64(high) * (1.0 / 4_294_967_296.0) + small_to_f64(low >> 11) * (1.0 / 9_007_199_254_740_992.0)
}

/// A multiple of 2⁻²⁴ in [0, 1), from one 32-bit word. It is never rounded up to 1.
#[inline(always)]
pub(super) fn unit_f32(word: u64) -> f32 {
    ((word >> 8) as u32 as i32) as f32 * (1.0 / 16_777_216.0)
}

/// A number in (0, 1] with all 64 bits in play: its smallest value is 2⁻⁶⁵, for what takes a logarithm.
#[inline(always)]
pub(super) fn positive_unit(low: u64, high: u64) -> f64 {
    let tail = small_to_f64(low) * (0.5 / 9_223_372_036_854_775_808.0) + 0.25 / 9_223_372_036_854_775_808.0;
    small_to_f64(high) * (1.0 / 4_294_967_296.0) + tail
}

/// As [`positive_unit`], but below 1: for logarithms of logarithms.
#[inline(always)]
pub(super) fn tail_unit(low: u64, high: u64) -> f64 {
    positive_unit(low, high).min(1.0 - f64::EPSILON / 2.0)
}

/// A number in (0, 1), symmetric around one half: odd multiples of 2⁻⁵³.
#[inline(always)]
pub(super) fn open_unit(low: u64, high: u64) -> f64 {
    let mantissa = (high << 20) | (low >> 12);
    f64::from_bits(0x3FF0_0000_0000_0000 | mantissa) - (1.0 - 0.5 / 4_503_599_627_370_496.0)
}

const LN_2_HIGH: f64 = 0.6931471803691238;
const LN_2_LOW: f64 = 1.9082149292705877e-10;

/// Natural logarithm of a positive, finite, normal number.
#[inline(always)]
pub(super) fn ln(x: f64) -> f64 {
    // x = 2ᵏ·m with m in [√½, √2): the exponent field is split off after moving √½ to a power of two.
    const SQRT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
    let shifted = x.to_bits().wrapping_add(0x3FF0_0000_0000_0000 - SQRT_HALF);
    let k = small_to_f64(shifted >> 52) - 1023.0;
    let m = f64::from_bits((shifted & 0x000F_FFFF_FFFF_FFFF).wrapping_add(SQRT_HALF));
    // ln m = 2 atanh(s) = 2s + s·z·P(z), s = f / (2 + f), z = s²: relative error 4e-18.
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let z2 = z * z;
    let low = 0.666666666666667 + z * 0.39999999999899505;
    let mid = 0.28571428625975487 + z * 0.2222221113479508;
    let high = 0.18182889125261723 + z * (0.15331721600556042 + z * 0.14616449685043406);
    let p = z * (low + z2 * (mid + z2 * high));
    // 2s is replaced by f - s·f, so that the leading term is exact and the rest is a small correction:
    // ln m = f - (f²/2 - s·(f²/2 + zP)).
    let half_square = 0.5 * f * f;
    k * LN_2_HIGH - ((half_square - (s * (half_square + p) + k * LN_2_LOW)) - f)
}

/// Natural logarithm of 1 + x, for x > -1.
#[inline(always)]
pub(super) fn ln_1p(x: f64) -> f64 {
    // Kahan's correction: the rounding of 1 + x cancels in the quotient.
    let y = 1.0 + x;
    let correction = y - 1.0;
    if correction == 0.0 { x } else { ln(y) * (x / correction) }
}

/// e to the power x. Beyond ±745 it underflows to zero or overflows to infinity.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let (fraction, low, high) = exp_parts(x);
    (1.0 + fraction) * low * high
}

/// e to the power x, minus 1, for x above -700.
#[inline(always)]
pub(super) fn exp_m1(x: f64) -> f64 {
    let (fraction, low, high) = exp_parts(x);
    // 2ᵏ(1 + fraction) - 1, without rounding the fraction away when k = 0.
    let power = low * high;
    if x < 700.0 { power * fraction + (power - 1.0) } else { (1.0 + fraction) * low * high }
}

/// eˣ = (1 + fraction) · low · high: the powers of two come in two factors, because k reaches ±1082 and the exponent
/// field of one factor does not.
#[inline(always)]
fn exp_parts(x: f64) -> (f64, f64, f64) {
    let x = x.clamp(-750.0, 750.0);
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²: adding it rounds to an integer
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    // eʳ = 1 + r + r²·P(r): relative error 1e-17.
    let r2 = r * r;
    let a = 0.5000000000000001 + r * 0.16666666666666669;
    let b = 0.04166666666662413 + r * 0.008333333333330062;
    let c = 0.0013888888917213717 + r * 0.00019841269863053618;
    let d = 2.4801521295954376e-05 + r * 2.7557268459997064e-06;
    let e = 2.7620088445409746e-07 + r * 2.510038549551032e-08;
    let r4 = r2 * r2;
    let p = (a + r2 * b) + r4 * ((c + r2 * d) + r4 * e);
    let integer = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = integer >> 1;
    let power = |n: i32| f64::from_bits((((n + 1023) as u32) as u64) << 52);
    (r + r2 * p, power(half), power(integer - half))
}

/// Cosine and sine of a uniformly distributed angle, from two 32-bit words: two bits choose the quadrant, 52 the place
/// in it. There is no range reduction, hence no loss.
#[inline(always)]
pub(super) fn random_cos_sin(low: u64, high: u64) -> (f64, f64) {
    let quadrant = high >> 30;
    let mantissa = ((high & 0x3FFF_FFFF) << 22) | (low >> 10);
    // Odd multiples of 2⁻⁵³ in (-½, ½), in quarters of a turn.
    let f = f64::from_bits(0x3FF0_0000_0000_0000 | mantissa) - (1.5 - 0.5 / 4_503_599_627_370_496.0);
    let (cos, sin) = quarter_cos_sin(f);
    // A turn by the quadrant: swap when it is odd, then set the signs.
    let odd = quadrant & 1 != 0;
    let (a, b) = if odd { (sin, cos) } else { (cos, sin) };
    let sign_a = ((quadrant ^ (quadrant >> 1)) & 1) << 63;
    let sign_b = (quadrant >> 1) << 63;
    (f64::from_bits(a.to_bits() ^ sign_a), f64::from_bits(b.to_bits() ^ sign_b))
}

/// cos(πf/2) and sin(πf/2) for |f| ≤ ½: relative errors of the polynomials 2e-17 and 4e-17.
#[inline(always)]
fn quarter_cos_sin(f: f64) -> (f64, f64) {
    let z = f * f;
    let z2 = z * z;
    let s = (std::f64::consts::FRAC_PI_2 - z * 0.6459640975062443)
        + z2 * ((0.07969262624604301 - z * 0.004681754132340976)
            + z2 * ((0.0001604411507421909 - z * 3.59864335298231e-06) + z2 * 5.633933781537854e-08));
    let c = (1.2337005501361697 - z * 0.2536695079010478)
        + z2 * ((0.020863480763340773 - z * 0.0009192602745468447)
            + z2 * ((2.5202039028029178e-05 - z * 4.710678405505227e-07) + z2 * 6.329396344967424e-09));
    (1.0 - z * c, f * s)
}

/// Inverse cosine, for |x| ≤ 1. Within 8 ulp.
#[inline(always)]
pub(super) fn acos(x: f64) -> f64 {
    2.0 * atan(((1.0 - x) / (1.0 + x)).sqrt())
}

/// Inverse tangent of a number that is not negative (infinity included).
#[inline(always)]
fn atan(x: f64) -> f64 {
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, SQRT_2};
    let inverted = x > 1.0;
    let t = if inverted { 1.0 / x } else { x };
    // Small angles keep their relative accuracy; others are measured from π/4. Then the half-angle formula: |t| ≤ 0.2.
    let small = t <= SQRT_2 - 1.0;
    let centre = if small { 0.0 } else { FRAC_PI_4 };
    let centred = if small { t } else { (t - 1.0) / (1.0 + t) };
    let halved = centred / (1.0 + (1.0 + centred * centred).sqrt());
    let z = halved * halved;
    let mut sum = 0.0;
    for n in (0..14).rev() {
        sum = 1.0 / f64::from(2 * n + 1) - z * sum;
    }
    let angle = centre + 2.0 * halved * sum;
    if inverted { FRAC_PI_2 - angle } else { angle }
}

/// ½ ln 2π.
pub(super) const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// Natural logarithm of k!, for an integer k ≥ 0 held in an `f64`.
pub(super) fn ln_factorial(k: f64) -> f64 {
    const SMALL: [f64; 10] = [
        0.0,
        0.0,
        std::f64::consts::LN_2,
        1.791759469228055,
        3.1780538303479458,
        4.787491742782046,
        6.579251212010101,
        8.525161361065415,
        10.60460290274525,
        12.801827480081469,
    ];
    if k < 10.0 {
        return SMALL[k as usize];
    }
    // Stirling's series at x = k + 1; at x ≥ 11 the first term left out is below 1e-16.
    let x = k + 1.0;
    let z = 1.0 / (x * x);
    let series = (1.0 / 12.0
        + z * (-1.0 / 360.0
            + z * (1.0 / 1260.0 + z * (-1.0 / 1680.0 + z * (1.0 / 1188.0 - z * (691.0 / 360_360.0))))))
        / x;
    (x - 0.5) * ln(x) - x + HALF_LN_TAU + series
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::super::philox::words;
    use super::*;

    fn ulps(got: f64, expected: f64) -> f64 {
        if got == expected {
            return 0.0;
        }
        let spacing = f64::from_bits(expected.abs().to_bits() + 1) - expected.abs();
        (got - expected).abs() / spacing
    }

    fn uniforms(n: u64) -> impl Iterator<Item = f64> {
        (0..n).map(|i| {
            let w = words(Key::from_seed(&[9]), i, 0);
            unit_f64(w[0], w[1])
        })
    }

    #[test]
    fn logarithm_and_exponential_are_within_two_ulp() {
        for u in uniforms(200_000) {
            for x in [u + 1e-300, u * 1e-15 + 1e-19, 1.0 - u * 1e-9, 0.7 + u, u * 1e12 + 1.0] {
                assert!(ulps(ln(x), x.ln()) < 2.0, "ln {x}");
            }
            for x in [u - 0.5, 700.0 * u, -700.0 * u, u * 1e-12] {
                assert!(ulps(exp(x), x.exp()) < 2.0, "exp {x}");
                assert!(x < -600.0 || ulps(exp_m1(x), x.exp_m1()) < 4.0, "exp_m1 {x}");
            }
            for x in [u, -0.9 * u, 1e-10 * u, -1e-10 * u] {
                assert!(ulps(ln_1p(x), x.ln_1p()) < 4.0, "ln_1p {x}");
            }
            assert!(ulps(acos(2.0 * u - 1.0), (2.0 * u - 1.0).acos()) < 8.0, "acos {u}");
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-800.0), 0.0);
        assert_eq!(exp(800.0), f64::INFINITY);
        assert!((exp(-740.0) / (-740.0f64).exp() - 1.0).abs() < 0.2, "subnormal results");
        assert_eq!(acos(1.0), 0.0);
        assert_eq!(acos(-1.0), std::f64::consts::PI);
    }

    #[test]
    fn random_angles_lie_on_the_circle_in_every_quadrant() {
        let mut seen = [0u32; 4];
        for i in 0..100_000u64 {
            let w = words(Key::from_seed(&[1]), i, 0);
            let (c, s) = random_cos_sin(w[0], w[1]);
            assert!((c * c + s * s - 1.0).abs() < 8e-16);
            let f = ((w[1] & 0x3FFF_FFFF) as f64 + w[0] as f64 / 2f64.powi(32)) / 2f64.powi(30) - 0.5;
            let angle = ((w[1] >> 30) as f64 + f) * std::f64::consts::FRAC_PI_2;
            assert!((c - angle.cos()).abs() < 1e-15 && (s - angle.sin()).abs() < 1e-15);
            seen[usize::from(c < 0.0) * 2 + usize::from(s < 0.0)] += 1;
        }
        assert!(seen.iter().all(|&n| (24_000..26_000).contains(&n)), "{seen:?}");
    }

    #[test]
    fn factorials() {
        let mut sum = 0.0f64;
        for k in 1..200 {
            sum += f64::from(k).ln();
            assert!((ln_factorial(f64::from(k)) / sum.max(1.0) - sum / sum.max(1.0)).abs() < 1e-14, "{k}");
        }
    }

    #[test]
    fn units_stay_in_their_intervals() {
        let most = u64::from(u32::MAX);
        assert_eq!(unit_f64(0, 0), 0.0);
        assert_eq!(unit_f64(most, most), 1.0 - f64::EPSILON / 2.0);
        assert_eq!(unit_f32(most), 1.0 - f32::EPSILON / 2.0);
        assert_eq!(positive_unit(0, 0), 2f64.powi(-65));
        assert_eq!(positive_unit(most, most), 1.0);
        assert_eq!(open_unit(0, 0), 2f64.powi(-53));
        assert_eq!(open_unit(most, most), 1.0 - 2f64.powi(-53));
    }
}
