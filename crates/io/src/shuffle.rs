//! Undoing the byte shuffle: the filter stores the first bytes of all elements, then all second bytes, and so on.
//!
//! On x86-64 the streams are woven together with SSE2, which every such processor has. Elsewhere, and for element sizes that
//! are not 2, 4, 8 or 16, plain loops do it.

/// Weaves `input` into `output`, which has the same length. Bytes after the last whole element are stored as they are.
pub(crate) fn unshuffle(input: &[u8], output: &mut [u8], elem: usize) {
    debug_assert_eq!(input.len(), output.len());
    if elem <= 1 || input.len() < elem {
        output.copy_from_slice(input);
        return;
    }
    let elements = input.len() / elem;
    let (streams, tail) = input.split_at(elements * elem);
    let (woven, output_tail) = output.split_at_mut(elements * elem);
    output_tail.copy_from_slice(tail);
    match elem {
        2 => unshuffle_fixed::<2>(streams, woven),
        4 => unshuffle_fixed::<4>(streams, woven),
        8 => unshuffle_fixed::<8>(streams, woven),
        16 => unshuffle_fixed::<16>(streams, woven),
        _ => {
            for (byte, stream) in streams.chunks_exact(elements).enumerate() {
                for (element, &value) in woven.chunks_exact_mut(elem).zip(stream) {
                    element[byte] = value;
                }
            }
        }
    }
}

fn unshuffle_fixed<const E: usize>(streams: &[u8], woven: &mut [u8]) {
    let elements = streams.len() / E;
    let done = weave_blocks::<E>(streams, woven, elements);
    for (index, element) in woven.chunks_exact_mut(E).enumerate().skip(done) {
        for (byte, value) in element.iter_mut().enumerate() {
            *value = streams[byte * elements + index];
        }
    }
}

/// Weaves blocks of 16 elements and returns how many elements it did.
#[cfg(target_arch = "x86_64")]
fn weave_blocks<const E: usize>(streams: &[u8], woven: &mut [u8], elements: usize) -> usize {
    use std::arch::x86_64::{
        __m128i, _mm_loadu_si128, _mm_setzero_si128, _mm_storeu_si128, _mm_unpackhi_epi8, _mm_unpacklo_epi8,
    };
    assert!(streams.len() >= E * elements && woven.len() >= E * elements);
    let blocks = elements / 16;
    for block in 0..blocks {
        // SAFETY: SSE2 is part of x86-64. Each load reads 16 bytes that end at or before `elements` in its stream, each store
        // writes 16 of the block's 16·E output bytes; the assertion above covers both.
        unsafe {
            let mut vectors: [__m128i; E] = [_mm_setzero_si128(); E];
            for (byte, vector) in vectors.iter_mut().enumerate() {
                *vector = _mm_loadu_si128(streams.as_ptr().add(byte * elements + block * 16).cast());
            }
            // A perfect shuffle: each round interleaves the first half of the streams with the second, so after log2(E)
            // rounds all bytes of one element stand together.
            let mut round = 1;
            while round < E {
                let mut next = vectors;
                for pair in 0..E / 2 {
                    next[2 * pair] = _mm_unpacklo_epi8(vectors[pair], vectors[pair + E / 2]);
                    next[2 * pair + 1] = _mm_unpackhi_epi8(vectors[pair], vectors[pair + E / 2]);
                }
                vectors = next;
                round *= 2;
            }
            for (position, vector) in vectors.into_iter().enumerate() {
                _mm_storeu_si128(woven.as_mut_ptr().add((block * E + position) * 16).cast(), vector);
            }
        }
    }
    blocks * 16
}

/// Other processors leave everything to the plain loop.
#[cfg(not(target_arch = "x86_64"))]
fn weave_blocks<const E: usize>(_: &[u8], _: &mut [u8], _: usize) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::unshuffle;

    #[test]
    fn every_size_and_length_is_the_inverse_of_shuffling() {
        for elem in [1, 2, 3, 4, 5, 8, 12, 16, 24] {
            for len in [0, 1, elem, 15 * elem, 16 * elem, 33 * elem + elem / 2, 100 * elem + 1] {
                let plain: Vec<u8> = (0..len).map(|i| (i * 31 + i / 256) as u8).collect();
                let elements = len / elem;
                let mut shuffled = plain.clone();
                for index in 0..elements {
                    for byte in 0..elem {
                        shuffled[byte * elements + index] = plain[index * elem + byte];
                    }
                }
                let mut output = vec![0; len];
                unshuffle(&shuffled, &mut output, elem);
                assert_eq!(output, plain, "elements of {elem} bytes, {len} bytes in all");
            }
        }
    }
}
