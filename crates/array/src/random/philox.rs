//! Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw (SC 2011).
//!
//! A pure function from (96-bit key, 64-bit index, 32-bit lane) to 128 random bits: no state, so any element of an
//! array can be made by any worker in any order. It passes BigCrush, and ten rounds leave a margin over the seven that
//! are known to be enough.
//!
//! The 4x32 variant is chosen over 4x64 because its 32 × 32 → 64 bit multiplication is one vector instruction from
//! SSE2 to AVX-512 (`pmuludq`), while a 64 × 64 → 128 bit product exists in no vector unit. Words are kept in 64-bit
//! lanes for that reason: upper halves hold rubbish between rounds, and the multiplication ignores them.

use super::key::Key;

const MULTIPLIER_0: u64 = 0xD251_1F53;
const MULTIPLIER_1: u64 = 0xCD9E_8D57;
const WEYL_0: u32 = 0x9E37_79B9;
const WEYL_1: u32 = 0xBB67_AE85;
const LOW: u64 = 0xFFFF_FFFF;

/// Ten rounds on a 128-bit counter. Both the counter and the result are four 32-bit words in 64-bit lanes.
#[inline(always)]
pub(super) fn philox4x32(counter: [u64; 4], key: [u32; 2]) -> [u64; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let p0 = (c0 & LOW) * MULTIPLIER_0;
        let p1 = (c2 & LOW) * MULTIPLIER_1;
        c0 = (p1 >> 32) ^ c1 ^ u64::from(k0);
        c2 = (p0 >> 32) ^ c3 ^ u64::from(k1);
        c1 = p1;
        c3 = p0;
        k0 = k0.wrapping_add(WEYL_0);
        k1 = k1.wrapping_add(WEYL_1);
    }
    [c0 & LOW, c1 & LOW, c2 & LOW, c3 & LOW]
}

/// The 128 bits at `index` of one of the key's 2³² lanes.
///
/// Lane 0 is the array's own stream. Other lanes belong to single elements (retries of rejection methods), and the
/// last ones to key derivation: see [`Key`].
#[inline(always)]
pub(super) fn words(key: Key, index: u64, lane: u32) -> [u64; 4] {
    philox4x32([index & LOW, index >> 32, u64::from(lane), u64::from(key.k2)], [key.k0, key.k1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three published known answers for `philox4x32 10` (Random123, `kat_vectors`).
    #[test]
    fn known_answers() {
        let ones = LOW;
        let cases: [([u64; 4], [u32; 2], [u64; 4]); 3] = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox4x32(counter, key), expected);
        }
    }
}
