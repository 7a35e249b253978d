//! Keys: what selects a stream, and how a user's seed becomes one.
//!
//! A key is 96 bits: 64 are Philox's key proper and 32 sit in its counter. A generator holds one key and counts its
//! calls; call `n` draws from `key.child(n)`. Derived keys come from Philox itself, in counter lanes that no sample
//! ever uses, so that a child is as unrelated to its parent's samples as two samples are to each other.
//! Two derived keys coincide by chance only after about 2⁴⁸ of them.
//!
//! Reading the operating system's entropy is the caller's business: it passes the words in.

use super::philox::{philox4x32, words};

/// The last counter lanes are set aside for derivation; rejection methods stay below `RESERVED_LANES`.
pub(super) const RESERVED_LANES: u32 = 0xFFFF_FF00;
const CHILD_LANE: u32 = 0xFFFF_FFFF;
const SPAWN_LANE: u32 = 0xFFFF_FFFE;
const COMPONENT_LANE: u32 = 0xFFFF_FFFD;

/// Selects one random stream. Equal keys give equal numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    pub(super) k0: u32,
    pub(super) k1: u32,
    pub(super) k2: u32,
}

impl Key {
    /// The key of a user's seed, given as 32-bit words, least significant first.
    ///
    /// An integer is its words without leading zero words (zero is one zero word); a sequence of integers is the words
    /// of each, one after the other. Any number of words counts in full.
    ///
    /// The hash is Davies–Meyer over Philox: each pair of words is the key under which the 128-bit state is encrypted
    /// and added to itself. The number of words goes in first, so that `[1]` and `[1, 0]` differ.
    pub fn from_seed(seed: &[u32]) -> Key {
        let mut state = [seed.len() as u64 & 0xFFFF_FFFF, 0x7061_6e74, 0x696c_6521, 0x5eed_5eed];
        let absorb = |state: &mut [u64; 4], pair: [u32; 2]| {
            let mixed = philox4x32(*state, pair);
            for (old, new) in state.iter_mut().zip(mixed) {
                *old ^= new;
            }
        };
        for pair in seed.chunks(2) {
            absorb(&mut state, [pair[0], pair.get(1).copied().unwrap_or(0)]);
        }
        // One more round trip, so that the last pair of words is mixed as often as the others.
        absorb(&mut state, [0x9d0f_3c47, 0x51ed_270b]);
        Key { k0: state[0] as u32, k1: state[1] as u32, k2: state[2] as u32 }
    }

    /// The key of call number `call` on a generator that holds `self`.
    pub fn child(self, call: u64) -> Key {
        self.derive(call, CHILD_LANE)
    }

    /// The key of the `index`-th generator spawned from this one: unrelated to every [`Key::child`].
    pub fn spawn(self, index: u64) -> Key {
        self.derive(index, SPAWN_LANE)
    }

    /// The key of one ingredient of a composite distribution (a beta variate is made of two gamma variates).
    pub(super) fn component(self, index: u64) -> Key {
        self.derive(index, COMPONENT_LANE)
    }

    fn derive(self, index: u64, lane: u32) -> Key {
        let [a, b, c, _] = words(self, index, lane);
        Key { k0: a as u32, k1: b as u32, k2: c as u32 }
    }

    /// The key's three words, to be stored or sent.
    pub const fn to_words(self) -> [u32; 3] {
        [self.k0, self.k1, self.k2]
    }

    /// The key that [`Key::to_words`] gave.
    pub const fn from_words([k0, k1, k2]: [u32; 3]) -> Key {
        Key { k0, k1, k2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn seeds_of_any_length_give_distinct_keys() {
        let mut seen = HashSet::new();
        let mut seeds: Vec<Vec<u32>> = (0..200).map(|w| vec![w]).collect();
        seeds.extend((0..20).flat_map(|a| (0..20).map(move |b| vec![a, b])));
        seeds.extend((0..9).map(|n| vec![0; n]).filter(|s| s.len() != 1 && s.len() != 2));
        seeds.push(vec![1, 2, 3, 4, 5]);
        seeds.push(vec![1, 2, 3, 4, 6]);
        for seed in &seeds {
            assert!(seen.insert(Key::from_seed(seed)), "two seeds share a key: {seed:?}");
        }
    }

    #[test]
    fn derived_keys_are_distinct_and_round_trip() {
        let key = Key::from_seed(&[42]);
        let mut seen = HashSet::from([key]);
        for i in 0..500 {
            for derived in [key.child(i), key.spawn(i), key.component(i), key.child(i << 32 | 1 << 63)] {
                assert!(seen.insert(derived));
                assert_eq!(Key::from_words(derived.to_words()), derived);
            }
        }
    }

    /// Flipping one bit of a seed flips about half of the key's 96 bits.
    #[test]
    fn seeds_avalanche() {
        let base = Key::from_seed(&[0x1234_5678, 7]).to_words();
        for bit in 0..32 {
            let other = Key::from_seed(&[0x1234_5678 ^ (1 << bit), 7]).to_words();
            let flipped: u32 = base.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert!((25..=71).contains(&flipped), "bit {bit} flips {flipped} of 96");
        }
    }
}
