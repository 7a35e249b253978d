//! The loops of a call: which axis runs innermost, which axes are one, whether two are walked in tiles.
//!
//! Every operand of a call has a stride for every axis. Axes of length one are dropped, the rest are sorted so that memory
//! is walked in order, and neighbours that are one long axis for every operand are merged. What is left are two inner loops, which the
//! kernel has, and outer ones, which run here.

use pantile_jit::ir::Stride;
use smallvec::SmallVec;

/// An axis of a call: its length and each operand's stride (memory operands in bytes, then coordinates in values).
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The length.
    pub len: usize,
    /// Whether it is reduced.
    pub reduced: bool,
    /// One stride an operand.
    pub strides: SmallVec<[isize; 8]>,
}

/// The loops of a call.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Loops around the kernel, outermost first.
    pub around: SmallVec<[Axis; 4]>,
    /// The kernel's outer loop.
    pub outer: Axis,
    /// The kernel's inner loop.
    pub inner: Axis,
    /// What is known of each memory operand's stride along the inner loop.
    pub classes: SmallVec<[Stride; 6]>,
    /// Whether the kernel walks both loops in square tiles, because the operands disagree about the inner one.
    pub tiled: bool,
    /// Whether the inner loop is reduced.
    pub inner_reduced: bool,
}

impl Plan {
    /// Plans a call. `sizes` are the item sizes of the memory operands, of which the first `leaves` are read and the others
    /// written. `store` tells whether results are stored (else folded into states), `may_tile` whether tiles are allowed.
    pub fn new(
        axes: SmallVec<[Axis; 6]>,
        sizes: &[usize],
        leaves: usize,
        store: bool,
        may_tile: bool,
    ) -> Plan {
        let operands = axes.first().map_or(sizes.len(), |a| a.strides.len());
        let unit_axis = |reduced| Axis { len: 1, reduced, strides: SmallVec::from_elem(0, operands) };
        let mut axes: SmallVec<[Axis; 6]> = axes.into_iter().filter(|a| a.len != 1).collect();

        // The order of loops follows the first operand that has an opinion; when storing, the output has the first word.
        let mut voters: SmallVec<[usize; 6]> = SmallVec::new();
        if store {
            voters.extend(leaves..sizes.len());
        }
        voters.extend(0..leaves);
        // Insertion sort: the comparison is no total order when operands disagree, and there are few axes.
        for i in 1..axes.len() {
            let mut j = i;
            while j > 0 && belongs_outside(&axes[j], &axes[j - 1], &voters) {
                axes.swap(j, j - 1);
                j -= 1;
            }
        }

        let mut merged: SmallVec<[Axis; 6]> = SmallVec::new();
        for axis in axes {
            if let Some(last) = merged.last_mut() {
                let outer: &mut Axis = last;
                let one = outer.reduced == axis.reduced
                    && outer.strides.iter().zip(&axis.strides).all(|(&o, &i)| o == i * axis.len as isize);
                if one {
                    *outer = Axis { len: outer.len * axis.len, ..axis };
                    continue;
                }
            }
            merged.push(axis);
        }

        // Folding into a few results, element by element, wastes the vector lanes: then reduce along the inner loop.
        if !store && merged.len() >= 2 {
            let last = merged.len() - 1;
            if !merged[last].reduced
                && merged[last].len < 8
                && let Some(k) =
                    (0..last).rev().find(|&k| merged[k].reduced && merged[k].len > merged[last].len)
            {
                let axis = merged.remove(k);
                merged.push(axis);
            }
        }

        let mut tiled = false;
        if may_tile && merged.len() >= 2 {
            let last = merged.len() - 1;
            let strided = (0..leaves).find_map(|i| {
                let s = merged[last].strides[i];
                if s == 0 || s == sizes[i] as isize {
                    return None;
                }
                (0..last).find(|&k| merged[k].strides[i].unsigned_abs() == sizes[i] && merged[k].len >= 4)
            });
            if let Some(k) = strided {
                let allowed = store || (merged[k].reduced && merged[last].reduced);
                if allowed && merged[last].len >= 4 {
                    let axis = merged.remove(k);
                    merged.insert(last - 1, axis);
                    tiled = true;
                }
            }
        }

        let inner = merged.pop().unwrap_or_else(|| unit_axis(!store));
        let outer = merged.pop().unwrap_or_else(|| unit_axis(inner.reduced));
        let classes = (0..sizes.len())
            .map(|i| match inner.strides[i] {
                0 => Stride::Zero,
                s if s == sizes[i] as isize => Stride::Unit,
                _ => Stride::Dynamic,
            })
            .collect();
        Plan {
            around: merged.into_iter().collect(),
            inner_reduced: inner.reduced,
            outer,
            inner,
            classes,
            tiled,
        }
    }

    /// Calls `f` with each operand's offset for every position of the outer loops.
    pub fn for_each_pair(&self, f: &mut dyn FnMut(&[isize])) {
        let mut offsets: SmallVec<[isize; 8]> = SmallVec::from_elem(0, self.inner.strides.len());
        let mut at: SmallVec<[usize; 4]> = SmallVec::from_elem(0, self.around.len());
        loop {
            f(&offsets);
            let mut k = self.around.len();
            loop {
                if k == 0 {
                    return;
                }
                k -= 1;
                let axis = &self.around[k];
                at[k] += 1;
                for (o, s) in offsets.iter_mut().zip(&axis.strides) {
                    *o += s;
                }
                if at[k] < axis.len {
                    break;
                }
                for (o, s) in offsets.iter_mut().zip(&axis.strides) {
                    *o -= s * axis.len as isize;
                }
                at[k] = 0;
            }
        }
    }
}

/// Whether `a` should be a loop outside `b`.
fn belongs_outside(a: &Axis, b: &Axis, voters: &[usize]) -> bool {
    for &v in voters {
        let (x, y) = (a.strides[v].unsigned_abs(), b.strides[v].unsigned_abs());
        if x != 0 && y != 0 && x != y {
            return x > y;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(len: usize, reduced: bool, strides: &[isize]) -> Axis {
        Axis { len, reduced, strides: strides.into() }
    }

    #[test]
    fn contiguous_axes_become_one() {
        let axes = [axis(3, false, &[160, 160]), axis(4, false, &[40, 40]), axis(5, false, &[8, 8])];
        let plan = Plan::new(axes.into_iter().collect(), &[8, 8], 1, true, true);
        assert_eq!((plan.inner.len, plan.outer.len, plan.around.len()), (60, 1, 0));
        assert_eq!(plan.classes.as_slice(), [Stride::Unit, Stride::Unit]);
        assert!(!plan.tiled);
    }

    #[test]
    fn a_transposed_operand_makes_tiles() {
        // x + x.T into a C-ordered output.
        let axes = [axis(100, false, &[800, 8, 800]), axis(100, false, &[8, 800, 8])];
        let plan = Plan::new(axes.into_iter().collect(), &[8, 8, 8], 2, true, true);
        assert!(plan.tiled);
        assert_eq!(plan.classes.as_slice(), [Stride::Unit, Stride::Dynamic, Stride::Unit]);
    }

    #[test]
    fn a_column_sum_runs_over_results() {
        let axes = [axis(1000, true, &[800, 0]), axis(100, false, &[8, 8])];
        let plan = Plan::new(axes.into_iter().collect(), &[8, 8], 1, false, true);
        assert!(!plan.inner_reduced);
        assert_eq!((plan.outer.len, plan.inner.len), (1000, 100));
    }

    #[test]
    fn few_columns_are_summed_along_rows() {
        let axes = [axis(1000, true, &[24, 0]), axis(3, false, &[8, 8])];
        let plan = Plan::new(axes.into_iter().collect(), &[8, 8], 1, false, true);
        assert!(plan.inner_reduced);
        assert_eq!((plan.outer.len, plan.inner.len), (3, 1000));
    }

    #[test]
    fn outer_loops_visit_every_position_once() {
        let axes = [
            axis(2, false, &[1000, 1]),
            axis(3, false, &[100, 10]),
            axis(4, false, &[7, 100]),
            axis(5, false, &[1, 1000]),
        ];
        let plan = Plan::new(axes.into_iter().collect(), &[1, 1], 1, true, false);
        let mut n = 0;
        plan.for_each_pair(&mut |_| n += 1);
        assert_eq!(n * plan.outer.len * plan.inner.len, 120);
    }
}
