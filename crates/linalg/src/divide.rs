//! The singular value decomposition of a real upper bidiagonal matrix, by divide and conquer (Gu and Eisenstat).
//!
//! A row in the middle is taken out; what remains are two smaller problems, the upper one with a column more than rows.
//! Between their singular vectors, the matrix is zero but for its diagonal and one row, which `secular` decomposes. The
//! vectors of the whole are products of the halves' vectors with those of the middle problem: matrix products, in which
//! nearly all of the time goes. Entries that are negligible, or belong to equal singular values, are *deflated*: their
//! vectors pass unchanged.
//!
//! Where only the values are wanted, no more of the right vectors is kept than their first and last row, which is all
//! that the next join reads of them.

use crate::bridge::{Field, Par};
use crate::gemm::mm;
use crate::mat::ColMat;
use crate::scalar::{RealScalar, Scalar};
use crate::secular::{Root, corrected, root, singular_vectors};
use crate::stop::{ask, join};
use crate::svd::{by_faer, unscale};
use crate::view::{MatMut, MatRef};

/// Problems of at most this order are solved by QR iteration.
const LEAF: usize = 32;
/// Problems below this order are not worth a second thread.
const SHARED: usize = 200;

/// The decomposition of a bidiagonal matrix, values descending. Without `vectors` the
/// other two mean nothing.
pub(crate) struct BidiagonalSvd<R: Scalar> {
    pub s: Vec<R>,
    pub u: ColMat<R>,
    pub v: ColMat<R>,
}

/// The decomposition as a method of the two real types, for generic code that knows a real type only as `T::Re`.
pub(crate) trait RealDivide: RealScalar {
    /// Decomposes the square matrix with this diagonal and these entries above it.
    fn bidiagonal_svd(
        diagonal: &[Self],
        above: &[Self],
        vectors: bool,
        par: Par,
    ) -> Option<BidiagonalSvd<Self>>;
}

macro_rules! real_divide {
    ($($real:ident)*) => {$(
        impl RealDivide for $real {
            fn bidiagonal_svd(
                diagonal: &[Self], above: &[Self], vectors: bool, par: Par,
            ) -> Option<BidiagonalSvd<Self>> {
                decompose(diagonal, above, vectors, par)
            }
        }
    )*};
}

real_divide! { f32 f64 }

/// What generic code here asks of `f32` and `f64`.
trait Real: Field + RealScalar {}
impl<R: Field + RealScalar> Real for R {}

fn decompose<R: Real>(diagonal: &[R], above: &[R], vectors: bool, par: Par) -> Option<BidiagonalSvd<R>> {
    let n = diagonal.len();
    if diagonal.iter().chain(above).any(|x| !x.finite()) {
        return None;
    }
    let rows = |full: usize, values: usize| if vectors { full } else { values };
    let (mut d, mut e) = (diagonal.to_vec(), above.to_vec());
    let mut u = ColMat::zeros(rows(n, 0), n);
    let mut v = ColMat::zeros(rows(n, 2), n);
    if let Some(mut order) = node(&mut d, &e, false, u.as_mut(), v.as_mut(), vectors, par) {
        order.reverse();
        let s = order.iter().map(|&p| d[p]).collect();
        return Some(BidiagonalSvd { s, u: gather(u.as_ref(), &order), v: gather(v.as_ref(), &order) });
    }
    // An iteration has failed, which nobody has seen yet: the whole in another way.
    d.copy_from_slice(diagonal);
    let exponent = normalise(&mut d, &mut e);
    let (mut u, mut v) = (ColMat::zeros(n, n), ColMat::zeros(n, n));
    let mut s = by_faer(dense(&d, &e, n).as_ref(), Some(&mut u), Some(&mut v), par).ok()?;
    unscale(&mut s, exponent);
    Some(BidiagonalSvd { s, u, v })
}

/// Scales by a power of two, so that the largest entry is about one, and returns its exponent. What is nothing beside
/// one becomes zero, so that no product of it is denormal.
fn normalise<R: Real>(d: &mut [R], e: &mut [R]) -> i32 {
    let largest = magnitude(d.iter().chain(&*e));
    let exponent = if largest > R::ZERO { largest.exponent() } else { 0 };
    let (half, rest) = (R::power_of_two(-exponent / 2), R::power_of_two(-exponent - (-exponent / 2)));
    for x in d.iter_mut().chain(e) {
        *x = *x * half * rest;
        if x.magnitude() * R::EPS < R::TINY {
            *x = R::ZERO;
        }
    }
    exponent
}

/// The largest absolute value.
fn magnitude<'a, R: Real>(values: impl Iterator<Item = &'a R>) -> R {
    values.fold(R::ZERO, |largest, x| if x.magnitude() > largest { x.magnitude() } else { largest })
}

/// The transpose of the bidiagonal matrix of `d.len()` rows and `ncols` columns: what `by_faer` takes, as it is tall.
fn dense_transpose<R: Real>(d: &[R], e: &[R], ncols: usize) -> ColMat<R> {
    let mut out = ColMat::zeros(ncols, d.len());
    for (i, &x) in d.iter().enumerate() {
        out.as_mut().set(i, i, x);
    }
    for (i, &x) in e.iter().enumerate() {
        out.as_mut().set(i + 1, i, x);
    }
    out
}

/// The square bidiagonal matrix.
fn dense<R: Real>(d: &[R], e: &[R], n: usize) -> ColMat<R> {
    ColMat::copied(dense_transpose(d, e, n).as_ref().transpose())
}

/// Some columns of a matrix whose columns are contiguous, side by side.
fn gather<R: Real>(src: MatRef<'_, R>, columns: &[usize]) -> ColMat<R> {
    let mut out = ColMat::zeros(src.nrows(), columns.len());
    let mut view = out.as_mut();
    for (to, &from) in columns.iter().enumerate() {
        let from = src.col(from).expect("working storage is column-major");
        view.col_mut(to).expect("working storage is column-major").copy_from_slice(from);
    }
    out
}

/// `(column i, column j) = (c i + s j, c j - s i)`
fn rotate<R: Real>(a: &mut MatMut<'_, R>, i: usize, j: usize, c: R, s: R) {
    for row in 0..a.nrows() {
        let (x, y) = (a.at(row, i), a.at(row, j));
        a.set(row, i, c * x + s * y);
        a.set(row, j, c * y - s * x);
    }
}

/// Both of two tasks, side by side if that pays.
fn both<A: Send, B: Send>(
    shared: bool,
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    if shared { join(a, b) } else { (a(), b()) }
}

/// Decomposes the upper bidiagonal matrix of `n = d.len()` rows and as many columns, or one more with `extra`. `d`
/// becomes the singular values and the result their ascending order. The columns of `u` (which is zero on entry, and
/// without rows if only values are wanted) become the left vectors, those of `v` (zero on entry) the right ones or,
/// without `vectors`, their first and last entry; with `extra` the last column is the vector that the matrix
/// annihilates. `None` if an iteration fails.
fn node<R: Real>(
    d: &mut [R],
    e: &[R],
    extra: bool,
    u: MatMut<'_, R>,
    v: MatMut<'_, R>,
    vectors: bool,
    par: Par,
) -> Option<Vec<usize>> {
    ask();
    // Each part anew: beside a large part, the squares of a small one could underflow.
    let mut e = e.to_vec();
    let exponent = normalise(d, &mut e);
    let order = scaled_node(d, &e, extra, u, v, vectors, par)?;
    unscale(d, exponent);
    Some(order)
}

/// [`node`], for entries of which the largest is about one.
fn scaled_node<R: Real>(
    d: &mut [R],
    e: &[R],
    extra: bool,
    mut u: MatMut<'_, R>,
    mut v: MatMut<'_, R>,
    vectors: bool,
    par: Par,
) -> Option<Vec<usize>> {
    let n = d.len();
    let columns = n + extra as usize;
    if n <= LEAF {
        let (mut left, mut right) = (ColMat::zeros(n, n), ColMat::zeros(columns, columns));
        let a = dense_transpose(d, e, columns);
        let s = by_faer(a.as_ref(), Some(&mut right), Some(&mut left), Par::Seq).ok()?;
        d.copy_from_slice(&s);
        if vectors {
            u.copy_from(left.as_ref());
            v.copy_from(right.as_ref());
        } else {
            v.rb_mut().sub(0, 0, 1, columns).copy_from(right.as_ref().sub(0, 0, 1, columns));
            v.rb_mut().sub(1, 0, 1, columns).copy_from(right.as_ref().sub(columns - 1, 0, 1, columns));
        }
        return Some((0..n).rev().collect());
    }

    let nl = n / 2;
    let (alpha, beta) = (d[nl], e[nl]);
    let shared = par.degree() > 1 && n >= SHARED;
    let (left_order, right_order) = {
        let (d_left, d_right) = d.split_at_mut(nl);
        let d_right = &mut d_right[1..];
        let (e_left, e_right) = (&e[..nl], &e[nl + 1..]);
        let (u_left, u_right) = u.rb_mut().split_at_col(nl);
        let (v_left, v_right) = v.rb_mut().split_at_col(nl + 1);
        let (nr, vr_cols) = (n - nl - 1, columns - nl - 1);
        let (u_left, u_right, v_left, v_right) = if vectors {
            (
                u_left.sub(0, 0, nl, nl),
                u_right.sub(nl + 1, 1, nr, nr),
                v_left.sub(0, 0, nl + 1, nl + 1),
                v_right.sub(nl + 1, 0, vr_cols, vr_cols),
            )
        } else {
            (u_left, u_right.sub(0, 1, 0, nr), v_left, v_right)
        };
        both(
            shared,
            || node(d_left, e_left, true, u_left, v_left, vectors, par),
            || node(d_right, e_right, extra, u_right, v_right, vectors, par),
        )
    };
    let (left_order, right_order) = (left_order?, right_order?);
    if vectors {
        u.set(nl, nl, R::ONE);
    }
    d[nl] = R::ZERO;

    // The middle row in terms of the halves' right vectors.
    let (last_of_left, first_of_right) = if vectors { (nl, nl + 1) } else { (1, 0) };
    let mut z: Vec<R> = (0..columns)
        .map(|j| if j <= nl { alpha * v.at(last_of_left, j) } else { beta * v.at(first_of_right, j) })
        .collect();
    if !vectors {
        // From here on the rows are the first and the last of the whole.
        for j in 0..columns {
            v.set(if j <= nl { 1 } else { 0 }, j, R::ZERO);
        }
    }
    if extra {
        // Of the two annihilated vectors one combination meets the row, the other is annihilated still.
        let size = z[nl].hypotenuse(z[n]);
        if size > R::ZERO {
            let (c, s) = (z[nl] / size, z[n] / size);
            rotate(&mut v, nl, n, c, s);
            z[nl] = size;
        }
    }
    let Some(Join { kept, values, weights, rows, counts, mut deflated }) =
        deflate(d, &mut z, [alpha, beta], nl, [&left_order, &right_order], &mut u, &mut v)
    else {
        // All is zero: the halves' vectors are the whole's.
        return Some((0..n).collect());
    };

    let k = kept.len();
    let roots = all_roots(&values, &weights, 0, k, shared)?;
    let row = all_corrected(&values, &weights, &roots, 0, k, shared);
    let mut um = ColMat::zeros(if vectors { k } else { 0 }, k);
    let mut vm = ColMat::zeros(k, k);
    fill(&values, &row, &roots, &rows, um.as_mut(), vm.as_mut(), shared);

    // The products. Columns that belong to one half are zero in the other half's rows.
    deflated.sort_by(|&i, &j| d[i].partial_cmp(&d[j]).expect("singular values are numbers"));
    let from: Vec<usize> = rows.iter().map(|&i| kept[i]).collect();
    let (in_left, in_right) = (counts[0] + counts[1], counts[1] + counts[2]);
    let product = |w: &mut MatMut<'_, R>, m: MatRef<'_, R>, cut: usize, resume: usize| {
        let total = w.nrows();
        let top = gather(w.rb().sub(0, 0, cut, n), &from[..in_left]);
        let bottom = gather(w.rb().sub(resume, 0, total - resume, n), &from[counts[0]..]);
        let aside = gather(w.rb().sub(0, 0, total, n), &deflated);
        let out = w.rb_mut().sub(0, 0, cut, k);
        mm(out, false, R::ONE, (top.as_ref(), false), (m.sub(0, 0, in_left, k), false), par);
        let out = w.rb_mut().sub(resume, 0, total - resume, k);
        mm(out, false, R::ONE, (bottom.as_ref(), false), (m.sub(counts[0], 0, in_right, k), false), par);
        w.rb_mut().sub(0, k, total, n - k).copy_from(aside.as_ref());
    };
    if vectors {
        product(&mut u, um.as_ref(), nl, nl + 1);
        u.rb_mut().sub(nl, 0, 1, k).copy_from(um.as_ref().sub(counts[0], 0, 1, k));
        product(&mut v, vm.as_ref(), nl + 1, nl + 1);
    } else {
        product(&mut v, vm.as_ref(), 1, 1);
    }

    let aside: Vec<R> = deflated.iter().map(|&p| d[p]).collect();
    for (d, root) in d.iter_mut().zip(&roots) {
        *d = R::from_f64(root.value());
    }
    d[k..].copy_from_slice(&aside);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| d[i].partial_cmp(&d[j]).expect("singular values are numbers"));
    Some(order)
}

/// What deflation leaves to the middle problem.
struct Join {
    /// The columns that take part, by ascending value; first the middle row's own.
    kept: Vec<usize>,
    /// Their values and entries in the row.
    values: Vec<f64>,
    weights: Vec<f64>,
    /// The members of `kept`, ordered as: left half, both halves (the middle row's own first), right half.
    rows: Vec<usize>,
    /// How many of each.
    counts: [usize; 3],
    /// The columns that are finished.
    deflated: Vec<usize>,
}

/// Sorts out the columns that need no joining. `None` if the matrix is zero.
fn deflate<R: Real>(
    d: &[R],
    z: &mut [R],
    middle: [R; 2],
    nl: usize,
    orders: [&[usize]; 2],
    u: &mut MatMut<'_, R>,
    v: &mut MatMut<'_, R>,
) -> Option<Join> {
    #[derive(Clone, Copy, PartialEq)]
    enum Half {
        Left,
        Both,
        Right,
    }
    let largest = magnitude(d.iter().chain(&middle));
    if largest == R::ZERO {
        return None;
    }
    let negligible = R::from_f64(8.0) * R::EPS * largest;
    if z[nl].magnitude() <= negligible {
        z[nl] = negligible.with_sign(z[nl]);
    }
    let mut half: Vec<Half> = (0..d.len())
        .map(|p| match p.cmp(&nl) {
            std::cmp::Ordering::Less => Half::Left,
            std::cmp::Ordering::Equal => Half::Both,
            std::cmp::Ordering::Greater => Half::Right,
        })
        .collect();
    let mut sorted: Vec<usize> =
        orders[0].iter().copied().chain(orders[1].iter().map(|p| p + nl + 1)).collect();
    sorted.sort_by(|&i, &j| d[i].partial_cmp(&d[j]).expect("singular values are numbers"));
    let mut kept = vec![nl];
    let mut deflated = Vec::new();
    let mut pending: Option<usize> = None;
    for p in sorted {
        if z[p].magnitude() <= negligible {
            deflated.push(p);
            continue;
        }
        if let Some(before) = pending {
            if d[p] - d[before] <= negligible {
                // Equal values: their vectors may be turned until only one of them meets the row.
                let size = z[p].hypotenuse(z[before]);
                let (c, s) = (z[p] / size, -z[before] / size);
                rotate(u, before, p, c, s);
                rotate(v, before, p, c, s);
                z[p] = size;
                if half[p] != half[before] {
                    half[p] = Half::Both;
                }
                deflated.push(before);
            } else {
                kept.push(before);
            }
        }
        pending = Some(p);
    }
    kept.extend(pending);
    let mut values: Vec<f64> = kept.iter().map(|&p| d[p].to_f64()).collect();
    let weights = kept.iter().map(|&p| z[p].to_f64()).collect();
    if let Some(first) = values.get_mut(1) {
        *first = first.max(0.5 * negligible.to_f64());
    }
    let of = |wanted: Half| (0..kept.len()).filter(|&i| half[kept[i]] == wanted).collect::<Vec<_>>();
    let groups = [of(Half::Left), of(Half::Both), of(Half::Right)];
    let counts = [groups[0].len(), groups[1].len(), groups[2].len()];
    Some(Join { values, weights, rows: groups.concat(), counts, deflated, kept })
}

/// The roots `from..to`.
fn all_roots(d: &[f64], z: &[f64], from: usize, to: usize, shared: bool) -> Option<Vec<Root>> {
    ask();
    if !shared || to - from < 32 {
        return (from..to).map(|i| root(d, z, i)).collect();
    }
    let at = from + (to - from) / 2;
    let (a, b) = join(|| all_roots(d, z, from, at, shared), || all_roots(d, z, at, to, shared));
    let mut a = a?;
    a.extend(b?);
    Some(a)
}

/// The corrected row's entries `from..to`.
fn all_corrected(d: &[f64], z: &[f64], roots: &[Root], from: usize, to: usize, shared: bool) -> Vec<f64> {
    ask();
    if !shared || to - from < 32 {
        return (from..to).map(|i| corrected(d, z, roots, i)).collect();
    }
    let at = from + (to - from) / 2;
    let (mut a, b) =
        join(|| all_corrected(d, z, roots, from, at, shared), || all_corrected(d, z, roots, at, to, shared));
    a.extend(b);
    a
}

/// The middle problem's vectors, one column a root, their entries in the order `rows`.
fn fill<R: Real>(
    d: &[f64],
    z: &[f64],
    roots: &[Root],
    rows: &[usize],
    mut um: MatMut<'_, R>,
    mut vm: MatMut<'_, R>,
    shared: bool,
) {
    if shared && roots.len() >= 32 {
        let at = roots.len() / 2;
        let ((ua, ub), (va, vb)) = (um.split_at_col(at), vm.split_at_col(at));
        join(
            || fill(d, z, &roots[..at], rows, ua, va, shared),
            || fill(d, z, &roots[at..], rows, ub, vb, shared),
        );
        return;
    }
    ask();
    let (mut u, mut v) = (vec![0.0; d.len()], vec![0.0; d.len()]);
    for (column, &root) in roots.iter().enumerate() {
        singular_vectors(d, z, root, &mut u, &mut v);
        for (mut m, values) in [(um.rb_mut(), &u), (vm.rb_mut(), &v)] {
            let out = m.col_mut(column).expect("working storage is column-major");
            for (x, &i) in out.iter_mut().zip(rows) {
                *x = R::from_f64(values[i]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mat::Mat;

    /// Decomposes and checks: the matrix is restored, the vectors are orthonormal, values alone agree.
    fn check<R: Real>(name: &str, d: &[R], e: &[R]) {
        let n = d.len();
        let f = decompose(d, e, true, Par::Seq).expect("converges");
        let values = decompose(d, e, false, Par::Seq).expect("converges").s;
        let size = f.s[0].to_f64();
        let tol = 8.0 * (n as f64).sqrt() * R::EPS.to_f64() * 8.0;
        let mut back = ColMat::zeros(n, n);
        let mut us = f.u.clone();
        for j in 0..n {
            us.as_mut().col_mut(j).unwrap().iter_mut().for_each(|x| *x *= f.s[j]);
        }
        mm(back.as_mut(), false, R::ONE, (us.as_ref(), false), (f.v.as_ref().transpose(), false), Par::Seq);
        let want = dense(d, e, n);
        for i in 0..n {
            for j in 0..n {
                let off = (back.as_ref().at(i, j) - want.as_ref().at(i, j)).to_f64().abs();
                assert!(off <= tol * size, "{name}: {i} {j} off by {off}");
            }
        }
        for w in [&f.u, &f.v] {
            let mut gram = ColMat::zeros(n, n);
            mm(gram.as_mut(), false, R::ONE, (w.as_ref().transpose(), false), (w.as_ref(), false), Par::Seq);
            for i in 0..n {
                for j in 0..n {
                    let want = if i == j { 1.0 } else { 0.0 };
                    let off = (gram.as_ref().at(i, j).to_f64() - want).abs();
                    assert!(off <= tol, "{name}: gram {i} {j} off by {off}");
                }
            }
        }
        assert!(f.s.windows(2).all(|w| w[0] >= w[1]) && f.s.iter().all(|x| *x >= R::ZERO));
        let mut sink = (ColMat::zeros(n, n), ColMat::zeros(n, n));
        // faer wants its input scaled.
        let factor = if size > 0.0 { R::from_f64(1.0 / size) } else { R::ONE };
        let scaled = ColMat::copied(
            Mat::from_fn(n, n, |i, j| {
                let x = want.as_ref().at(i, j) * factor;
                if x.magnitude() * R::EPS < R::TINY { R::ZERO } else { x }
            })
            .as_ref(),
        );
        let faer = by_faer(scaled.as_ref(), Some(&mut sink.0), Some(&mut sink.1), Par::Seq).unwrap();
        for i in 0..n {
            let off = |x: R| (f.s[i] - x).to_f64().abs();
            assert!(off(values[i]) <= tol * size, "{name}: value {i}");
            assert!(
                (f.s[i] * factor - faer[i]).to_f64().abs() <= tol,
                "{name}: value {i} against faer: {:?} {:?} of {:?} {:?}",
                &f.s[..2.min(n)],
                &faer[..2.min(n)],
                &d[..2.min(n)],
                &e[..1.min(n - 1)]
            );
        }
    }

    fn check_all<R: Real>() {
        let mut x = 3u64;
        let mut next = || {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        for n in [1usize, 2, 31, 33, 34, 67, 150, 301] {
            let mut of = |f: &mut dyn FnMut(usize, f64) -> f64, len: usize| -> Vec<R> {
                (0..len).map(|i| R::from_f64(f(i, next()))).collect()
            };
            let m = n - 1;
            let mut same = |_: usize, x: f64| x;
            check("random", &of(&mut same, n), &of(&mut same, m));
            check("zero", &of(&mut |_, _| 0.0, n), &of(&mut |_, _| 0.0, m));
            check("identity", &of(&mut |_, _| 1.0, n), &of(&mut |_, _| 0.0, m));
            check("ones", &of(&mut |_, _| 1.0, n), &of(&mut |_, _| 1.0, m));
            check("zero diagonal", &of(&mut |_, _| 0.0, n), &of(&mut |_, x| x, m));
            let mut graded = |i: usize, x: f64| x * 10f64.powf(-30.0 * i as f64 / n as f64);
            check("graded down", &of(&mut graded, n), &of(&mut graded, m));
            let mut graded = |i: usize, x: f64| x * 10f64.powf(-30.0 * (n - i) as f64 / n as f64);
            check("graded up", &of(&mut graded, n), &of(&mut graded, m));
            let mut glued = |i: usize, x: f64| if i % 10 == 9 { 1e-8 * x } else { 1.0 };
            check("glued", &of(&mut |_, _| 1.0, n), &of(&mut glued, m));
            let mut holes = |i: usize, x: f64| if i.is_multiple_of(3) { 0.0 } else { x };
            check("holes", &of(&mut holes, n), &of(&mut holes, m));
            let mut wide = |_: usize, x: f64| x * 10f64.powf(20.0 * (x * 7.0).sin());
            check("wide", &of(&mut wide, n), &of(&mut wide, m));
            check("large", &of(&mut |_, x| 1e30 * x, n), &of(&mut |_, x| 1e30 * x, m));
        }
    }

    #[test]
    fn bidiagonal_matrices_f64() {
        check_all::<f64>();
    }

    #[test]
    fn bidiagonal_matrices_f32() {
        check_all::<f32>();
    }
}
