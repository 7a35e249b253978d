//! A box of an array, seen as runs of consecutive elements in the array's C order.
//!
//! Samples are numbered by their place in the whole array, so that a block is filled alike whatever the other blocks
//! are. This file turns a box into those numbers.

use super::engine::BATCH;
use super::error::RandomError;

/// A box of an array of some shape. At least one element, or none at all.
#[derive(Clone, Debug)]
pub(super) struct Region {
    /// (count, stride in elements) of the axes outside a run, outermost first.
    outer: Vec<(u64, u64)>,
    first: u64,
    run_length: u64,
    elements: u64,
}

impl Region {
    /// The box `start .. start + count` of an array of `shape`.
    pub(super) fn new(shape: &[u64], start: &[u64], count: &[u64]) -> Result<Region, RandomError> {
        let inside = shape.len() == start.len()
            && shape.len() == count.len()
            && (0..shape.len()).all(|a| start[a].checked_add(count[a]).is_some_and(|end| end <= shape[a]));
        if !inside {
            return Err(RandomError::Bug(format!(
                "the box of {count:?} elements at {start:?} does not lie in an array of shape {shape:?}"
            )));
        }
        let elements = count.iter().product();
        if elements == 0 {
            return Ok(Region { outer: Vec::new(), first: 0, run_length: 0, elements: 0 });
        }
        if shape.iter().try_fold(1u64, |size, &n| size.checked_mul(n)).is_none() {
            return Err(RandomError::Value(format!(
                "an array of shape {shape:?} has more than 2**64 elements"
            )));
        }
        let mut outer = Vec::new();
        let (mut first, mut run_length, mut stride) = (0, 1, 1);
        // Axes join the run as long as everything inside them is taken whole.
        let mut whole = true;
        for axis in (0..shape.len()).rev() {
            first += start[axis] * stride;
            if whole {
                run_length *= count[axis];
            } else if count[axis] != 1 {
                outer.push((count[axis], stride));
            }
            whole &= count[axis] == shape[axis];
            stride *= shape[axis];
        }
        outer.reverse();
        Ok(Region { outer, first, run_length, elements })
    }

    /// How many elements the box has.
    pub(super) fn len(&self) -> u64 {
        self.elements
    }

    /// How many consecutive elements each run has.
    pub(super) fn run_length(&self) -> u64 {
        self.run_length
    }

    /// Calls `visit(first element, number of elements)` for each run, in C order of the box.
    pub(super) fn for_each_run(&self, mut visit: impl FnMut(u64, u64)) {
        let mut runs = self.runs();
        while let Some(first) = runs.next_run() {
            visit(first, self.run_length);
        }
    }

    fn runs(&self) -> Runs<'_> {
        Runs { region: self, position: vec![0; self.outer.len()], next: self.first, done: self.elements == 0 }
    }

    /// The elements one by one, in batches.
    pub(super) fn elements(&self) -> Elements<'_> {
        Elements { runs: self.runs(), element: 0, left_in_run: 0 }
    }
}

/// The first elements of the runs of a region.
struct Runs<'a> {
    region: &'a Region,
    position: Vec<u64>,
    next: u64,
    done: bool,
}

impl Runs<'_> {
    fn next_run(&mut self) -> Option<u64> {
        if self.done {
            return None;
        }
        let first = self.next;
        // An odometer: the innermost axis that is not at its end moves on, those inside it start again.
        for (at, &(count, stride)) in self.position.iter_mut().zip(&self.region.outer).rev() {
            *at += 1;
            if *at < count {
                self.next += stride;
                return Some(first);
            }
            *at = 0;
            self.next -= (count - 1) * stride;
        }
        self.done = true;
        Some(first)
    }
}

/// The elements of a region.
pub(super) struct Elements<'a> {
    runs: Runs<'a>,
    element: u64,
    left_in_run: u64,
}

impl Elements<'_> {
    /// Writes the next elements, and how many there were; the rest of `out` repeats the last one.
    pub(super) fn next_batch(&mut self, out: &mut [u64; BATCH]) -> usize {
        let mut n = 0;
        while n < BATCH {
            if self.left_in_run == 0 {
                match self.runs.next_run() {
                    Some(first) => {
                        self.element = first;
                        self.left_in_run = self.runs.region.run_length;
                    }
                    None => break,
                }
            }
            let take = self.left_in_run.min((BATCH - n) as u64);
            for i in 0..take {
                out[n + i as usize] = self.element + i;
            }
            n += take as usize;
            self.element += take;
            self.left_in_run -= take;
        }
        if n > 0 {
            let last = out[n - 1];
            out[n..].fill(last);
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(shape: &[u64], start: &[u64], count: &[u64]) -> Vec<u64> {
        let region = Region::new(shape, start, count).unwrap();
        let mut by_runs = Vec::new();
        region.for_each_run(|first, n| by_runs.extend(first..first + n));
        let mut by_elements = Vec::new();
        let (mut elements, mut batch) = (region.elements(), [0; BATCH]);
        loop {
            let n = elements.next_batch(&mut batch);
            if n == 0 {
                break;
            }
            by_elements.extend_from_slice(&batch[..n]);
        }
        assert_eq!(by_runs, by_elements);
        assert_eq!(by_runs.len() as u64, region.len());
        by_runs
    }

    #[test]
    fn boxes_are_runs_of_linear_indices() {
        assert_eq!(listed(&[], &[], &[]), [0]);
        assert_eq!(listed(&[5], &[2], &[3]), [2, 3, 4]);
        assert_eq!(listed(&[3, 4], &[1, 1], &[2, 2]), [5, 6, 9, 10]);
        assert_eq!(listed(&[2, 3, 2], &[0, 1, 0], &[2, 2, 2]), [2, 3, 4, 5, 8, 9, 10, 11]);
        assert_eq!(listed(&[2, 2, 2], &[0, 1, 1], &[2, 1, 1]), [3, 7]);
        assert_eq!(listed(&[4, 0], &[1, 0], &[2, 0]), [] as [u64; 0]);
        assert_eq!(Region::new(&[4, 5], &[1, 0], &[3, 5]).unwrap().run_length(), 15);
    }

    #[test]
    fn a_box_outside_the_array_is_refused() {
        assert!(matches!(Region::new(&[4], &[2], &[3]), Err(RandomError::Bug(_))));
        assert!(matches!(Region::new(&[4], &[u64::MAX], &[2]), Err(RandomError::Bug(_))));
        assert!(matches!(Region::new(&[4, 4], &[0], &[3]), Err(RandomError::Bug(_))));
        let huge = Region::new(&[1 << 40, 1 << 40], &[0, 0], &[1, 1]);
        assert!(matches!(huge, Err(RandomError::Value(_))));
    }
}
