//! The passage to `faer`: views, parallelism, and the private trait that gives generic code both our arithmetic and
//! faer's. No public item mentions faer.

use crate::columns::RealColumns;
use crate::divide::RealDivide;
use crate::scalar::Scalar;
use crate::tall::Tall;
use crate::view::{MatMut, MatRef};
use faer::traits::ComplexField;

/// How a kernel may use the pool it is called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Par {
    /// On the calling thread only.
    Seq,
    /// On at most this many threads of the rayon pool that the caller runs on. Called from a thread outside of any
    /// pool it is [`Par::Seq`]: rayon would otherwise start a second, global pool.
    Threads(usize),
}

impl Par {
    /// The number of threads that this request comes to here and now.
    pub(crate) fn degree(self) -> usize {
        match self {
            Par::Threads(n) if rayon_core::current_thread_index().is_some() => {
                n.clamp(1, rayon_core::current_num_threads())
            }
            Par::Threads(_) | Par::Seq => 1,
        }
    }
    pub(crate) fn to_faer(self) -> faer::Par {
        match self.degree() {
            1 => faer::Par::Seq,
            n => faer::Par::rayon(n),
        }
    }
}

/// An element type as the generic kernels see it.
pub(crate) trait Field:
    Scalar<Re: RealColumns + RealDivide + Tall> + ComplexField<Real = <Self as Scalar>::Re>
{
}
impl<T: Scalar<Re: RealColumns + RealDivide + Tall> + ComplexField<Real = <T as Scalar>::Re>> Field for T {}

pub(crate) fn fref<'a, T: Copy>(a: MatRef<'a, T>) -> faer::MatRef<'a, T> {
    // SAFETY: a MatRef promises exactly what faer asks: every position is readable for 'a.
    unsafe { faer::MatRef::from_raw_parts(a.as_ptr(), a.nrows(), a.ncols(), a.row_stride(), a.col_stride()) }
}

pub(crate) fn fmut<'a, T: Copy>(mut a: MatMut<'a, T>) -> faer::MatMut<'a, T> {
    // SAFETY: a MatMut promises exactly what faer asks: exclusive, disjoint, writable positions for 'a.
    unsafe {
        faer::MatMut::from_raw_parts_mut(a.as_mut_ptr(), a.nrows(), a.ncols(), a.row_stride(), a.col_stride())
    }
}

/// The euclidean norm of a slice, without undue overflow or underflow.
pub(crate) fn norm<T: Field>(x: &[T]) -> <T as Scalar>::Re {
    faer::ColRef::from_slice(x).norm_l2()
}
