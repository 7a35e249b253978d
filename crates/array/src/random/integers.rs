//! Uniform integers without bias: Lemire's multiply-and-shift (ACM TOMACS 29, 2019), by element.
//!
//! A random word times the number of values, cut to its upper half, is the sample; the few words whose product's lower
//! half is below a threshold would favour some values, and are drawn again from the element's own lanes. Samples are
//! computed modulo the width of the dtype, which makes signed and unsigned alike: a kernel exists by width only.

use super::engine::{Again, Stream};
use super::key::Key;
use super::philox::words;

/// Unsigned integers of a width, to which samples are cut.
pub(super) trait Width: Copy {
    fn cut(value: u64) -> Self;
}

macro_rules! widths {
    ($($t:ty)*) => {$(
        impl Width for $t {
            #[inline(always)]
            fn cut(value: u64) -> $t {
                value as $t
            }
        }
    )*};
}
widths!(u8 u16 u32 u64);

/// Whether `values` values (0 stands for 2⁶⁴) can come from 32-bit words: where rejection is rare or never happens.
pub(super) fn fits_narrow(values: u64) -> bool {
    values != 0 && (values <= 1 << 22 || (values.is_power_of_two() && values <= 1 << 32))
}

/// Four samples a block, each from a 32-bit word.
pub(super) struct Narrow<T> {
    low: u64,
    values: u64,
    threshold: u64,
    width: std::marker::PhantomData<T>,
}

impl<T> Narrow<T> {
    /// Samples low, low + 1, …, low + values - 1; `values` satisfies [`fits_narrow`].
    pub(super) fn new(low: u64, values: u64) -> Narrow<T> {
        Narrow { low, values, threshold: (1 << 32) % values, width: std::marker::PhantomData }
    }

    /// The product of a word and the number of values. Both are at most 2³² and not both equal to it, so that the
    /// product fits; the multiplication by 2³² itself (a full 32-bit range) is the reason for not using `pmuludq`'s form.
    #[inline(always)]
    fn product(&self, word: u64) -> u64 {
        word * self.values
    }
}

const LOW: u64 = 0xFFFF_FFFF;

impl<T: Width> Stream for Narrow<T> {
    type Pack = [T; 4];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [T; 4] {
        w.map(|word| T::cut(self.low.wrapping_add(self.product(word) >> 32)))
    }

    #[inline(always)]
    fn rejects(&self, w: [u64; 4]) -> bool {
        let bad = |word| (self.product(word) & LOW) < self.threshold;
        bad(w[0]) | bad(w[1]) | bad(w[2]) | bad(w[3])
    }

    fn redraw(&self, block: [T; 4], w: [u64; 4], place: usize, again: Again) -> T {
        if self.product(w[place]) & LOW >= self.threshold {
            return block[place];
        }
        let mut attempt = 1;
        loop {
            for word in again.words(attempt) {
                let product = self.product(word);
                if product & LOW >= self.threshold {
                    return T::cut(self.low.wrapping_add(product >> 32));
                }
            }
            attempt += 1;
        }
    }
}

/// Two samples a block, each from a 64-bit word: for many values. Zero values stand for 2⁶⁴.
pub(super) struct Wide<T> {
    low: u64,
    values: u64,
    threshold: u64,
    width: std::marker::PhantomData<T>,
}

impl<T> Wide<T> {
    /// Samples low, low + 1, …, low + values - 1.
    pub(super) fn new(low: u64, values: u64) -> Wide<T> {
        let threshold = if values == 0 { 0 } else { values.wrapping_neg() % values };
        Wide { low, values, threshold, width: std::marker::PhantomData }
    }

    /// One sample from an element's own lanes, outside any array.
    pub(super) fn one(&self, key: Key, element: u64) -> u64 {
        for attempt in 0.. {
            let w = words(key, element, attempt);
            let (sample, low) = self.product(w[0], w[1]);
            if low >= self.threshold {
                return self.low.wrapping_add(sample);
            }
        }
        unreachable!("half of all words are accepted at least")
    }

    /// Upper and lower half of the 128-bit product of a word and the number of values.
    #[inline(always)]
    fn product(&self, low: u64, high: u64) -> (u64, u64) {
        // Schoolbook in 32-bit digits, which is what vector units multiply.
        let word = (high << 32) | low;
        if self.values == 0 {
            return (word, 0);
        }
        let (values_low, values_high) = (self.values & LOW, self.values >> 32);
        let low_low = low * values_low;
        let low_high = low * values_high;
        let high_low = high * values_low;
        let high_high = high * values_high;
        let middle = (low_low >> 32) + (low_high & LOW) + high_low;
        (high_high + (low_high >> 32) + (middle >> 32), (middle << 32) | (low_low & LOW))
    }
}

impl<T: Width> Stream for Wide<T> {
    type Pack = [T; 2];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [T; 2] {
        let sample = |low, high| T::cut(self.low.wrapping_add(self.product(low, high).0));
        [sample(w[0], w[1]), sample(w[2], w[3])]
    }

    #[inline(always)]
    fn rejects(&self, w: [u64; 4]) -> bool {
        (self.product(w[0], w[1]).1 < self.threshold) | (self.product(w[2], w[3]).1 < self.threshold)
    }

    fn redraw(&self, block: [T; 2], w: [u64; 4], place: usize, again: Again) -> T {
        if self.product(w[2 * place], w[2 * place + 1]).1 >= self.threshold {
            return block[place];
        }
        let mut attempt = 1;
        loop {
            let w = again.words(attempt);
            for half in 0..2 {
                let (sample, low) = self.product(w[2 * half], w[2 * half + 1]);
                if low >= self.threshold {
                    return T::cut(self.low.wrapping_add(sample));
                }
            }
            attempt += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_products_are_exact() {
        for values in [3u64, 1 << 33, u64::MAX, 0x1234_5678_9ABC_DEF1] {
            for word in [0u64, 1, u64::MAX, 0xDEAD_BEEF_0BAD_F00D] {
                let exact = u128::from(values) * u128::from(word);
                let got = Wide::<u64>::new(0, values).product(word & LOW, word >> 32);
                assert_eq!(got, ((exact >> 64) as u64, exact as u64));
            }
        }
    }

    /// Every value is hit by the same number of accepted words: the definition of no bias.
    #[test]
    fn accepted_words_are_shared_evenly() {
        for values in [999u64, 1000, 65_537, 4_194_301] {
            let kernel = Narrow::<u32>::new(0, values);
            let accepted_by = |value: u64| {
                // Words with floor(word * values / 2^32) = value form an interval.
                let first = (value << 32).div_ceil(values);
                let end = ((value + 1) << 32).div_ceil(values);
                (first..end).filter(|&w| kernel.product(w) & LOW >= kernel.threshold).count() as u64
            };
            let share = (1u64 << 32) / values;
            for value in [values - 1, values / 2] {
                assert_eq!(accepted_by(value), share, "value {value} of {values}");
            }
        }
    }
}
