//! Affine views: every basic index, transpose, flip, broadcast, new axis and dropped axis is one of these.
//!
//! A view says where each element of the output lies in the input: an output axis either walks along one input axis with
//! a start and a step, or is new (all its elements are the same). An input axis that no output axis walks is fixed at one
//! position. Views compose into one view, which is how a chain of them costs nothing.

use smallvec::SmallVec;

/// Where an output axis comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ViewAxis {
    /// Element `i` of this axis is element `start + step * i` of the input axis.
    Along {
        /// Which input axis.
        input: u32,
        /// The input position of the first element.
        start: u64,
        /// The distance between neighbours, never zero.
        step: i64,
    },
    /// All elements of this axis are the same.
    New,
}

/// A map from output positions to input positions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct View {
    /// One entry an output axis.
    pub axes: SmallVec<[ViewAxis; 4]>,
    /// One entry an input axis: the position where it is fixed, or `None` if an output axis walks it.
    pub fixed: SmallVec<[Option<u64>; 4]>,
}

impl View {
    /// The view that changes nothing.
    pub fn identity(ndim: usize) -> View {
        View {
            axes: (0..ndim as u32).map(|input| ViewAxis::Along { input, start: 0, step: 1 }).collect(),
            fixed: SmallVec::from_elem(None, ndim),
        }
    }

    /// Whether the view changes nothing but, perhaps, the length of axes.
    pub fn is_identity(&self) -> bool {
        self.axes.len() == self.fixed.len()
            && self
                .axes
                .iter()
                .enumerate()
                .all(|(i, a)| matches!(a, ViewAxis::Along { input, start: 0, step: 1 } if *input == i as u32))
    }

    /// The view that first applies `inner` to an array and then `self` to the result.
    pub fn compose(&self, inner: &View) -> View {
        let mut fixed = inner.fixed.clone();
        for (axis, position) in self.fixed.iter().enumerate() {
            if let (Some(at), ViewAxis::Along { input, start, step }) = (position, inner.axes[axis]) {
                fixed[input as usize] = Some((start as i64 + step * *at as i64) as u64);
            }
        }
        let axes = self
            .axes
            .iter()
            .map(|a| match *a {
                ViewAxis::New => ViewAxis::New,
                ViewAxis::Along { input, start, step } => match inner.axes[input as usize] {
                    ViewAxis::New => ViewAxis::New,
                    ViewAxis::Along { input, start: s, step: t } => {
                        ViewAxis::Along { input, start: (s as i64 + t * start as i64) as u64, step: t * step }
                    }
                },
            })
            .collect();
        View { axes, fixed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composing_a_slice_with_a_transpose() {
        // a[2:, ::-1].T of shape (4, 5): rows 2.., columns reversed.
        let slice = View {
            axes: [
                ViewAxis::Along { input: 0, start: 2, step: 1 },
                ViewAxis::Along { input: 1, start: 4, step: -1 },
            ]
            .into_iter()
            .collect(),
            fixed: SmallVec::from_elem(None, 2),
        };
        let transpose = View {
            axes: [
                ViewAxis::Along { input: 1, start: 0, step: 1 },
                ViewAxis::Along { input: 0, start: 0, step: 1 },
            ]
            .into_iter()
            .collect(),
            fixed: SmallVec::from_elem(None, 2),
        };
        let both = transpose.compose(&slice);
        assert_eq!(both.axes[0], ViewAxis::Along { input: 1, start: 4, step: -1 });
        assert_eq!(both.axes[1], ViewAxis::Along { input: 0, start: 2, step: 1 });
        // Then the second row of that: input axis 1 fixed at 4 - 1.
        let row = View {
            axes: [ViewAxis::Along { input: 1, start: 0, step: 1 }].into_iter().collect(),
            fixed: [Some(1), None].into_iter().collect(),
        };
        let all = row.compose(&both);
        assert_eq!(all.fixed.as_slice(), [None, Some(3)]);
        assert_eq!(all.axes[0], ViewAxis::Along { input: 0, start: 2, step: 1 });
    }
}
