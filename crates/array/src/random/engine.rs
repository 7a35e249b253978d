//! The loops: from counters to samples, a batch at a time, on the widest vector unit there is.
//!
//! Two kinds of kernel. A [`Stream`] turns one 128-bit Philox block into a fixed number of samples, so sample `i` of
//! the array lies at a known place of block `i / LEN`. A [`Source`] gives each element its own substream (lanes of the
//! counter), for methods that reject; [`Rejection`] is the source that retries until its kernel accepts.
//!
//! Loops run over fixed-size arrays of lanes without branches, so that the compiler vectorises them; each is compiled
//! for the baseline, AVX2 and AVX-512. All give the same bits: kernels use integer operations and exactly defined
//! floating-point operations only, and Rust never contracts those to fused ones.

use std::mem::MaybeUninit;

use super::key::{Key, RESERVED_LANES};
use super::philox::words;
use super::region::Region;

/// Philox blocks worked on together: four full AVX-512 registers a word.
pub(super) const BATCH: usize = 32;

/// Runs shorter than this are drawn element by element: a batch for each would be mostly thrown away.
const SHORT_RUN: u64 = BATCH as u64;

/// Instruction sets that the loops are compiled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Isa {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// What this machine has, narrowest first.
    pub(super) fn available() -> Vec<Isa> {
        #[allow(unused_mut)]
        let mut found = vec![Isa::Baseline];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                found.push(Isa::Avx2);
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
            {
                found.push(Isa::Avx512);
            }
        }
        found
    }

    /// The widest one that this machine has.
    pub(super) fn best() -> Isa {
        Isa::available().pop().unwrap_or(Isa::Baseline)
    }

    #[inline(always)]
    pub(super) fn run<J: Job>(self, job: J) -> J::Output {
        match self {
            Isa::Baseline => job.run(),
            // SAFETY: the two values are made by `available` alone, after it has detected the features.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { run_avx2(job) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { run_avx512(job) },
        }
    }
}

/// A loop body to be compiled once an instruction set; `run` must be `inline(always)`.
pub(super) trait Job {
    type Output;
    fn run(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<J: Job>(job: J) -> J::Output {
    job.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
fn run_avx512<J: Job>(job: J) -> J::Output {
    job.run()
}

/// A batch of blocks, word by word.
pub(super) struct Words([[u64; BATCH]; 4]);

impl Words {
    #[inline(always)]
    fn block(&self, lane: usize) -> [u64; 4] {
        [self.0[0][lane], self.0[1][lane], self.0[2][lane], self.0[3][lane]]
    }
}

#[inline(always)]
fn fill_words(key: Key, indices: &[u64; BATCH], lane: u32, out: &mut Words) {
    for (l, &index) in indices.iter().enumerate() {
        let w = words(key, index, lane);
        out.0[0][l] = w[0];
        out.0[1][l] = w[1];
        out.0[2][l] = w[2];
        out.0[3][l] = w[3];
    }
}

/// The samples of one block: an array.
pub(super) trait Pack: Copy {
    type Item: Copy;
    const LEN: usize;
}

impl<T: Copy, const N: usize> Pack for [T; N] {
    type Item = T;
    const LEN: usize = N;
}

type Item<K> = <<K as Stream>::Pack as Pack>::Item;

/// A kernel that needs a fixed share of a block a sample.
pub(super) trait Stream {
    type Pack: Pack;

    /// The samples of one block. Straight-line code, `inline(always)`.
    fn block(&self, words: [u64; 4]) -> Self::Pack;

    /// Whether some sample of the block must be drawn again (integers below a bound that divides no power of two).
    /// Constantly false for most kernels, and then costs nothing.
    #[inline(always)]
    fn rejects(&self, _words: [u64; 4]) -> bool {
        false
    }

    /// The place-th sample of a block that `rejects`, drawn again from the element's own lanes where needed.
    fn redraw(&self, block: Self::Pack, words: [u64; 4], place: usize, again: Again) -> Item<Self>;
}

/// The substream of one element, for second and further attempts.
#[derive(Clone, Copy)]
pub(super) struct Again {
    pub(super) key: Key,
    pub(super) element: u64,
}

impl Again {
    /// The 128 bits of attempt 1, 2, …
    #[inline]
    pub(super) fn words(self, attempt: u32) -> [u64; 4] {
        assert!((1..RESERVED_LANES).contains(&attempt), "bug: a rejection loop that never accepts");
        words(self.key, self.element, attempt)
    }
}

struct StreamJob<'a, K: Stream> {
    kernel: &'a K,
    key: Key,
    indices: &'a [u64; BATCH],
    words: &'a mut Words,
    out: &'a mut [MaybeUninit<K::Pack>; BATCH],
}

impl<K: Stream> Job for StreamJob<'_, K> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        fill_words(self.key, self.indices, 0, self.words);
        for (l, out) in self.out.iter_mut().enumerate() {
            out.write(self.kernel.block(self.words.block(l)));
        }
        let mut rejects = false;
        for l in 0..BATCH {
            rejects |= self.kernel.rejects(self.words.block(l));
        }
        rejects
    }
}

/// Working space of one `fill_stream`.
struct StreamBatch<'a, K: Stream> {
    isa: Isa,
    key: Key,
    kernel: &'a K,
    indices: [u64; BATCH],
    words: Words,
    packs: [MaybeUninit<K::Pack>; BATCH],
}

impl<K: Stream> StreamBatch<'_, K> {
    /// Draws the blocks named by `indices`; afterwards all packs are written.
    #[inline]
    fn draw(&mut self) {
        let rejects = self.isa.run(StreamJob {
            kernel: self.kernel,
            key: self.key,
            indices: &self.indices,
            words: &mut self.words,
            out: &mut self.packs,
        });
        if rejects {
            self.redraw();
        }
    }

    #[cold]
    fn redraw(&mut self) {
        for l in 0..BATCH {
            let words = self.words.block(l);
            if self.kernel.rejects(words) {
                // SAFETY: the job has written every pack.
                let pack = unsafe { self.packs[l].assume_init() };
                let first: *mut Item<K> = self.packs[l].as_mut_ptr().cast();
                for place in 0..K::Pack::LEN {
                    let element =
                        self.indices[l].wrapping_mul(K::Pack::LEN as u64).wrapping_add(place as u64);
                    let item = self.kernel.redraw(pack, words, place, Again { key: self.key, element });
                    // SAFETY: a pack is an array of LEN items (`Pack` is implemented for arrays alone).
                    unsafe { first.add(place).write(item) };
                }
            }
        }
    }

    /// All items drawn, block after block.
    fn items(&self) -> *const Item<K> {
        self.packs.as_ptr().cast()
    }
}

/// Writes the samples of `region` to `out`, in C order without gaps.
///
/// # Safety
/// `out` must be valid for writes of the region's number of items; no alignment is needed.
pub(super) unsafe fn fill_stream<K: Stream>(isa: Isa, kernel: &K, key: Key, region: &Region, out: *mut u8) {
    let per_block = K::Pack::LEN as u64;
    let mut batch = StreamBatch {
        isa,
        key,
        kernel,
        indices: [0; BATCH],
        words: Words([[0; BATCH]; 4]),
        packs: [const { MaybeUninit::uninit() }; BATCH],
    };
    let mut out: *mut Item<K> = out.cast();
    let mut emit = |from: *const Item<K>, n: usize| {
        let bytes = n * size_of::<Item<K>>();
        // SAFETY: items come from the batch just drawn, and the region's elements, counted once each, fit in `out` by
        // the caller's promise. The destination may be unaligned, so it is written as bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(from.cast::<u8>(), out.cast::<u8>(), bytes);
            out = out.byte_add(bytes);
        }
    };
    if region.run_length() < SHORT_RUN {
        let mut elements = region.elements();
        let mut indices = [0; BATCH];
        loop {
            let n = elements.next_batch(&mut indices);
            if n == 0 {
                return;
            }
            for (block, element) in batch.indices.iter_mut().zip(&indices) {
                *block = element / per_block;
            }
            batch.draw();
            for (l, element) in indices[..n].iter().enumerate() {
                let place = (element % per_block) as usize;
                // SAFETY: `l < BATCH` and `place < LEN`.
                emit(unsafe { batch.items().add(l * K::Pack::LEN + place) }, 1);
            }
        }
    }
    region.for_each_run(|start, length| {
        let mut position = start;
        let end = start + length;
        while position < end {
            let block = position / per_block;
            for (l, index) in batch.indices.iter_mut().enumerate() {
                *index = block.wrapping_add(l as u64);
            }
            batch.draw();
            let skipped = (position % per_block) as usize;
            let n = (end - position).min((BATCH * K::Pack::LEN - skipped) as u64);
            // SAFETY: `skipped + n` items were drawn.
            emit(unsafe { batch.items().add(skipped) }, n as usize);
            position += n;
        }
    });
}

/// A kernel that draws elements from their own substreams.
pub(super) trait Source {
    type Item: Copy;

    /// Any value, to fill arrays before they are drawn.
    const BLANK: Self::Item;

    /// Draws `elements` (linear indices in the array) in place. All of `elements` must be set; repeated ones are fine.
    fn draw(&self, isa: Isa, key: Key, elements: &[u64; BATCH], out: &mut [Self::Item; BATCH]);

    /// Draws one element: the same as among others.
    fn draw_one(&self, isa: Isa, key: Key, element: u64) -> Self::Item {
        let mut out = [Self::BLANK; BATCH];
        self.draw(isa, key, &[element; BATCH], &mut out);
        out[0]
    }
}

/// One attempt of a rejection method, from two Philox blocks.
pub(super) trait Attempt {
    type Item: Copy;
    const BLANK: Self::Item;

    /// How many blocks an attempt reads: 1 or 2. Where it is 1 the second argument below is zero.
    const BLOCKS: u32;

    /// The candidate, and whether a cheap test has accepted it. Straight-line code, `inline(always)`.
    fn quick(&self, a: [u64; 4], b: [u64; 4]) -> (Self::Item, bool);

    /// The exact test. It accepts whatever `quick` accepts, and gives the same item.
    fn settle(&self, a: [u64; 4], b: [u64; 4]) -> Option<Self::Item>;
}

struct AttemptJob<'a, K: Attempt> {
    kernel: &'a K,
    key: Key,
    elements: &'a [u64; BATCH],
    attempt: u32,
    a: &'a mut Words,
    b: &'a mut Words,
    out: &'a mut [K::Item; BATCH],
    accepted: &'a mut [bool; BATCH],
}

impl<K: Attempt> Job for AttemptJob<'_, K> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let lane = self.attempt * K::BLOCKS;
        fill_words(self.key, self.elements, lane, self.a);
        if K::BLOCKS == 2 {
            fill_words(self.key, self.elements, lane + 1, self.b);
        }
        for l in 0..BATCH {
            let (item, accepted) = self.kernel.quick(self.a.block(l), self.b.block(l));
            self.out[l] = item;
            self.accepted[l] = accepted;
        }
    }
}

/// The source that tries until its kernel accepts. Those rejected are gathered and tried again together.
pub(super) struct Rejection<K>(pub(super) K);

impl<K: Attempt> Source for Rejection<K> {
    type Item = K::Item;
    const BLANK: K::Item = K::BLANK;

    fn draw(&self, isa: Isa, key: Key, elements: &[u64; BATCH], out: &mut [K::Item; BATCH]) {
        let mut a = Words([[0; BATCH]; 4]);
        let mut b = Words([[0; BATCH]; 4]);
        let mut accepted = [false; BATCH];
        let mut candidates = [K::BLANK; BATCH];
        let mut pending: [usize; BATCH] = std::array::from_fn(|l| l);
        let mut pending_count = BATCH;
        let mut trying = *elements;
        for attempt in 0..RESERVED_LANES / 2 {
            isa.run(AttemptJob {
                kernel: &self.0,
                key,
                elements: &trying,
                attempt,
                a: &mut a,
                b: &mut b,
                out: &mut candidates,
                accepted: &mut accepted,
            });
            let mut left = 0;
            for l in 0..pending_count {
                let place = pending[l];
                let item =
                    if accepted[l] { Some(candidates[l]) } else { self.0.settle(a.block(l), b.block(l)) };
                match item {
                    Some(item) => out[place] = item,
                    None => {
                        pending[left] = place;
                        trying[left] = trying[l];
                        left += 1;
                    }
                }
            }
            if left == 0 {
                return;
            }
            pending_count = left;
            if left <= FEW {
                for (&place, &element) in pending[..left].iter().zip(&trying) {
                    out[place] = self.alone(key, element, attempt + 1);
                }
                return;
            }
        }
        panic!("bug: a rejection loop that never accepts");
    }

    fn draw_one(&self, _isa: Isa, key: Key, element: u64) -> K::Item {
        self.alone(key, element, 0)
    }
}

/// So many rejected elements or fewer are tried again one by one: a batch for them would be mostly thrown away.
const FEW: usize = 8;

impl<K: Attempt> Rejection<K> {
    /// One element from this attempt on. The exact test alone decides as the quick one and it do together.
    fn alone(&self, key: Key, element: u64, first_attempt: u32) -> K::Item {
        for attempt in first_attempt..RESERVED_LANES / 2 {
            let lane = attempt * K::BLOCKS;
            let a = words(key, element, lane);
            let b = if K::BLOCKS == 2 { words(key, element, lane + 1) } else { [0; 4] };
            if let Some(item) = self.0.settle(a, b) {
                return item;
            }
        }
        panic!("bug: a rejection loop that never accepts");
    }
}

/// As [`fill_stream`], for sources.
///
/// # Safety
/// As for [`fill_stream`].
pub(super) unsafe fn fill_source<K: Source>(isa: Isa, source: &K, key: Key, region: &Region, out: *mut u8) {
    let mut out: *mut K::Item = out.cast();
    let mut elements = region.elements();
    let mut indices = [0; BATCH];
    let mut items = [K::BLANK; BATCH];
    loop {
        let n = elements.next_batch(&mut indices);
        if n == 0 {
            return;
        }
        if n == 1 {
            items[0] = source.draw_one(isa, key, indices[0]);
        } else {
            source.draw(isa, key, &indices, &mut items);
        }
        // SAFETY: `n <= BATCH`, and the region's elements, counted once each, fit in `out` by the caller's promise.
        unsafe {
            let bytes = n * size_of::<K::Item>();
            std::ptr::copy_nonoverlapping(items.as_ptr().cast::<u8>(), out.cast::<u8>(), bytes);
            out = out.byte_add(bytes);
        }
    }
}
