//! Matrix products. faer's kernels (AVX2 or AVX-512 chosen when running) do the arithmetic on one thread; the division
//! among threads is made here with `rayon_core::join`, not by faer: its own division blocks pool threads in
//! barriers while a product runs, where `join` lets a busy pool finish the product on the thread that asked.

use crate::bridge::{Field, Par, fmut, fref};
use crate::error::{Error, Result};
use crate::mat::{ColMat, Mat};
use crate::scalar::Scalar;
use crate::stop::{ask, join};
use crate::view::{MatMut, MatRef};
use faer::{Accum, Conj};

/// Below this many multiplications a second thread costs more than it brings.
const PARALLEL_THRESHOLD: usize = 96 * 96 * 96;

/// On one thread a product is made in pieces of at most so many multiplications, some 10 ms of work, and may be stopped between
/// two of them. Pieces are as near to cubes as the product allows: reading their operands costs next to nothing then.
pub(crate) const PIECE: usize = 1 << 28;

/// Checks the shapes of a product.
pub(crate) fn check_product(
    op: &'static str,
    dst: (usize, usize),
    lhs: (usize, usize),
    rhs: (usize, usize),
) -> Result<()> {
    if lhs.1 == rhs.0 && dst == (lhs.0, rhs.1) {
        return Ok(());
    }
    Err(Error::Shape {
        op,
        detail: format!("{}x{} times {}x{} into {}x{}", lhs.0, lhs.1, rhs.0, rhs.1, dst.0, dst.1),
    })
}

pub(crate) fn gemm<T: Field>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    alpha: T,
    lhs: MatRef<'_, T>,
    rhs: MatRef<'_, T>,
    par: Par,
) -> Result<()> {
    check_product(
        "matmul",
        (dst.nrows(), dst.ncols()),
        (lhs.nrows(), lhs.ncols()),
        (rhs.nrows(), rhs.ncols()),
    )?;
    // The kernels read vectors along a unit stride. A view with no unit stride, or one that repeats elements, is copied
    // once: n² moves before n³ multiplications. Thin shapes go through as they are.
    let (lhs_copy, rhs_copy);
    let worth = |other: usize| other >= 4;
    let lhs = if awkward(lhs) && worth(rhs.ncols()) {
        lhs_copy = Mat::copied(lhs);
        lhs_copy.as_ref()
    } else {
        lhs
    };
    let rhs = if awkward(rhs) && worth(lhs.nrows()) {
        rhs_copy = Mat::copied(rhs);
        rhs_copy.as_ref()
    } else {
        rhs
    };
    mm(dst, accumulate, alpha, (lhs, false), (rhs, false), par);
    Ok(())
}

/// Whether a view has neither rows nor columns that are contiguous.
fn awkward<T: Copy>(a: MatRef<'_, T>) -> bool {
    (a.nrows() > 1 && a.row_stride() == 0)
        || (a.ncols() > 1 && a.col_stride() == 0)
        || (a.row_stride() != 1 && a.col_stride() != 1)
}

/// `dst (+)= alpha * op(lhs) * op(rhs)`, where the flag beside an operand asks for its conjugate.
pub(crate) fn mm<T: Field>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    alpha: T,
    lhs: (MatRef<'_, T>, bool),
    rhs: (MatRef<'_, T>, bool),
    par: Par,
) {
    split(dst, accumulate, alpha, lhs, rhs, par.degree());
}

fn split<T: Field>(
    mut dst: MatMut<'_, T>,
    accumulate: bool,
    alpha: T,
    (lhs, conj_lhs): (MatRef<'_, T>, bool),
    (rhs, conj_rhs): (MatRef<'_, T>, bool),
    threads: usize,
) {
    let (m, n, k) = (dst.nrows(), dst.ncols(), lhs.ncols());
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            dst.fill(T::ZERO);
        }
        return;
    }
    if threads <= 1 || m.saturating_mul(n).saturating_mul(k) < PARALLEL_THRESHOLD {
        return pieces(dst, accumulate, alpha, (lhs, conj_lhs), (rhs, conj_rhs));
    }
    let left_threads = threads.div_ceil(2);
    let right_threads = threads - left_threads;
    // The cut falls on a multiple of the kernels' tile, in proportion to the threads on either side.
    let cut = |len: usize| (len * left_threads / threads).next_multiple_of(48).min(len);
    if k > 8 * m.max(n) {
        // A small result of long inner products: each side sums a part of them, then the parts are added.
        let at = cut(k);
        let mut part = ColMat::zeros(m, n);
        join(
            || {
                let (l, r) = (lhs.sub(0, 0, m, at), rhs.sub(0, 0, at, n));
                split(dst.rb_mut(), accumulate, alpha, (l, conj_lhs), (r, conj_rhs), left_threads)
            },
            || {
                let (l, r) = (lhs.sub(0, at, m, k - at), rhs.sub(at, 0, k - at, n));
                split(part.as_mut(), false, alpha, (l, conj_lhs), (r, conj_rhs), right_threads)
            },
        );
        add(dst, part.as_ref());
    } else if m >= n {
        let at = cut(m);
        let (top, bottom) = dst.split_at_row(at);
        let (l0, l1) = (lhs.sub(0, 0, at, k), lhs.sub(at, 0, m - at, k));
        join(
            || split(top, accumulate, alpha, (l0, conj_lhs), (rhs, conj_rhs), left_threads),
            || split(bottom, accumulate, alpha, (l1, conj_lhs), (rhs, conj_rhs), right_threads),
        );
    } else {
        let at = cut(n);
        let (left, right) = dst.split_at_col(at);
        let (r0, r1) = (rhs.sub(0, 0, k, at), rhs.sub(0, at, k, n - at));
        join(
            || split(left, accumulate, alpha, (lhs, conj_lhs), (r0, conj_rhs), left_threads),
            || split(right, accumulate, alpha, (lhs, conj_lhs), (r1, conj_rhs), right_threads),
        );
    }
}

/// A product on this thread.
fn pieces<T: Field>(
    mut dst: MatMut<'_, T>,
    accumulate: bool,
    alpha: T,
    (lhs, conj_lhs): (MatRef<'_, T>, bool),
    (rhs, conj_rhs): (MatRef<'_, T>, bool),
) {
    let (m, n, k) = (dst.nrows(), dst.ncols(), lhs.ncols());
    if m.saturating_mul(n).saturating_mul(k) > PIECE {
        let cut = |len: usize| len.div_ceil(2).next_multiple_of(48).min(len);
        if k >= m.max(n) {
            let at = cut(k);
            let (l0, l1) = (lhs.sub(0, 0, m, at), lhs.sub(0, at, m, k - at));
            let (r0, r1) = (rhs.sub(0, 0, at, n), rhs.sub(at, 0, k - at, n));
            pieces(dst.rb_mut(), accumulate, alpha, (l0, conj_lhs), (r0, conj_rhs));
            pieces(dst, true, alpha, (l1, conj_lhs), (r1, conj_rhs));
        } else if m >= n {
            let at = cut(m);
            let (top, bottom) = dst.split_at_row(at);
            pieces(top, accumulate, alpha, (lhs.sub(0, 0, at, k), conj_lhs), (rhs, conj_rhs));
            pieces(bottom, accumulate, alpha, (lhs.sub(at, 0, m - at, k), conj_lhs), (rhs, conj_rhs));
        } else {
            let at = cut(n);
            let (left, right) = dst.split_at_col(at);
            pieces(left, accumulate, alpha, (lhs, conj_lhs), (rhs.sub(0, 0, k, at), conj_rhs));
            pieces(right, accumulate, alpha, (lhs, conj_lhs), (rhs.sub(0, at, k, n - at), conj_rhs));
        }
        return;
    }
    ask();
    let accum = if accumulate { Accum::Add } else { Accum::Replace };
    let conj = |yes| if yes { Conj::Yes } else { Conj::No };
    faer::linalg::matmul::matmul_with_conj(
        fmut(dst),
        accum,
        fref(lhs),
        conj(conj_lhs),
        fref(rhs),
        conj(conj_rhs),
        alpha,
        faer::Par::Seq,
    );
}

/// `dst += src`
fn add<T: Scalar>(mut dst: MatMut<'_, T>, src: MatRef<'_, T>) {
    for j in 0..dst.ncols() {
        for i in 0..dst.nrows() {
            dst.set(i, j, dst.at(i, j) + src.at(i, j));
        }
    }
}

/// Whether every element is finite.
pub(crate) fn all_finite<T: Scalar>(a: MatRef<'_, T>) -> bool {
    if a.row_stride().unsigned_abs() < a.col_stride().unsigned_abs() {
        return all_finite(a.transpose());
    }
    (0..a.nrows()).all(|i| {
        // A sum of zeros times the elements: NaN as soon as one is not finite, and no branch in the loop.
        let mut probe = T::ZERO;
        for j in 0..a.ncols() {
            probe = probe + a.at(i, j).scale(<T::Re as Scalar>::ZERO);
        }
        probe.finite()
    })
}
