//! Random permutations whose elements can be asked for one by one.
//!
//! Up to 2¹⁶ elements: Fisher–Yates, every permutation equally likely; each asking block repeats the whole shuffle, which
//! takes about a millisecond. Beyond: a Feistel network on pairs of digits, stepped until the result is below n (cycle
//! walking), so that element `i` costs a few nanoseconds and no memory, wherever it is asked for. That is one of
//! 2⁹⁶ permutations instead of n!; no block needs to know more than the key.
//!
//! The choice between the two depends on n alone, hence never on the chunks.

use super::engine::{Isa, Job};
use super::error::RandomError;
use super::integers::Wide;
use super::key::Key;
use super::philox::words;

const SHUFFLE_LIMIT: u64 = 1 << 16;
const ROUNDS: usize = 8;

/// A permutation of 0 .. n, fixed by its key.
#[derive(Clone, Debug)]
pub struct Permutation {
    n: u64,
    method: Method,
}

#[derive(Clone, Debug)]
enum Method {
    Shuffled(Vec<u32>),
    Feistel(Feistel),
}

impl Permutation {
    /// The key's permutation of `n` elements, of which there can be 2⁶².
    pub fn new(key: Key, n: u64) -> Result<Permutation, RandomError> {
        if n > 1 << 62 {
            return Err(RandomError::Value(format!(
                "permutation: {n} elements, at most {} are possible",
                1u64 << 62
            )));
        }
        if n <= SHUFFLE_LIMIT {
            let mut order: Vec<u32> = (0..n as u32).collect();
            for i in (1..n).rev() {
                let other = Wide::<u64>::new(0, i + 1).one(key, i);
                order.swap(i as usize, other as usize);
            }
            return Ok(Permutation { n, method: Method::Shuffled(order) });
        }
        Ok(Permutation { n, method: Method::Feistel(Feistel::new(key, n)) })
    }

    /// How many elements there are.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The element at `position`, which must be below the length.
    pub fn at(&self, position: u64) -> u64 {
        assert!(position < self.n, "bug: position {position} of a permutation of {}", self.n);
        match &self.method {
            Method::Shuffled(order) => u64::from(order[position as usize]),
            Method::Feistel(feistel) => feistel.walk(feistel.step(position), self.n),
        }
    }

    /// The elements at `start`, `start + 1`, … as NumPy's index dtype. The first `k` are a choice without replacement.
    pub fn fill(&self, start: u64, out: &mut [i64]) {
        assert!(
            start.checked_add(out.len() as u64).is_some_and(|end| end <= self.n),
            "bug: {} elements at {start} of a permutation of {}",
            out.len(),
            self.n
        );
        match &self.method {
            Method::Shuffled(order) => {
                for (element, &from) in out.iter_mut().zip(&order[start as usize..]) {
                    *element = i64::from(from);
                }
            }
            Method::Feistel(feistel) => {
                Isa::best().run(FeistelJob { feistel, start, out });
                for element in out.iter_mut().filter(|x| **x as u64 >= self.n) {
                    *element = feistel.walk(*element as u64, self.n) as i64;
                }
            }
        }
    }
}

/// A permutation of 0 .. left · 2^right_bits: alternately adds a keyed hash of one digit to the other. Digits and hashes
/// have at most 32 bits, so that vector units can multiply them; the right digit is a power of two wide, so that nothing
/// is divided.
#[derive(Clone, Debug)]
struct Feistel {
    left: u64,
    right_bits: u32,
    keys: [u64; ROUNDS],
}

impl Feistel {
    fn new(key: Key, n: u64) -> Feistel {
        // Balanced digits, the left one just wide enough: few results have to be walked on.
        let right_bits = n.ilog2().div_ceil(2);
        let left = n.div_ceil(1 << right_bits);
        let keys = std::array::from_fn(|round| words(key, round as u64, 0)[0]);
        Feistel { left, right_bits, keys }
    }

    #[inline(always)]
    fn step(&self, x: u64) -> u64 {
        let mask = (1u64 << self.right_bits) - 1;
        let (mut a, mut b) = (x >> self.right_bits, x & mask);
        for pair in self.keys.chunks_exact(2) {
            a += (mixed(b ^ pair[0]) * self.left) >> 32;
            a -= if a >= self.left { self.left } else { 0 };
            b = (b + mixed(a ^ pair[1])) & mask;
        }
        (a << self.right_bits) | b
    }

    /// Steps from `x`, the result of a step, until it is below `n`.
    fn walk(&self, mut x: u64, n: u64) -> u64 {
        while x >= n {
            x = self.step(x);
        }
        x
    }
}

struct FeistelJob<'a> {
    feistel: &'a Feistel,
    start: u64,
    out: &'a mut [i64],
}

impl Job for FeistelJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (position, element) in (self.start..).zip(self.out) {
            *element = self.feistel.step(position) as i64;
        }
    }
}

/// MurmurHash3's 32-bit finaliser: every bit of the result depends on every bit of the argument.
#[inline(always)]
fn mixed(mut x: u64) -> u64 {
    const LOW: u64 = 0xFFFF_FFFF;
    x = ((x ^ (x >> 16)) * 0x85EB_CA6B) & LOW;
    x = ((x ^ (x >> 13)) * 0xC2B2_AE35) & LOW;
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u32) -> Key {
        Key::from_seed(&[seed])
    }

    #[test]
    fn every_element_appears_once() {
        for n in [0u64, 1, 2, 3, 10, 1000, SHUFFLE_LIMIT, SHUFFLE_LIMIT + 1, 100_003, 1 << 18] {
            let permutation = Permutation::new(key(5), n).unwrap();
            let mut all = vec![0; n as usize];
            permutation.fill(0, &mut all);
            let mut sorted = all.clone();
            sorted.sort_unstable();
            assert!(sorted.iter().copied().eq(0..n as i64), "n = {n}");
            // Asked for in pieces, it is the same permutation.
            let half = n / 2;
            let mut piece = vec![0; (n - half) as usize];
            permutation.fill(half, &mut piece);
            assert_eq!(piece, all[half as usize..]);
        }
    }

    #[test]
    fn small_permutations_are_equally_likely() {
        let mut counts = std::collections::HashMap::new();
        for seed in 0..24_000 {
            let p = Permutation::new(key(9).child(seed), 4).unwrap();
            *counts.entry([p.at(0), p.at(1), p.at(2), p.at(3)]).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        let chi2: f64 = counts.values().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi2 < 49.7, "chi-square {chi2} with 23 degrees of freedom, 0.1 % critical value 49.7");
    }

    /// Fixed points, rises, and where the first elements go, for many networks.
    #[test]
    fn large_permutations_look_random() {
        let n = 70_000u64;
        let (mut fixed, mut rises, mut first_bins) = (0u32, 0f64, [0f64; 50]);
        let networks = 60u32;
        for seed in 0..networks {
            let p = Permutation::new(key(seed), n).unwrap();
            let mut all = vec![0; n as usize];
            p.fill(0, &mut all);
            fixed += all.iter().enumerate().filter(|&(i, &x)| i as i64 == x).count() as u32;
            rises += all.windows(2).filter(|w| w[1] > w[0]).count() as f64;
            for &x in &all[..200] {
                first_bins[(x * 50 / n as i64) as usize] += 1.0;
            }
        }
        // One fixed point a permutation is expected, Poisson-distributed: 60 ± 4·√60.
        assert!((29..=91).contains(&fixed), "{fixed} fixed points in {networks} permutations");
        // Rises have mean (n-1)/2 and variance (n+1)/12.
        let expected = f64::from(networks) * (n - 1) as f64 / 2.0;
        let deviation = (f64::from(networks) * (n + 1) as f64 / 12.0).sqrt();
        assert!((rises - expected).abs() < 3.5 * deviation, "{rises} rises, {expected} expected");
        let share = f64::from(networks) * 200.0 / 50.0;
        let chi2: f64 = first_bins.iter().map(|c| (c - share).powi(2) / share).sum();
        assert!(chi2 < 85.4, "chi-square {chi2} with 49 degrees of freedom, 0.1 % critical value 85.4");
    }

    #[test]
    fn too_many_elements_are_refused() {
        assert!(matches!(Permutation::new(key(0), u64::MAX), Err(RandomError::Value(_))));
        assert!(Permutation::new(key(0), 1 << 62).unwrap().at((1 << 62) - 1) < 1 << 62);
    }
}
