//! The reduction of a matrix to a real upper bidiagonal one, `A = Q B Pᴴ`, with Q and P products of reflections: the
//! first half of a singular value decomposition.
//!
//! Blocked as in LAPACK: within a panel of columns the reflections are not applied to the matrix but collected as
//! `A - L Rᴴ`, with two columns more in L and R a step, and the panel ends with one matrix product. What is left is the
//! product of the remaining matrix with the left vector and then with the right one, whose cost is reading the matrix.
//! LAPACK reads it twice a step. Here it is read once: as soon as the inner products of a few columns with the left
//! vector are known, so are these columns' entries of the row to be annihilated, and the columns, still in the nearest
//! cache, are added up with those entries as weights. The right vector `u` is that row up to a factor and its first
//! entry, `u = (q - beta e) / (q_0 - beta)`, so the sum needs one more column and a factor to become `A u`. Both parts
//! of the difference are at most of size `|q_0 - beta|`, so nothing is lost to cancellation.
//!
//! The columns are cut into the same number of portions however many threads there are: results do not depend on it.

use crate::bridge::{Field, Par};
use crate::columns::{Turned, combine, inner, merge_turned};
use crate::gemm::mm;
use crate::householder::{panel_width, reflect};
use crate::mat::ColMat;
use crate::scalar::{RealScalar, Scalar};
use crate::stop::ask;
use crate::team::{Team, with_team};
use std::cell::UnsafeCell;

/// Columns of a panel. Anything from 20 to 48 is about as fast.
const PANEL: usize = 24;
/// Portions of a parallel step.
const PORTIONS: usize = 8;
/// Columns that are multiplied and then added up while they are in the cache.
const TILE: usize = 8;
/// Elements of the remaining matrix below which a step is not worth sharing.
const SHARED_STEP: usize = 48 * 1024;

/// Reflections `I - tau v vᴴ`, one a column of `v`, which is unit lower triangular.
pub(crate) struct Reflections<T> {
    pub v: ColMat<T>,
    tau: Vec<T>,
}

impl<T: Field> Reflections<T> {
    /// The triangular factors that turn panels of reflections into matrix products, as `householder` expects them.
    pub fn triangles(&self, par: Par) -> ColMat<T> {
        let (m, k) = (self.v.as_ref().nrows(), self.v.as_ref().ncols());
        let width = panel_width(k).min(k);
        let mut t = ColMat::zeros(width, k);
        for j in (0..k).step_by(width.max(1)) {
            let nb = width.min(k - j);
            let v = self.v.as_ref().sub(j, j, m - j, nb);
            let mut gram = ColMat::zeros(nb, nb);
            mm(gram.as_mut(), false, T::ONE, (v.transpose(), true), (v, false), par);
            let mut t = t.as_mut().sub(0, j, nb, nb);
            for i in 0..nb {
                let tau = self.tau[j + i];
                for row in 0..i {
                    // Row `row` of T's leading triangle times the column of inner products.
                    let sum =
                        (row..i).fold(T::ZERO, |sum, p| sum + t.rb().at(row, p) * gram.as_ref().at(p, i));
                    t.set(row, i, -(tau * sum));
                }
                t.set(i, i, tau);
            }
        }
        t
    }
}

/// The bidiagonal matrix and, if they were asked for, the reflections on either side.
pub(crate) struct Bidiagonal<T: Scalar> {
    pub diagonal: Vec<T::Re>,
    pub above: Vec<T::Re>,
    /// The reflections whose product is Q.
    pub left: Reflections<T>,
    /// The reflections whose product is P without its first row and column, which are those of the identity.
    pub right: Reflections<T>,
}

/// What the portions of a step read; written by the leader between steps. Pointers, because the matrices are shared
/// with the leader, which does not touch them while a step runs.
struct Step<T> {
    a: *const T,
    m: usize,
    n: usize,
    /// The step's column.
    g: usize,
    /// The columns of `l` and `r` in use.
    used: usize,
    tau: T,
    l: *const T,
    r: *mut T,
    /// `Lᴴ v`.
    s: *const T,
    /// The step's row of `l`, conjugated.
    l_row: *const T,
    turned: *const T,
    /// For each portion a partial sum of columns; for complex types a second one, turned.
    sums: *mut T,
    /// Four numbers for each column.
    scratch: *mut T,
}

struct StepCell<T>(UnsafeCell<Step<T>>);

// SAFETY: the leader writes between steps only, when no portion runs, and `team` orders its writes before the step's
// portions. Portions only read the step, and write where no other portion of the step reads or writes.
unsafe impl<T: Send + Sync> Sync for StepCell<T> {}

/// Where a portion of the columns `from..to` begins; portion `PORTIONS` begins at the end.
fn portion_start(from: usize, to: usize, portion: usize) -> usize {
    let share = (to - from).div_ceil(PORTIONS).next_multiple_of(TILE);
    (from + portion * share).min(to)
}

/// One portion of one step: for its columns the entries of y (into column `used` of r) and of q (into the next), and
/// the sum of the columns weighted by q.
///
/// # Safety
/// The step's pointers are valid for its sizes and no one else uses this portion's columns and sums.
unsafe fn portion<T: Field>(step: &Step<T>, index: usize) {
    let Step { m, n, g, used, .. } = *step;
    let (begin, end) = (portion_start(g + 1, n, index), portion_start(g + 1, n, index + 1));
    let rows = m - g;
    // SAFETY: columns begin..end are within g+1..n, of which the matrix, r and scratch have n; rows g..m.
    unsafe {
        let sum = step.sums.add(2 * index * m + g);
        let sum_turned = sum.add(m);
        std::slice::from_raw_parts_mut(sum, rows).fill(T::ZERO);
        std::slice::from_raw_parts_mut(sum_turned, rows).fill(T::ZERO);
        if begin == end {
            return;
        }
        // What the earlier reflections of the panel take from y and from the row.
        let count = end - begin;
        let (y_less, row_less) = (step.scratch.add(begin), step.scratch.add(n + begin));
        let (turn_a, turn_b) = (step.scratch.add(2 * n + begin), step.scratch.add(3 * n + begin));
        for (weights, out, turn) in [(step.s, y_less, turn_a), (step.l_row, row_less, turn_b)] {
            let out_slice = std::slice::from_raw_parts_mut(out, count);
            let turn_slice = std::slice::from_raw_parts_mut(turn, count);
            out_slice.fill(T::ZERO);
            turn_slice.fill(T::ZERO);
            combine(step.r.add(begin), n, used, count, weights, out, turn);
            merge_turned(
                std::slice::from_raw_parts_mut(out, count),
                std::slice::from_raw_parts_mut(turn, count),
            );
        }
        let v = step.l.add(used * m + g);
        let (y_column, q_column) = (step.r.add(used * n), step.r.add((used + 1) * n));
        let mut j = begin;
        while j < end {
            let width = TILE.min(end - j);
            let a = step.a.add(j * m + g);
            let mut y = [T::ZERO; TILE];
            inner(a, m, width, rows, v, step.turned, y.as_mut_ptr());
            let mut q = [T::ZERO; TILE];
            for c in 0..width {
                let y = step.tau * (y[c] - *step.scratch.add(j + c));
                // The row, conjugated: the entry of A less the panel's part less `v_g conj(y)`, with v_g = 1.
                q[c] = (*a.add(c * m)).conjugate() - *step.scratch.add(n + j + c) - y;
                *y_column.add(j + c) = y;
                *q_column.add(j + c) = q[c];
            }
            combine(a, m, width, rows, q.as_ptr(), sum, sum_turned);
            j += width;
        }
    }
}

/// Reduces a matrix at least as tall as wide, with at least one column. What it held is lost. Without `vectors` the
/// reflections are empty.
pub(crate) fn bidiagonalise<T: Field>(a: &mut ColMat<T>, vectors: bool, par: Par) -> Bidiagonal<T> {
    let (m, n) = (a.as_ref().nrows(), a.as_ref().ncols());
    assert!(m >= n && n > 0, "the matrix must be at least as tall as wide, it is {m}x{n}");
    let width = PANEL.min(n);
    let kept = if vectors { (m, n) } else { (0, 0) };
    let kept_right = if vectors { n - 1 } else { 0 };
    let mut out = Bidiagonal {
        diagonal: Vec::with_capacity(n),
        above: Vec::with_capacity(n),
        left: Reflections { v: ColMat::zeros(kept.0, kept.1), tau: Vec::with_capacity(n) },
        right: Reflections { v: ColMat::zeros(kept_right, kept_right), tau: Vec::with_capacity(n) },
    };
    let mut l = ColMat::<T>::zeros(m, 2 * width);
    let mut r = ColMat::<T>::zeros(n, 2 * width);
    let mut work = Work {
        sums: vec![T::ZERO; 2 * PORTIONS * m],
        scratch: vec![T::ZERO; 4 * n],
        s: vec![T::ZERO; 2 * width],
        weights: vec![T::ZERO; 2 * width],
        w: vec![T::ZERO; m],
        w_turned: vec![T::ZERO; m],
        turned: Turned::new(),
    };
    for start in (0..n).step_by(width) {
        let nb = width.min(n - start);
        for column in 0..2 * width {
            l.as_mut().col_mut(column).expect("column-major").fill(T::ZERO);
            r.as_mut().col_mut(column).expect("column-major").fill(T::ZERO);
        }
        let cell = StepCell(UnsafeCell::new(work.step(a, &mut l, &mut r)));
        let cell = &cell;
        // SAFETY: see `StepCell`; the leader does not write while portions run.
        let job = |index| unsafe { portion(&*cell.0.get(), index) };
        with_team(par.degree(), &job, |team| {
            for g in start..start + nb {
                ask();
                // SAFETY: no portion runs here, and the pointers in the cell are the only way to the matrices now.
                unsafe { panel_step(cell, team, &mut work, g, 2 * (g - start), &mut out) };
            }
        });
        if vectors {
            for i in 0..nb {
                let g = start + i;
                out.left.v.as_mut().sub(g, g, m - g, 1).copy_from(l.as_ref().sub(g, 2 * i, m - g, 1));
                if g + 1 < n {
                    let u = r.as_ref().sub(g + 1, 2 * i + 1, n - g - 1, 1);
                    out.right.v.as_mut().sub(g, g, n - g - 1, 1).copy_from(u);
                }
            }
        }
        let next = start + nb;
        mm(
            a.as_mut().sub(next, next, m - next, n - next),
            true,
            -T::ONE,
            (l.as_ref().sub(next, 0, m - next, 2 * nb), false),
            (r.as_ref().sub(next, 0, n - next, 2 * nb).transpose(), true),
            par,
        );
    }
    out
}

/// The buffers of a reduction.
struct Work<T> {
    sums: Vec<T>,
    scratch: Vec<T>,
    s: Vec<T>,
    weights: Vec<T>,
    w: Vec<T>,
    w_turned: Vec<T>,
    turned: Turned<T>,
}

impl<T: Field> Work<T> {
    fn step(&mut self, a: &mut ColMat<T>, l: &mut ColMat<T>, r: &mut ColMat<T>) -> Step<T> {
        Step {
            m: a.as_ref().nrows(),
            n: a.as_ref().ncols(),
            a: a.as_mut().as_mut_ptr(),
            g: 0,
            used: 0,
            tau: T::ZERO,
            l: l.as_mut().as_mut_ptr(),
            r: r.as_mut().as_mut_ptr(),
            s: self.s.as_ptr(),
            l_row: self.weights.as_ptr(),
            turned: self.turned.as_ptr(),
            sums: self.sums.as_mut_ptr(),
            scratch: self.scratch.as_mut_ptr(),
        }
    }
}

/// One step of a panel: the reflection that clears column `g` below the diagonal and the one that clears row `g` right
/// of the entry beside it. `used` columns of L and R hold the panel's earlier steps.
///
/// # Safety
/// The cell's pointers are valid and unused by anyone else but the team's portions.
unsafe fn panel_step<T: Field>(
    cell: &StepCell<T>,
    team: &Team<'_>,
    work: &mut Work<T>,
    g: usize,
    used: usize,
    out: &mut Bidiagonal<T>,
) {
    // SAFETY: the caller's promise. Each slice below lies in its own column (or its own rows) of a buffer, and none is
    // alive while the team runs.
    unsafe {
        let (m, n, a, l, r, sums) = {
            let step = &*cell.0.get();
            (step.m, step.n, step.a, step.l.cast_mut(), step.r, step.sums)
        };
        let rows = m - g;
        // The column as it is now: less what the panel's reflections take from it.
        let v = l.add(used * m + g);
        std::ptr::copy_nonoverlapping(a.add(g * m + g), v, rows);
        let row_of = |matrix: *const T, ld: usize, to: &mut [T], factor: T| {
            for (c, to) in to.iter_mut().enumerate().take(used) {
                *to = factor * (*matrix.add(c * ld + g)).conjugate();
            }
        };
        row_of(r, n, &mut work.weights, -T::ONE);
        combine(l.add(g), m, used, rows, work.weights.as_ptr(), v, work.w_turned.as_mut_ptr());
        let v_slice = std::slice::from_raw_parts_mut(v, rows);
        merge_turned(v_slice, &mut work.w_turned[..rows]);
        let (head, tail) = v_slice.split_first_mut().expect("a matrix has a row for each column");
        let (beta, tau) = reflect(*head, tail);
        *head = T::ONE;
        out.diagonal.push(beta.re());
        out.left.tau.push(tau);
        if g + 1 == n {
            return;
        }
        work.turned.set(v_slice);
        inner(l.add(g), m, used, rows, v, work.turned.as_ptr(), work.s.as_mut_ptr());
        row_of(l, m, &mut work.weights, T::ONE);
        {
            let step = &mut *cell.0.get();
            (step.g, step.used, step.tau) = (g, used, tau);
            (step.s, step.l_row, step.turned) =
                (work.s.as_ptr(), work.weights.as_ptr(), work.turned.as_ptr());
        }
        team.run(PORTIONS, rows * (n - g - 1) < SHARED_STEP);

        // The row, conjugated, becomes u.
        let (rest_rows, rest) = (m - g - 1, n - g - 1);
        let u = r.add((used + 1) * n + g + 1);
        let u_slice = std::slice::from_raw_parts_mut(u, rest);
        let first = u_slice[0];
        let (head, tail) = u_slice.split_first_mut().expect("there is a column to the right");
        let (beta, tau) = reflect(first, tail);
        *head = T::ONE;
        out.above.push(beta.re());
        out.right.tau.push(tau);
        if rest_rows == 0 || tau == T::ZERO {
            // L's column of this step stays zero: `tau A u`.
            return;
        }
        // `A u`, from the weighted sum of the columns.
        let w = &mut work.w[..rest_rows];
        let w_turned = &mut work.w_turned[..rest_rows];
        let beside = a.add((g + 1) * m + g + 1);
        if beta.re().magnitude() < smallest_row::<T::Re>() {
            // So small a row may have underflowed in the sum, or was scaled while it was reflected.
            w.fill(T::ZERO);
            combine(beside, m, rest, rest_rows, u, w.as_mut_ptr(), w_turned.as_mut_ptr());
            merge_turned(w, w_turned);
        } else {
            let live = (0..PORTIONS).take_while(|&p| portion_start(g + 1, n, p) < n).count();
            let part = |p: usize| std::slice::from_raw_parts(sums.add(p * m + g + 1), rest_rows);
            let column = std::slice::from_raw_parts(beside, rest_rows);
            let factor = (first - beta).reciprocal();
            for (w, x) in w.iter_mut().zip(column) {
                *w = -(*x * beta);
            }
            for p in 0..live {
                w.iter_mut().zip(part(2 * p)).for_each(|(w, x)| *w += *x);
                if T::IS_COMPLEX {
                    let turned = part(2 * p + 1);
                    w.iter_mut().zip(turned).for_each(|(w, x)| *w += T::from_parts(-x.im(), x.re()));
                }
            }
            w.iter_mut().for_each(|w| *w *= factor);
        }
        // Less what the panel's reflections, this step's left one included, take from it.
        work.turned.set(u_slice);
        inner(r.add(g + 1), n, used + 1, rest, u, work.turned.as_ptr(), work.s.as_mut_ptr());
        work.s[..used + 1].iter_mut().for_each(|x| *x = -*x);
        combine(l.add(g + 1), m, used + 1, rest_rows, work.s.as_ptr(), w.as_mut_ptr(), w_turned.as_mut_ptr());
        merge_turned(w, w_turned);
        let x = std::slice::from_raw_parts_mut(l.add((used + 1) * m + g + 1), rest_rows);
        for (x, w) in x.iter_mut().zip(&*w) {
            *x = tau * *w;
        }
    }
}

/// The length of a row below which the products of its entries with those of a matrix may underflow by more than the
/// rounding errors of the result.
fn smallest_row<R: RealScalar>() -> R {
    R::TINY * R::power_of_two(R::SAFE_EXPONENT + 16)
}
