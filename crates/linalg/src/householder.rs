//! Householder reflections in compact WY form, the core of every QR here. Q = I - V T Vᴴ, with V unit lower trapezoidal
//! and T upper triangular, built by a recursion in which nearly all work is a matrix product.
//!
//! Written here rather than taken from faer, for two reasons. faer's QR drops a column whose remainder is below
//! `16 m eps` of its norm, which at a million rows is no longer small. And tiles need the *stacked* form, where the
//! reflections annihilate a whole tile against a triangle above it. The conventions are LAPACK's (`H = I - tau v vᴴ`,
//! real diagonal of R), so signs agree with NumPy's.

use crate::bridge::{Field, Par, norm};
use crate::gemm::mm;
use crate::mat::{ColMat, Mat};
use crate::scalar::{RealScalar, Scalar};
use crate::stop::ask;
use crate::view::{MatMut, MatRef};

/// Which of Q and its adjoint to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Multiply by Q.
    Q,
    /// Multiply by the conjugate transpose of Q.
    QAdjoint,
}

/// The width of a panel: wide enough for fast products, narrow enough for the extra work of making T to stay small.
pub(crate) fn panel_width(k: usize) -> usize {
    if k <= 128 { 32 } else { 64 }
}

/// Finds the reflection `H = I - tau (1;v)(1;v)ᴴ` with `Hᴴ (alpha; tail) = (beta; 0)`. `tail` becomes `v`.
pub(crate) fn reflect<T: Field>(alpha: T, tail: &mut [T]) -> (T, T) {
    let zero = <T::Re as Scalar>::ZERO;
    let mut tail_norm = norm(tail);
    if tail_norm == zero && alpha.im() == zero {
        return (alpha, T::ZERO);
    }
    let mut alpha = alpha;
    let size =
        |alpha: T, tail_norm: <T as Scalar>::Re| alpha.modulus().hypotenuse(tail_norm).with_sign(alpha.re());
    let mut beta = -size(alpha, tail_norm);
    // Below this, 1/(alpha-beta) could overflow: scale up, remember how often.
    let small = <T::Re as RealScalar>::TINY / <T::Re as RealScalar>::EPS;
    let mut rescaled = 0;
    while beta.magnitude() < small && rescaled < 20 {
        let up = <T::Re as Scalar>::ONE / small;
        tail.iter_mut().for_each(|x| *x = x.scale(up));
        alpha = alpha.scale(up);
        tail_norm = norm(tail);
        beta = -size(alpha, tail_norm);
        rescaled += 1;
    }
    let tau = T::from_parts((beta - alpha.re()) / beta, -alpha.im() / beta);
    let factor = (alpha - T::from_parts(beta, zero)).reciprocal();
    tail.iter_mut().for_each(|x| *x *= factor);
    for _ in 0..rescaled {
        beta *= small;
    }
    (T::from_parts(beta, zero), tau)
}

/// The upper triangle of the first `n` rows becomes zero and the diagonal one, in a copy: the top of V.
fn unit_lower<T: Scalar>(a: MatRef<'_, T>, n: usize) -> ColMat<T> {
    let mut out = ColMat::zeros(n, n);
    let mut view = out.as_mut();
    for j in 0..n {
        view.set(j, j, T::ONE);
        for i in j + 1..n {
            view.set(i, j, a.at(i, j));
        }
    }
    out
}

/// `w = op(T) w`, T upper triangular and small.
fn times_t<T: Field>(t: MatRef<'_, T>, side: Side, w: &mut ColMat<T>, par: Par) {
    let mut out = ColMat::zeros(w.as_ref().nrows(), w.as_ref().ncols());
    let t = match side {
        Side::Q => (t, false),
        Side::QAdjoint => (t.transpose(), true),
    };
    mm(out.as_mut(), false, T::ONE, t, (w.as_ref(), false), par);
    *w = out;
}

/// `T12 = -T1 inner T2`, the coupling of two neighbouring groups of reflections; `inner` is `V1ᴴ V2`.
fn couple<T: Field>(mut t: MatMut<'_, T>, n1: usize, inner: ColMat<T>) {
    let n2 = t.nrows() - n1;
    let mut half = ColMat::zeros(n1, n2);
    mm(half.as_mut(), false, T::ONE, (inner.as_ref(), false), (t.rb().sub(n1, n1, n2, n2), false), Par::Seq);
    let mut out = ColMat::zeros(n1, n2);
    mm(out.as_mut(), false, -T::ONE, (t.rb().sub(0, 0, n1, n1), false), (half.as_ref(), false), Par::Seq);
    t.rb_mut().sub(0, n1, n1, n2).copy_from(out.as_ref());
}

/// Factorises a column-major panel of at least as many rows as columns. R ends in its upper triangle, V below it, and
/// `t` (zero on entry) holds T.
fn panel<T: Field>(mut a: MatMut<'_, T>, mut t: MatMut<'_, T>, par: Par) {
    let (m, n) = (a.nrows(), a.ncols());
    if n == 1 {
        let column = a.col_mut(0).expect("working storage is column-major");
        let (head, tail) = column.split_first_mut().expect("a panel has a row for each column");
        let (beta, tau) = reflect(*head, tail);
        *head = beta;
        t.set(0, 0, tau);
        return;
    }
    let n1 = n / 2;
    let n2 = n - n1;
    let (mut left, mut right) = a.rb_mut().split_at_col(n1);
    panel(left.rb_mut(), t.rb_mut().sub(0, 0, n1, n1), par);
    let top = unit_lower(left.rb(), n1);
    let below = left.rb().sub(n1, 0, m - n1, n1);
    {
        let (mut right_top, mut right_below) = right.rb_mut().split_at_row(n1);
        let mut w = ColMat::zeros(n1, n2);
        mm(w.as_mut(), false, T::ONE, (top.as_ref().transpose(), true), (right_top.rb(), false), Par::Seq);
        mm(w.as_mut(), true, T::ONE, (below.transpose(), true), (right_below.rb(), false), par);
        times_t(t.rb().sub(0, 0, n1, n1), Side::QAdjoint, &mut w, Par::Seq);
        mm(right_top.rb_mut(), true, -T::ONE, (top.as_ref(), false), (w.as_ref(), false), Par::Seq);
        mm(right_below.rb_mut(), true, -T::ONE, (below, false), (w.as_ref(), false), par);
        panel(right_below, t.rb_mut().sub(n1, n1, n2, n2), par);
    }
    // V1ᴴ V2: V2 begins n1 rows further down, with its own unit lower triangle on top.
    let v2 = right.rb().sub(n1, 0, m - n1, n2);
    let v2_top = unit_lower(v2, n2);
    let mut inner = ColMat::zeros(n1, n2);
    mm(
        inner.as_mut(),
        false,
        T::ONE,
        (below.sub(0, 0, n2, n1).transpose(), true),
        (v2_top.as_ref(), false),
        Par::Seq,
    );
    let rest = m - n1 - n2;
    mm(
        inner.as_mut(),
        true,
        T::ONE,
        (below.sub(n2, 0, rest, n1).transpose(), true),
        (v2.sub(n2, 0, rest, n2), false),
        par,
    );
    couple(t, n1, inner);
}

/// As [`panel`], for the triangle `r` stacked on the column-major tile `a`: V is the identity over what `a` becomes.
fn stacked_panel<T: Field>(mut r: MatMut<'_, T>, mut a: MatMut<'_, T>, mut t: MatMut<'_, T>, par: Par) {
    let n = a.ncols();
    if n == 1 {
        let (beta, tau) = reflect(r.at(0, 0), a.col_mut(0).expect("working storage is column-major"));
        r.set(0, 0, beta);
        t.set(0, 0, tau);
        return;
    }
    let n1 = n / 2;
    let n2 = n - n1;
    let (mut v1, mut right) = a.rb_mut().split_at_col(n1);
    stacked_panel(r.rb_mut().sub(0, 0, n1, n1), v1.rb_mut(), t.rb_mut().sub(0, 0, n1, n1), par);
    let v1 = v1.rb();
    stacked_update(
        v1,
        t.rb().sub(0, 0, n1, n1),
        Side::QAdjoint,
        r.rb_mut().sub(0, n1, n1, n2),
        right.rb_mut(),
        par,
    );
    stacked_panel(r.rb_mut().sub(n1, n1, n2, n2), right.rb_mut(), t.rb_mut().sub(n1, n1, n2, n2), par);
    let mut inner = ColMat::zeros(n1, n2);
    mm(inner.as_mut(), false, T::ONE, (v1.transpose(), true), (right.rb(), false), par);
    couple(t, n1, inner);
}

/// Applies one group of stacked reflections to the rows `top` over the rows `bottom`.
fn stacked_update<T: Field>(
    v: MatRef<'_, T>,
    t: MatRef<'_, T>,
    side: Side,
    mut top: MatMut<'_, T>,
    mut bottom: MatMut<'_, T>,
    par: Par,
) {
    if top.ncols() == 0 {
        return;
    }
    let mut w = ColMat::copied(top.rb());
    mm(w.as_mut(), true, T::ONE, (v.transpose(), true), (bottom.rb(), false), par);
    times_t(t, side, &mut w, par);
    for j in 0..top.ncols() {
        for i in 0..top.nrows() {
            top.set(i, j, top.at(i, j) - w.as_ref().at(i, j));
        }
    }
    mm(bottom.rb_mut(), true, -T::ONE, (v, false), (w.as_ref(), false), par);
}

/// Applies one panel's reflections to the rows that it spans.
fn panel_update<T: Field>(v: MatRef<'_, T>, t: MatRef<'_, T>, side: Side, mut c: MatMut<'_, T>, par: Par) {
    if c.ncols() == 0 {
        return;
    }
    let mut w = ColMat::zeros(v.ncols(), c.ncols());
    mm(w.as_mut(), false, T::ONE, (v.transpose(), true), (c.rb(), false), par);
    times_t(t, side, &mut w, par);
    mm(c.rb_mut(), true, -T::ONE, (v, false), (w.as_ref(), false), par);
}

/// The reflections of one factorised matrix: `V` and, side by side, the `T` of each panel.
#[derive(Clone, Debug)]
pub(crate) struct Wy<T> {
    pub v: ColMat<T>,
    pub t: ColMat<T>,
}

impl<T: Field> Wy<T> {
    /// Factorises any matrix. The upper trapezoid of `a` becomes R; what lies below it is left undefined.
    pub fn factor(a: &mut ColMat<T>, par: Par) -> Self {
        let (m, n) = (a.as_ref().nrows(), a.as_ref().ncols());
        let k = m.min(n);
        let width = panel_width(k).min(k);
        let mut v = ColMat::zeros(m, k);
        let mut t = ColMat::zeros(width, k);
        for j in (0..k).step_by(width.max(1)) {
            ask();
            let nb = width.min(k - j);
            let (left, right) = a.as_mut().sub(j, 0, m - j, n).split_at_col(j + nb);
            let mut part = left.sub(0, j, m - j, nb);
            panel(part.rb_mut(), t.as_mut().sub(0, j, nb, nb), par);
            let mut v_part = v.as_mut().sub(j, j, m - j, nb);
            v_part.copy_from(part.rb());
            for col in 0..nb {
                for row in 0..col {
                    v_part.set(row, col, T::ZERO);
                }
                v_part.set(col, col, T::ONE);
            }
            panel_update(v_part.rb(), t.as_ref().sub(0, j, nb, nb), Side::QAdjoint, right, par);
        }
        Self { v, t }
    }

    /// Multiplies `c` from the left by the full square Q or its adjoint, in place.
    pub fn apply(&self, side: Side, c: MatMut<'_, T>, par: Par) {
        apply_reflections(self.v.as_ref(), self.t.as_ref(), side, c, par);
    }

    /// The first `ncols` columns of Q.
    pub fn q(&self, ncols: usize, par: Par) -> ColMat<T> {
        let (m, k) = (self.v.as_ref().nrows(), self.v.as_ref().ncols());
        let mut q = ColMat::from_transpose(Mat::eye(ncols, m));
        for j in panels(k, self.t.as_ref().nrows(), Side::Q) {
            let nb = self.t.as_ref().nrows().min(k - j);
            // The columns before j are still unit vectors, which these reflections leave alone.
            let first = j.min(ncols);
            panel_update(
                self.v.as_ref().sub(j, j, m - j, nb),
                self.t.as_ref().sub(0, j, nb, nb),
                Side::Q,
                q.as_mut().sub(j, first, m - j, ncols - first),
                par,
            );
        }
        q
    }
}

/// The reflections that annihilate a tile against a triangle above it.
#[derive(Clone, Debug)]
pub(crate) struct StackedWy<T> {
    pub v: ColMat<T>,
    pub t: ColMat<T>,
}

impl<T: Field> StackedWy<T> {
    /// Factorises the upper triangle `r` over the tile `a`; `r` becomes the new triangle.
    pub fn factor(r: &mut ColMat<T>, a: MatRef<'_, T>, par: Par) -> Self {
        let (m, n) = (a.nrows(), a.ncols());
        let width = panel_width(n).min(n);
        let mut v = ColMat::copied(a);
        let mut t = ColMat::zeros(width, n);
        for j in (0..n).step_by(width.max(1)) {
            let nb = width.min(n - j);
            let (left, right) = v.as_mut().split_at_col(j + nb);
            let mut part = left.sub(0, j, m, nb);
            let mut rows = r.as_mut().sub(j, j, nb, n - j);
            let (triangle, beside) = rows.rb_mut().split_at_col(nb);
            stacked_panel(triangle, part.rb_mut(), t.as_mut().sub(0, j, nb, nb), par);
            stacked_update(part.rb(), t.as_ref().sub(0, j, nb, nb), Side::QAdjoint, beside, right, par);
        }
        Self { v, t }
    }
}

/// Multiplies `c` by the Q (or its adjoint) of the reflections `v` and `t`, in place.
pub(crate) fn apply_reflections<T: Field>(
    v: MatRef<'_, T>,
    t: MatRef<'_, T>,
    side: Side,
    mut c: MatMut<'_, T>,
    par: Par,
) {
    let (m, k, q) = (v.nrows(), v.ncols(), c.ncols());
    for j in panels(k, t.nrows(), side) {
        let nb = t.nrows().min(k - j);
        let c = c.rb_mut().sub(j, 0, m - j, q);
        panel_update(v.sub(j, j, m - j, nb), t.sub(0, j, nb, nb), side, c, par);
    }
}

/// As [`apply_reflections`], for stacked reflections and the rows `top` over the rows `bottom`.
pub(crate) fn apply_stacked<T: Field>(
    v: MatRef<'_, T>,
    t: MatRef<'_, T>,
    side: Side,
    mut top: MatMut<'_, T>,
    mut bottom: MatMut<'_, T>,
    par: Par,
) {
    let (m, n, q) = (v.nrows(), v.ncols(), top.ncols());
    for j in panels(n, t.nrows(), side) {
        let nb = t.nrows().min(n - j);
        let rows = top.rb_mut().sub(j, 0, nb, q);
        stacked_update(v.sub(0, j, m, nb), t.sub(0, j, nb, nb), side, rows, bottom.rb_mut(), par);
    }
}

/// The first columns of the panels, in the order in which they are applied: Qᴴ forwards, Q backwards.
fn panels(k: usize, width: usize, side: Side) -> impl Iterator<Item = usize> {
    let count = if width == 0 { 0 } else { k.div_ceil(width) };
    (0..count).map(move |p| match side {
        Side::QAdjoint => p * width,
        Side::Q => (count - 1 - p) * width,
    })
}

/// The upper trapezoid of the first `rows` rows, row-major, with zeros below the diagonal.
pub(crate) fn upper<T: Scalar>(a: MatRef<'_, T>, rows: usize) -> Mat<T> {
    Mat::from_fn(rows, a.ncols(), |i, j| if j >= i { a.at(i, j) } else { T::ZERO })
}
