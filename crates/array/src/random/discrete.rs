//! Discrete distributions with a table: Poisson and binomial of moderate spread, and choices with given probabilities.
//!
//! The table holds P(X ≤ k)·2⁶⁴ for each k, and the sample is the number of entries that a 64-bit word reaches. Entries
//! above the median are computed from the upper tail, so that improbable values keep their probability to 2⁻⁶⁴.

use super::engine::{Again, Stream};
use super::math::{ln_1p, positive_unit};

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// Inversion of a cumulative distribution, with a guide that says where to begin.
#[derive(Clone, Debug)]
pub(super) struct InversionTable {
    /// Ascending; the sample is the number of entries ≤ the random word. The last value has no entry.
    reached: Vec<u64>,
    /// For each value of the word's leading bits, how many entries are certainly reached.
    guide: Vec<u32>,
    guide_shift: u32,
    /// Added to the number of entries reached.
    first: i64,
}

impl InversionTable {
    /// The table for these probabilities, which need not sum to exactly one: they are divided by their sum.
    pub(super) fn new(probabilities: &[f64]) -> InversionTable {
        // Values that cannot occur at the end must not be reached by rounding.
        let used = probabilities.iter().rposition(|&p| p > 0.0).map_or(0, |last| last + 1);
        let probabilities = &probabilities[..used];
        let mut above: Vec<f64> = Vec::with_capacity(used);
        let mut sum = CompensatedSum::default();
        for &p in probabilities.iter().rev() {
            above.push(sum.value());
            sum.add(p);
        }
        above.reverse();
        let total = sum.value();
        let mut below = CompensatedSum::default();
        let mut reached = Vec::with_capacity(used);
        for (k, &p) in probabilities.iter().enumerate() {
            below.add(p);
            if k + 1 == used {
                break;
            }
            let tail = above[k] / total;
            let entry = if tail < 0.5 {
                // The tail in 2⁻⁶⁴ steps, rounded; a tail of less than half a step is lost.
                (tail * TWO_TO_64).round_ties_even() as u64
            } else {
                ((below.value() / total) * TWO_TO_64).round_ties_even() as u64
            };
            // A lost tail would wrap to zero: no word reaches the largest entry but one, to which it is rounded.
            reached.push(if tail < 0.5 { 0u64.wrapping_sub(entry.max(1)) } else { entry });
        }
        let guide_bits = (reached.len() + 1).next_power_of_two().trailing_zeros().clamp(8, 20);
        let guide_shift = 64 - guide_bits;
        let mut guide = Vec::with_capacity(1 << guide_bits);
        let mut at = 0;
        for leading in 0..1u64 << guide_bits {
            while at < reached.len() && reached[at] <= leading << guide_shift {
                at += 1;
            }
            guide.push(at as u32);
        }
        InversionTable { reached, guide, guide_shift, first: 0 }
    }

    #[inline(always)]
    fn sample(&self, low: u64, high: u64) -> i64 {
        let word = (high << 32) | low;
        let mut k = self.guide[(word >> self.guide_shift) as usize] as usize;
        while k < self.reached.len() && self.reached[k] <= word {
            k += 1;
        }
        self.first + k as i64
    }

    /// Poisson probabilities.
    pub(super) fn poisson(lam: f64) -> InversionTable {
        Self::around(lam.floor(), f64::INFINITY, |k| lam / k)
    }

    /// Binomial probabilities for 0 < p < 1.
    pub(super) fn binomial(n: f64, p: f64) -> InversionTable {
        let odds = p / (1.0 - p);
        Self::around(((n + 1.0) * p).floor().min(n), n, |k| odds * ((n - k + 1.0) / k))
    }

    /// The table of a unimodal distribution on 0 ..= last, from `ratio(k)` = P(k) / P(k - 1). It begins at the mode
    /// with an arbitrary weight and goes both ways until nothing is left that 64 bits could tell from nothing.
    fn around(mode: f64, last: f64, ratio: impl Fn(f64) -> f64) -> InversionTable {
        const NOTHING: f64 = 1e-24;
        let mut weights = vec![1.0];
        let (mut k, mut weight) = (mode, 1.0);
        while k > 0.0 && weight > NOTHING {
            weight /= ratio(k);
            weights.push(weight);
            k -= 1.0;
        }
        let first = k as i64;
        weights.reverse();
        let (mut k, mut weight) = (mode, 1.0);
        while k < last && weight > NOTHING {
            k += 1.0;
            weight *= ratio(k);
            weights.push(weight);
        }
        InversionTable { first, ..Self::new(&weights) }
    }
}

/// Neumaier's sum: a cumulative sum of a million probabilities is still good to the last bit.
#[derive(Default)]
struct CompensatedSum {
    sum: f64,
    lost: f64,
}

impl CompensatedSum {
    fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        self.lost += if self.sum.abs() >= x.abs() { (self.sum - sum) + x } else { (x - sum) + self.sum };
        self.sum = sum;
    }

    fn value(&self) -> f64 {
        self.sum + self.lost
    }
}

impl Stream for InversionTable {
    type Pack = [i64; 2];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [i64; 2] {
        [self.sample(w[0], w[1]), self.sample(w[2], w[3])]
    }

    fn redraw(&self, block: [i64; 2], _: [u64; 4], place: usize, _: Again) -> i64 {
        block[place]
    }
}

/// One value, or its mirror image: binomial samples with p > ½ count the failures.
pub(super) struct Mirrored<S> {
    pub(super) inner: S,
    pub(super) mirror: Option<i64>,
}

impl<S: Stream<Pack = [i64; 2]>> Stream for Mirrored<S> {
    type Pack = [i64; 2];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [i64; 2] {
        let block = self.inner.block(w);
        match self.mirror {
            Some(n) => block.map(|k| n - k),
            None => block,
        }
    }

    fn redraw(&self, block: [i64; 2], _: [u64; 4], place: usize, _: Again) -> i64 {
        block[place]
    }
}

/// A value that never varies: the limits of distributions at the ends of their parameters' domains.
pub(super) struct Constant<T>(pub(super) T);

impl<T: Copy> Stream for Constant<T> {
    type Pack = [T; 2];

    #[inline(always)]
    fn block(&self, _: [u64; 4]) -> [T; 2] {
        [self.0; 2]
    }

    fn redraw(&self, block: [T; 2], _: [u64; 4], place: usize, _: Again) -> T {
        block[place]
    }
}

/// Trials up to the first success: an exponential, divided and rounded up.
pub(super) struct Geometric {
    /// 1 / -ln(1 - p).
    scale: f64,
}

impl Geometric {
    /// For 0 < p < 1.
    pub(super) fn new(p: f64) -> Geometric {
        Geometric { scale: -1.0 / ln_1p(-p) }
    }

    #[inline(always)]
    fn sample(&self, low: u64, high: u64) -> i64 {
        let trials = (self.scale * -super::math::ln(positive_unit(low, high))).ceil();
        // The cast saturates at the largest integer, as NumPy does.
        (trials as i64).max(1)
    }
}

impl Stream for Geometric {
    type Pack = [i64; 2];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [i64; 2] {
        [self.sample(w[0], w[1]), self.sample(w[2], w[3])]
    }

    fn redraw(&self, block: [i64; 2], _: [u64; 4], place: usize, _: Again) -> i64 {
        block[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_invert_exactly() {
        let table = InversionTable::new(&[0.25, 0.0, 0.5, 0.25, 0.0]);
        let sample = |word: u64| table.sample(word & 0xFFFF_FFFF, word >> 32);
        assert_eq!(sample(0), 0);
        assert_eq!(sample((1 << 62) - 1), 0);
        assert_eq!(sample(1 << 62), 2);
        assert_eq!(sample((3 << 62) - 1), 2);
        assert_eq!(sample(3 << 62), 3);
        assert_eq!(sample(u64::MAX), 3);
        assert_eq!(InversionTable::new(&[1.0]).sample(7, 7), 0);
    }

    /// Far out in the tail the table still has Poisson's probability.
    #[test]
    fn tails_keep_their_probability() {
        let table = InversionTable::poisson(1.0);
        let tail_words = 0u64.wrapping_sub(table.reached[15]);
        let mut expected = 0.0;
        let mut term = (-1f64).exp();
        for k in 1..60 {
            term /= f64::from(k);
            if k > 15 {
                expected += term;
            }
        }
        assert!((tail_words as f64 / TWO_TO_64 / expected - 1.0).abs() < 1e-3, "{tail_words}");
    }
}
