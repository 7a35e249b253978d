//! LU with partial pivoting, and what follows from it: solving, inverse, determinant, triangular systems.
//!
//! The elimination is written here: faer's divides by a zero pivot, which turns the determinant of a singular
//! matrix into NaN where NumPy's is zero.

use crate::bridge::{Field, Par, fmut, fref};
use crate::error::{Error, Result, square};
use crate::gemm::{PIECE, mm};
use crate::mat::{ColMat, Mat};
use crate::scalar::{RealScalar, Scalar};
use crate::stop::ask;
use crate::view::{MatMut, MatRef};
use faer::Conj;
use faer::linalg::triangular_solve as tri;

/// A factorisation `P A = L U`.
#[derive(Clone, Debug)]
pub struct Lu<T> {
    /// L below the diagonal (its own diagonal is one), U on and above it.
    pub lu: Mat<T>,
    /// Row `i` of `P A` is row `perm[i]` of A.
    pub perm: Vec<usize>,
    /// Whether the permutation is odd.
    pub odd: bool,
}

/// How the matrix of a triangular system enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trans {
    /// As it is.
    No,
    /// Transposed.
    Transpose,
    /// Transposed and conjugated.
    Adjoint,
}

fn swap_rows<T: Scalar>(a: &mut MatMut<'_, T>, i: usize, j: usize) {
    if i != j {
        for c in 0..a.ncols() {
            let (x, y) = (a.at(i, c), a.at(j, c));
            a.set(i, c, y);
            a.set(j, c, x);
        }
    }
}

/// Recursive elimination of `min(m, n)` columns; `pivots[i]` is the row that row `i` was exchanged with.
fn eliminate<T: Field>(mut a: MatMut<'_, T>, pivots: &mut [usize], par: Par) {
    let (m, n, k) = (a.nrows(), a.ncols(), pivots.len());
    if k == 0 {
        return;
    }
    if k == 1 {
        let mut best = 0;
        let mut size = a.at(0, 0).abs1();
        for i in 1..m {
            let other = a.at(i, 0).abs1();
            if other > size {
                (best, size) = (i, other);
            }
        }
        pivots[0] = best;
        swap_rows(&mut a, 0, best);
        let pivot = a.at(0, 0);
        if pivot != T::ZERO {
            let safe = size >= <T::Re as RealScalar>::TINY;
            let inverse = pivot.reciprocal();
            // For a subnormal pivot the reciprocal overflows; turn first, then divide.
            let (modulus, turn) = (pivot.modulus(), pivot.conjugate().over(pivot.modulus()));
            let column = a.col_mut(0).expect("working storage is column-major");
            for x in &mut column[1..] {
                *x = if safe { *x * inverse } else { (*x * turn).over(modulus) };
            }
        }
        // Columns beyond the last pivot exist in a wide matrix only, where m is one: nothing is below to update.
        return;
    }
    ask();
    let k1 = k / 2;
    eliminate(a.rb_mut().sub(0, 0, m, k1), &mut pivots[..k1], par);
    let (left, mut right) = a.rb_mut().split_at_col(k1);
    for (i, &p) in pivots[..k1].iter().enumerate() {
        swap_rows(&mut right, i, p);
    }
    let (mut top, mut below) = right.split_at_row(k1);
    let l = left.rb();
    tri::solve_unit_lower_triangular_in_place(fref(l.sub(0, 0, k1, k1)), fmut(top.rb_mut()), par.to_faer());
    mm(below.rb_mut(), true, -T::ONE, (l.sub(k1, 0, m - k1, k1), false), (top.rb(), false), par);
    eliminate(below, &mut pivots[k1..], par);
    let mut left = a.sub(k1, 0, m - k1, n.min(k1));
    for (i, p) in pivots[k1..].iter_mut().enumerate() {
        swap_rows(&mut left, i, *p);
        *p += k1;
    }
}

/// The factors in working storage.
struct Factor<T> {
    lu: ColMat<T>,
    perm: Vec<usize>,
    odd: bool,
}

fn factor<T: Field>(a: MatRef<'_, T>, par: Par) -> Factor<T> {
    let mut lu = ColMat::copied(a);
    let mut pivots = vec![0; a.nrows().min(a.ncols())];
    eliminate(lu.as_mut(), &mut pivots, par);
    let mut perm: Vec<usize> = (0..a.nrows()).collect();
    let mut odd = false;
    for (i, &p) in pivots.iter().enumerate() {
        perm.swap(i, p);
        odd ^= i != p;
    }
    Factor { lu, perm, odd }
}

pub(crate) fn lu<T: Field>(a: MatRef<'_, T>, par: Par) -> Lu<T> {
    let f = factor(a, par);
    Lu { lu: f.lu.to_mat(), perm: f.perm, odd: f.odd }
}

pub(crate) fn solve<T: Field>(
    op: &'static str,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    par: Par,
) -> Result<Mat<T>> {
    let n = square(op, a.nrows(), a.ncols())?;
    if b.nrows() != n {
        return Err(Error::Shape {
            op,
            detail: format!("matrix {n}x{n}, right-hand side {}x{}", b.nrows(), b.ncols()),
        });
    }
    let f = factor(a, par);
    let lu = f.lu.as_ref();
    if let Some(index) = (0..n).find(|&i| lu.at(i, i) == T::ZERO) {
        return Err(Error::Singular { op, index });
    }
    let mut x = ColMat::zeros(n, b.ncols());
    for (i, &p) in f.perm.iter().enumerate() {
        x.as_mut().sub(i, 0, 1, b.ncols()).copy_from(b.sub(p, 0, 1, b.ncols()));
    }
    if n > 0 && b.ncols() > 0 {
        tri::solve_unit_lower_triangular_in_place(fref(lu), fmut(x.as_mut()), par.to_faer());
        tri::solve_upper_triangular_in_place(fref(lu), fmut(x.as_mut()), par.to_faer());
    }
    Ok(x.to_mat())
}

pub(crate) fn inv<T: Field>(a: MatRef<'_, T>, par: Par) -> Result<Mat<T>> {
    let n = square("inv", a.nrows(), a.ncols())?;
    solve("inv", a, Mat::eye(n, n).as_ref(), par)
}

pub(crate) fn det<T: Field>(a: MatRef<'_, T>, par: Par) -> Result<T> {
    let n = square("det", a.nrows(), a.ncols())?;
    let f = factor(a, par);
    let start = if f.odd { -T::ONE } else { T::ONE };
    Ok((0..n).fold(start, |product, i| product * f.lu.as_ref().at(i, i)))
}

pub(crate) fn slogdet<T: Field>(a: MatRef<'_, T>, par: Par) -> Result<(T, <T as Scalar>::Re)> {
    let n = square("slogdet", a.nrows(), a.ncols())?;
    let f = factor(a, par);
    let mut sign = if f.odd { -T::ONE } else { T::ONE };
    let mut log = <T::Re as Scalar>::ZERO;
    for i in 0..n {
        let x = f.lu.as_ref().at(i, i);
        let size = x.modulus();
        if size == <T::Re as Scalar>::ZERO {
            return Ok((T::ZERO, size.log()));
        }
        sign *= T::from_parts(x.re() / size, x.im() / size);
        log += size.log();
    }
    Ok((sign, log))
}

pub(crate) fn solve_triangular<T: Field>(
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    lower: bool,
    trans: Trans,
    unit_diagonal: bool,
    par: Par,
) -> Result<Mat<T>> {
    let op = "solve_triangular";
    let n = square(op, a.nrows(), a.ncols())?;
    if b.nrows() != n {
        return Err(Error::Shape {
            op,
            detail: format!("matrix {n}x{n}, right-hand side {}x{}", b.nrows(), b.ncols()),
        });
    }
    if !unit_diagonal && let Some(index) = (0..n).find(|&i| a.at(i, i) == T::ZERO) {
        return Err(Error::Singular { op, index });
    }
    let mut x = ColMat::copied(b);
    if n > 0 && b.ncols() > 0 {
        let (a, lower, conj) = match trans {
            Trans::No => (a, lower, Conj::No),
            Trans::Transpose => (a.transpose(), !lower, Conj::No),
            Trans::Adjoint => (a.transpose(), !lower, Conj::Yes),
        };
        let par = par.to_faer();
        // The columns are independent; between pieces of them the work may be stopped.
        let width = (PIECE / n.saturating_mul(n)).max(48);
        for first in (0..b.ncols()).step_by(width) {
            ask();
            let columns = x.as_mut().sub(0, first, n, width.min(b.ncols() - first));
            let (a, rhs) = (fref(a), fmut(columns));
            match (lower, unit_diagonal) {
                (true, false) => tri::solve_lower_triangular_in_place_with_conj(a, conj, rhs, par),
                (true, true) => tri::solve_unit_lower_triangular_in_place_with_conj(a, conj, rhs, par),
                (false, false) => tri::solve_upper_triangular_in_place_with_conj(a, conj, rhs, par),
                (false, true) => tri::solve_unit_upper_triangular_in_place_with_conj(a, conj, rhs, par),
            }
        }
    }
    Ok(x.to_mat())
}
