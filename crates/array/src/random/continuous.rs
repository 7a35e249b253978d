//! Continuous distributions that need no rejection: each sample is a function of 64 random bits (a normal one, of half
//! of 128).
//!
//! *Normal*: Box–Muller. A ziggurat needs a table lookup and a branch a sample, which no vector unit likes; inverting
//! the normal CDF costs three rational functions. Box–Muller is straight-line: one logarithm, one square root, one sine
//! and cosine for two samples. The radius takes its logarithm from 64 bits, so the tails reach 9.4 σ.
//!
//! *Others*: the inverse CDF, arranged so that the long tail comes from the small end of a 64-bit uniform and keeps its
//! full relative resolution there.

use super::engine::{Again, Stream};
use super::math::{
    exp, exp_m1, ln, ln_1p, open_unit, positive_unit, random_cos_sin, tail_unit, unit_f32, unit_f64,
};

/// A function of 64 random bits.
pub(super) trait Transform {
    fn at(&self, low: u64, high: u64) -> f64;
}

/// Two samples a block, from a [`Transform`].
pub(super) struct Halves<T>(pub(super) T);

impl<T: Transform> Stream for Halves<T> {
    type Pack = [f64; 2];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [f64; 2] {
        [self.0.at(w[0], w[1]), self.0.at(w[2], w[3])]
    }

    fn redraw(&self, block: [f64; 2], _: [u64; 4], place: usize, _: Again) -> f64 {
        block[place]
    }
}

/// Another stream's samples rounded to single precision: tails and accuracy are those of `f64`.
pub(super) struct Rounded<S>(pub(super) S);

impl<S: Stream<Pack = [f64; 2]>> Stream for Rounded<S> {
    type Pack = [f32; 2];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [f32; 2] {
        let [a, b] = self.0.block(w);
        [a as f32, b as f32]
    }

    fn redraw(&self, block: [f32; 2], _: [u64; 4], place: usize, _: Again) -> f32 {
        block[place]
    }
}

/// Uniform `f32` in [0, 1): four a block.
pub(super) struct UnitF32;

impl Stream for UnitF32 {
    type Pack = [f32; 4];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [f32; 4] {
        [unit_f32(w[0]), unit_f32(w[1]), unit_f32(w[2]), unit_f32(w[3])]
    }

    fn redraw(&self, block: [f32; 4], _: [u64; 4], place: usize, _: Again) -> f32 {
        block[place]
    }
}

/// Two independent standard normals from one block.
#[inline(always)]
pub(super) fn normal_pair(w: [u64; 4]) -> (f64, f64) {
    let radius = (-2.0 * ln(positive_unit(w[0], w[1]))).sqrt();
    let (cos, sin) = random_cos_sin(w[2], w[3]);
    (radius * cos, radius * sin)
}

/// loc + scale · N(0, 1).
pub(super) struct Normal {
    pub(super) loc: f64,
    pub(super) scale: f64,
}

impl Stream for Normal {
    type Pack = [f64; 2];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [f64; 2] {
        let (a, b) = normal_pair(w);
        [self.loc + self.scale * a, self.loc + self.scale * b]
    }

    fn redraw(&self, block: [f64; 2], _: [u64; 4], place: usize, _: Again) -> f64 {
        block[place]
    }
}

/// exp(N(mean, sigma)).
pub(super) struct Lognormal {
    pub(super) mean: f64,
    pub(super) sigma: f64,
}

impl Stream for Lognormal {
    type Pack = [f64; 2];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [f64; 2] {
        let (a, b) = normal_pair(w);
        [exp(self.mean + self.sigma * a), exp(self.mean + self.sigma * b)]
    }

    fn redraw(&self, block: [f64; 2], _: [u64; 4], place: usize, _: Again) -> f64 {
        block[place]
    }
}

/// A standard exponential, never zero.
#[inline(always)]
fn positive_exponential(low: u64, high: u64) -> f64 {
    -ln(tail_unit(low, high))
}

/// One random bit and a uniform in (0, 1] from the other 63, for symmetric distributions.
#[inline(always)]
fn sign_and_unit(low: u64, high: u64) -> (u64, f64) {
    const LOW: u64 = 0xFFFF_FFFF;
    let unit = positive_unit((low << 1) & LOW, ((high << 1) | (low >> 31)) & LOW);
    ((high >> 31) << 63, unit)
}

macro_rules! transforms {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),* } |$s:ident, $low:ident, $high:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name { $(pub(super) $field: f64),* }

        impl Transform for $name {
            #[inline(always)]
            fn at(&self, $low: u64, $high: u64) -> f64 {
                let $s = self;
                $body
            }
        }
    )*};
}

transforms! {
    /// low + width · U, U in [0, 1).
    Uniform { low, width } |s, low, high| s.low + s.width * unit_f64(low, high);

    /// Minus the logarithm of a uniform, scaled.
    Exponential { scale } |s, low, high| s.scale * (0.0 - ln(positive_unit(low, high)));

    /// Double exponential: an exponential with a random sign.
    Laplace { loc, scale } |s, low, high| {
        let (sign, unit) = sign_and_unit(low, high);
        s.loc + s.scale * f64::from_bits((0.0 - ln(unit)).to_bits() ^ sign)
    };

    /// ln(p / (1 - p)) for the smaller tail p, with a random sign.
    Logistic { loc, scale } |s, low, high| {
        let (sign, unit) = sign_and_unit(low, high);
        let p = 0.5 * unit;
        s.loc + s.scale * f64::from_bits(ln(p / (1.0 - p)).to_bits() ^ sign)
    };

    /// -ln(E) for an exponential E, which is made by ln(1 - p) so that the long upper tail is fine-grained.
    Gumbel { loc, scale } |s, low, high| s.loc - s.scale * ln(-ln_1p(-tail_unit(low, high)));

    /// E^(1/a).
    Weibull { inverse_a } |s, low, high| exp(s.inverse_a * ln(positive_exponential(low, high)));

    /// exp(E/a) - 1: the Lomax form, as in NumPy.
    Pareto { inverse_a } |s, low, high| exp_m1(s.inverse_a * positive_exponential(low, high));

    /// U^(1/a).
    Power { inverse_a } |s, low, high| exp(-s.inverse_a * positive_exponential(low, high));

    /// √(2E).
    Rayleigh { scale } |s, low, high| s.scale * (2.0 * (0.0 - ln(positive_unit(low, high)))).sqrt();

    /// The tangent of a uniform angle.
    Cauchy {} |_s, low, high| {
        let (cos, sin) = random_cos_sin(low, high);
        sin / cos
    };

    /// Rises from left to mode and falls to right; `rising` is the probability of the left side.
    Triangular { left, right, rising, left_product, right_product } |s, low, high| {
        let u = open_unit(low, high);
        let left = s.left + (u * s.left_product).sqrt();
        let right = s.right - ((1.0 - u) * s.right_product).sqrt();
        if u <= s.rising { left } else { right }
    };
}
